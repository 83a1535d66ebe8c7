// SPDX-License-Identifier: Apache-2.0
// A work is made of something that can be called.
// expect: no matching (function for call to 'wring::work|constructor for initialization of 'wring::work')
#include <wring/wring.h>

#ifdef MISUSE
wring::work item{42};
#else
wring::work item{[] {}};
#endif
