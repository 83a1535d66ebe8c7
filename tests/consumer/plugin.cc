// SPDX-License-Identifier: Apache-2.0
// plugin: what host.cc loads and closes again.
#include <wring/wring.h>

// Starts the default runtime and leaves its threads behind.
extern "C" __attribute__((visibility("default"))) int plugin_work() {
  wring::workqueue queue;
  return queue.submit_for_result([] { return 42; }).get();
}
