// SPDX-License-Identifier: Apache-2.0
// A queue refers to its runtime, so a temporary one cannot be meant.
// expect: cannot bind|no matching|no viable|cannot convert
#include <wring/wring.h>

#ifdef MISUSE
wring::workqueue queue{wring::runtime{}, {.name = "queue"}};
#else
wring::runtime runtime;
wring::workqueue queue{runtime, {.name = "queue"}};
#endif
