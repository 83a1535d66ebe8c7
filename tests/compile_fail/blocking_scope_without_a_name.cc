// SPDX-License-Identifier: Apache-2.0
// A scope without a name ends before the wait begins.
// expect: nodiscard
#include <wring/wring.h>

void use() {
#ifdef MISUSE
  wring::blocking_scope{};
#else
  const wring::blocking_scope scope;
#endif
}
