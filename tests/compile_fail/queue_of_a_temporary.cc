// SPDX-License-Identifier: Apache-2.0
// The caller keeps the item, so a temporary cannot be queued: it would be cancelled at the end of the line.
// expect: cannot bind|no matching member function|no matching function|deleted
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  queue.queue(wring::work{[] {}});
#else
  wring::work item{[] {}};
  queue.queue(item);
#endif
}
