// SPDX-License-Identifier: Apache-2.0
// A result is not its value: there may be none.
// expect: cannot convert|no viable conversion|could not convert|cannot bind|conversion from
#include <wring/wring.h>

void use(wring::result<int> answer) {
#ifdef MISUSE
  const int number = answer;
#else
  const int number = answer.value();
#endif
  (void)number;
}
