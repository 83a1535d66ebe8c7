// SPDX-License-Identifier: Apache-2.0
// A delay has a unit.
// expect: cannot convert|no viable conversion|could not convert|no matching|no known conversion
#include <wring/wring.h>

#include <chrono>

void use(wring::workqueue& queue, wring::delayed_work& item) {
#ifdef MISUSE
  queue.queue_delayed(item, 100);
#else
  queue.queue_delayed(item, std::chrono::milliseconds{100});
#endif
}
