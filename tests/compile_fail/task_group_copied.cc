// SPDX-License-Identifier: Apache-2.0
// A group counts its children at one place.
// expect: deleted (function|constructor)
#include <wring/wring.h>

void use(wring::workqueue& queue) {
  wring::task_group group{queue};
#ifdef MISUSE
  wring::task_group other{group};
#else
  wring::task_group other{queue};
#endif
  other.wait();
}
