// SPDX-License-Identifier: Apache-2.0
// A work is a member: a derived class would be gone before ~work() has waited for the callback.
// expect: marked 'final'|'final' base
#include <wring/wring.h>

#ifdef MISUSE
struct job : wring::work {
  job() : wring::work{[] {}} {}
};
#else
struct job {
  wring::work work{[] {}};
};
#endif

job object;
