// SPDX-License-Identifier: Apache-2.0
// What is submitted can be called.
// expect: no matching (member )?function
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  queue.submit(42);
#else
  queue.submit([] {});
#endif
}
