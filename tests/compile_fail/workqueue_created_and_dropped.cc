// SPDX-License-Identifier: Apache-2.0
// create() answers with the queue or an error; somebody has to look.
// expect: nodiscard
#include <wring/wring.h>

void use() {
#ifdef MISUSE
  wring::workqueue::create();
#else
  (void)wring::workqueue::create().has_value();
#endif
}
