// SPDX-License-Identifier: Apache-2.0
// What a work holds is aligned to 8 bytes.
// expect: capture a pointer
#include <wring/wring.h>

struct alignas(16) aligned {
  char bytes[16];
};

void use(aligned& bytes) {
#ifdef MISUSE
  const wring::work item{[bytes] { (void)bytes; }};
#else
  const wring::work item{[&bytes] { (void)bytes; }};
#endif
}
