// SPDX-License-Identifier: Apache-2.0
// A work is an identity: two of it could both be pending.
// expect: deleted (function|constructor)
#include <wring/wring.h>

void use(wring::work& item) {
#ifdef MISUSE
  wring::work other{item};
#else
  wring::work& other{item};
#endif
  other.cancel();
}
