// SPDX-License-Identifier: Apache-2.0
// A work holds 24 bytes; more belongs to the object that the work is a member of.
// expect: capture a pointer
#include <wring/wring.h>

struct four_words {
  void* words[4];
};

void use(four_words& words) {
#ifdef MISUSE
  const wring::work item{[words] { (void)words; }};
#else
  const wring::work item{[&words] { (void)words; }};
#endif
}
