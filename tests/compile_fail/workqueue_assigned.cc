// SPDX-License-Identifier: Apache-2.0
// Assignment would have to drain the queue that was there.
// expect: deleted (function|operator|member function)|overload resolution selected deleted
#include <wring/wring.h>

#include <utility>

void use(wring::workqueue& queue, wring::workqueue& other) {
#ifdef MISUSE
  queue = std::move(other);
#else
  queue.drain();
  other.drain();
#endif
}
