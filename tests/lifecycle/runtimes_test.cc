// SPDX-License-Identifier: Apache-2.0
// Runtimes that are made and destroyed, again and again, leave nothing behind (WQ-20, WQ-34, WQ-U3).
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>

namespace wring {
namespace {

// A sanitizer makes each thread some fifty times as dear, and has an allocator of its own, which keeps what is freed
// for a while; the address sanitizer looks for leaks itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int runtimes = 500;
constexpr bool memory_is_counted = false;
#else
constexpr int runtimes = 10'000;
constexpr bool memory_is_counted = true;
#endif

struct footprint {
  std::size_t threads = test::entries_of("/proc/self/task").size();
  std::size_t descriptors = test::entries_of("/proc/self/fd").size();
  std::size_t heap_bytes = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  std::size_t resident_bytes = resident();

  static std::size_t resident() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t all = 0;
    std::size_t present = 0;
    statm >> all >> present;
    return present * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }
};

// One life, in which everything a runtime can have is made once: workers, closures, items, a delay that ends early
// and one that is cancelled.
void live_once(int number) {
  std::atomic<int> runs{0};
  runtime rt{{.cpus = 2}};
  workqueue queue{rt, {.name = "short life", .ordered = number % 2 == 0}};
  work item{[&runs] { runs.fetch_add(1); }};
  delayed_work soon{[&runs] { runs.fetch_add(1); }};
  delayed_work never_due{[&runs] { runs.fetch_add(1); }};
  queue.queue(item);
  queue.submit([&runs] { runs.fetch_add(1); });
  queue.queue_delayed(soon, std::chrono::hours{1});
  queue.queue_delayed(never_due, std::chrono::hours{1});
  EXPECT_TRUE(soon.flush());
  queue.flush();
  EXPECT_EQ(runs.load(), 3);
}

// Method: what the process has after a first tenth, against what it has at the end. The bounds are far below one
// small block, thread or descriptor for each runtime, and above what a heap in use moves by.
TEST(runtimes, made_and_destroyed_ten_thousand_times_leave_nothing_behind) {
  int number = 0;
  while (number < runtimes / 10) live_once(number++);
  const footprint before;
  while (number < runtimes) live_once(number++);
  const footprint after;
  // A thread that was joined may be listed for another moment.
  EXPECT_LE(after.threads, before.threads + 4);
  EXPECT_EQ(after.descriptors, before.descriptors);
  if (memory_is_counted) {
    EXPECT_LE(after.heap_bytes, before.heap_bytes + (std::size_t{128} << 10));
    EXPECT_LE(after.resident_bytes, before.resident_bytes + (std::size_t{16} << 20));
  }
}

}  // namespace
}  // namespace wring
