// SPDX-License-Identifier: Apache-2.0
// plugin: a library that uses wring, with queues and items that are static. plugin_host.cc loads it, with wring as a
// library of its own or inside.
#include <wring/wring.h>

#include <atomic>
#include <chrono>

namespace {

constinit std::atomic<int> runs{0};

wring::workqueue queue{{.name = "plugin"}};
constinit wring::work item{[] { runs.fetch_add(1); }};
constinit wring::delayed_work never_due{[] { runs.fetch_add(1'000'000); }};

// Its code must be there when the worker's thread ends.
struct at_thread_end {
  ~at_thread_end() {
    wring::workqueue{{.name = "last"}}.submit([] {});
  }
  int touched = 0;
};
thread_local at_thread_end touched_here;

}  // namespace

// How many of `count` closures, and of the items queued beside them, have run. Some are left to the destructors.
extern "C" [[gnu::visibility("default")]] int plugin_use(int count, bool with_thread_local) {
  queue.flush();
  runs.store(0);
  queue.queue_delayed(never_due, std::chrono::hours{1});
  for (int i = 0; i < count; ++i) queue.submit([] { runs.fetch_add(1); });
  if (with_thread_local) queue.submit([] { ++touched_here.touched; });
  queue.queue(item);
  queue.flush();
  const int seen = runs.load();
  for (int i = 0; i < count; ++i) queue.submit([] { runs.fetch_add(1); });
  queue.queue(item);
  return seen;
}
