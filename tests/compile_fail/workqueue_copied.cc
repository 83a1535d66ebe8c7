// SPDX-License-Identifier: Apache-2.0
// A queue exists once.
// expect: deleted (function|constructor)|implicitly-deleted|implicitly deleted
#include <wring/wring.h>

#include <utility>

void use(wring::workqueue& queue) {
#ifdef MISUSE
  wring::workqueue other{queue};
#else
  wring::workqueue other{std::move(queue)};
#endif
  other.flush();
}
