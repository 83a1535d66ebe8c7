// SPDX-License-Identifier: Apache-2.0
// queue() is for items that the caller keeps, submit() for closures.
// expect: cannot bind|no matching member function|no matching function|deleted
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  queue.queue([] {});
#else
  queue.submit([] {});
#endif
}
