// SPDX-License-Identifier: Apache-2.0
// A result is fetched once.
// expect: deleted (function|constructor)|implicitly-deleted|implicitly deleted
#include <wring/wring.h>

#include <utility>

int use(wring::future<int>& answer) {
#ifdef MISUSE
  wring::future<int> mine{answer};
#else
  wring::future<int> mine{std::move(answer)};
#endif
  return mine.get();
}
