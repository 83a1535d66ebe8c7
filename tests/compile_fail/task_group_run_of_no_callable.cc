// SPDX-License-Identifier: Apache-2.0
// A child can be called without arguments.
// expect: no matching (member )?function
#include <wring/wring.h>

void use(wring::task_group& group) {
#ifdef MISUSE
  group.run([](wring::work&) {});
#else
  group.run([] {});
#endif
}
