// SPDX-License-Identifier: Apache-2.0
// What a temporary result holds ends with it.
// expect: cannot bind
#include <wring/wring.h>

void use() {
#ifdef MISUSE
  wring::workqueue& queue = *wring::workqueue::create();
#else
  wring::workqueue queue = *wring::workqueue::create();
#endif
  queue.flush();
}
