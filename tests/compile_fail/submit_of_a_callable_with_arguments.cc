// SPDX-License-Identifier: Apache-2.0
// Nobody has arguments for a closure; it captures them.
// expect: no matching (member )?function
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  queue.submit([](int) {});
#else
  queue.submit([number = 1] { (void)number; });
#endif
}
