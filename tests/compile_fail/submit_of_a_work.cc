// SPDX-License-Identifier: Apache-2.0
// An item of the caller's is queued, not submitted: submit() owns what it runs.
// expect: no matching (member )?function
#include <wring/wring.h>

void use(wring::workqueue& queue, wring::work& item) {
#ifdef MISUSE
  queue.submit(item);
#else
  queue.queue(item);
#endif
}
