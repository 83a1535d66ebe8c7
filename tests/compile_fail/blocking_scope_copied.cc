// SPDX-License-Identifier: Apache-2.0
// Who copies a scope would come back to the count twice.
// expect: deleted (function|constructor)
#include <wring/wring.h>

void use() {
  const wring::blocking_scope scope;
#ifdef MISUSE
  const wring::blocking_scope other{scope};
#else
  const wring::blocking_scope other;
#endif
}
