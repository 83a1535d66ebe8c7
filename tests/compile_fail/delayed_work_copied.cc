// SPDX-License-Identifier: Apache-2.0
// A delayed_work is an identity, as a work is.
// expect: deleted (function|constructor)
#include <wring/wring.h>

void use(wring::delayed_work& item) {
#ifdef MISUSE
  wring::delayed_work other{item};
#else
  wring::delayed_work& other{item};
#endif
  other.cancel();
}
