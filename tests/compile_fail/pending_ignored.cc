// SPDX-License-Identifier: Apache-2.0
// Asking whether an item is pending changes nothing; cancel() is the verb.
// expect: nodiscard
#include <wring/wring.h>

void use(wring::work& item) {
#ifdef MISUSE
  item.pending();
#else
  item.cancel();
#endif
}
