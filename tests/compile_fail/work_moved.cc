// SPDX-License-Identifier: Apache-2.0
// A work stays where it is: a queue may point to it.
// expect: deleted (function|constructor)
#include <wring/wring.h>

#include <utility>

void use(wring::work& item) {
#ifdef MISUSE
  wring::work other{std::move(item)};
#else
  wring::work other{[&item] { item.cancel(); }};
#endif
  other.cancel();
}
