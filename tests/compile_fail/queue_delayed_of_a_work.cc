// SPDX-License-Identifier: Apache-2.0
// Only a delayed_work has a timer.
// expect: cannot convert|no viable conversion|invalid initialization|cannot bind|no matching
#include <wring/wring.h>

#include <chrono>

void use(wring::workqueue& queue, wring::work& plain, wring::delayed_work& item) {
#ifdef MISUSE
  queue.queue_delayed(plain, std::chrono::seconds{1});
#else
  queue.queue_delayed(item, std::chrono::seconds{1});
#endif
  plain.cancel();
  item.cancel();
}
