// SPDX-License-Identifier: Apache-2.0
// A closure is stored at a multiple of 16 bytes.
// expect: capture a pointer
#include <wring/wring.h>

struct alignas(64) line {
  char bytes[64];
};

void use(wring::workqueue& queue, line& data) {
#ifdef MISUSE
  (void)queue.submit_for_result([data] { (void)data; });
#else
  (void)queue.submit_for_result([&data] { (void)data; });
#endif
}
