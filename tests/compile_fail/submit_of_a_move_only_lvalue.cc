// SPDX-License-Identifier: Apache-2.0
// submit() copies what it is not given to keep.
// expect: use of deleted function|implicitly-deleted copy constructor
#include <wring/wring.h>

#include <memory>
#include <utility>

void use(wring::workqueue& queue) {
  auto closure = [owned = std::make_unique<int>(1)] { (void)owned; };
#ifdef MISUSE
  queue.submit(closure);
#else
  queue.submit(std::move(closure));
#endif
}
