// SPDX-License-Identifier: Apache-2.0
// A work is not replaced by another one.
// expect: deleted (function|member function|operator)
#include <wring/wring.h>

void use(wring::work& item, wring::work& other) {
#ifdef MISUSE
  item = other;
#else
  item.cancel();
#endif
  other.cancel();
}
