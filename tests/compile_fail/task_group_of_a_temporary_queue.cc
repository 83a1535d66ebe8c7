// SPDX-License-Identifier: Apache-2.0
// A group runs on a queue that lives longer.
// expect: no matching|cannot bind
#include <wring/wring.h>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  wring::task_group group{wring::workqueue{}};
#else
  wring::task_group group{queue};
#endif
  group.wait();
  queue.flush();
}
