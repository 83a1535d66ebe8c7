// SPDX-License-Identifier: Apache-2.0
// Who does not want the result submits without one.
// expect: nodiscard
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  queue.submit_for_result([] { return 1; });
#else
  queue.submit([] {});
#endif
}
