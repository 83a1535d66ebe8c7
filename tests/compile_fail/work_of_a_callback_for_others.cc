// SPDX-License-Identifier: Apache-2.0
// A callback takes the work or nothing; also that of a delayed_work, which holds a work.
// expect: no matching (function for call to|constructor for initialization of) 'wring::delayed_work
#include <wring/wring.h>

#ifdef MISUSE
wring::delayed_work item{[](wring::delayed_work&) {}};
#else
wring::delayed_work item{[](wring::work&) {}};
#endif
