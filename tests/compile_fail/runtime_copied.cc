// SPDX-License-Identifier: Apache-2.0
// A runtime is its threads.
// expect: deleted (function|constructor)|implicitly-deleted|implicitly deleted
#include <wring/wring.h>

#include <utility>

void use(wring::runtime& runtime) {
#ifdef MISUSE
  const wring::runtime other{runtime};
#else
  const wring::runtime other{std::move(runtime)};
#endif
}
