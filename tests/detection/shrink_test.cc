// SPDX-License-Identifier: Apache-2.0
// What a burst of blocked workers leaves behind: as many workers as the idle rule keeps, the memory of these, and
// nobody who wakes up (WQ-105, WQ-106).
//
// Method of all: two hundred callbacks block at once, announced where nothing is seen, and are let go. The stall floor
// is off, so that many workers come to be only because blocking is seen.
#include "detection/tiers.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <latch>
#include <map>
#include <string>
#include <thread>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::eventually;
using test::scope_if_announced;
using test::test_runtime;

constexpr int blocked = 200;
constexpr unsigned kept = 2;

// Sanitizers keep memory of their own about threads and stacks.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// ---- what a process has, as the kernel says it --------------------------------------------------------------------

// Lines that hold `text`.
std::size_t lines_with(const char* file, const std::string& text) {
  std::ifstream lines{file};
  std::size_t n = 0;
  for (std::string line; std::getline(lines, line);) n += line.find(text) != std::string::npos ? 1U : 0U;
  return n;
}

std::size_t mapped_rings() { return lines_with("/proc/self/maps", "[perf_event]"); }

// In KiB, 0 if it is not said. From the pages themselves: the counters in statm are late by some pages for each CPU.
std::size_t resident() {
  std::ifstream lines{"/proc/self/smaps_rollup"};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("Rss:")) return std::stoul(line.substr(4));
  }
  return 0;
}

// What the kernel says of a thread: its name, what it does, and how often it has been switched.
std::string rest_of(const std::string& id) {
  std::ifstream lines{"/proc/self/task/" + id + "/status"};
  std::string said;
  for (std::string line; std::getline(lines, line);) {
    for (const char* key : {"Name:", "State:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"}) {
      if (line.starts_with(key)) said += line + " ";
    }
  }
  return said;
}

// The threads of wring, by number.
std::map<std::string, std::string> threads_of_wring() {
  std::map<std::string, std::string> all;
  for (const std::string& id : test::entries_of("/proc/self/task")) {
    if (const std::string rest = rest_of(id); rest.find("wring/") != std::string::npos) all.emplace(id, rest);
  }
  return all;
}

// Before and after so long, in which the calling thread only sleeps.
std::array<std::map<std::string, std::string>, 2> threads_before_and_after(std::chrono::milliseconds time) {
  std::array<std::map<std::string, std::string>, 2> seen;
  seen[0] = threads_of_wring();
  std::this_thread::sleep_for(time);  // it is time itself that is asked for here: nothing happens in it
  seen[1] = threads_of_wring();
  return seen;
}

bool all_sleep(const std::map<std::string, std::string>& threads) {
  for (const auto& [id, rest] : threads) {
    if (rest.find("State:\tS") == std::string::npos) return false;
  }
  return !threads.empty();
}

// No thread of wring is switched in two seconds. Before these, the last look and the last retirement may end.
void expect_nobody_wakes_up() {
  eventually([] {
    const auto seen = threads_before_and_after(50ms);
    return seen[0] == seen[1] && all_sleep(seen[1]);
  });
  const auto seen = threads_before_and_after(2s);
  EXPECT_FALSE(seen[0].empty()) << "there is something to be seen";
  EXPECT_EQ(seen[0], seen[1]);
}

// ---- bursts -------------------------------------------------------------------------------------------------------

constexpr std::size_t touched_bytes = std::size_t{256} << 10;

[[gnu::noinline]] void touch_stack() {
  std::array<volatile char, touched_bytes> room;
  for (std::size_t i = 0; i < room.size(); i += 1'024) room[i] = 1;
}

class shrinks : public ::testing::TestWithParam<detection> {
 protected:
  void SetUp() override {
    test::forget_environment();
    if (const std::string why = test::why_not(tier()); !why.empty()) GTEST_SKIP() << why;
    if (::access("/proc/self/task", X_OK) != 0) GTEST_SKIP() << "there is no /proc to see what is left";
  }
  static detection tier() { return GetParam(); }
  static runtime_options options() {
    return {.cpus = 2,
            .idle_timeout = 5ms,
            .idle_workers_kept = kept,
            .stall_floor = 0ms,
            .detect = tier(),
            .cpu_intensive_threshold = 0us};
  }

  // All are blocked when at_the_height() is called.
  template <class F>
  static void burst(workqueue& queue, const F& at_the_height) {
    std::latch opened{1};
    counter inside;
    for (int i = 0; i < blocked; ++i) {
      queue.submit([&] {
        touch_stack();
        const scope_if_announced scope{tier()};
        inside.add();
        opened.wait();
      });
    }
    inside.wait_for(blocked);
    at_the_height();
    opened.count_down();
    queue.flush();
  }
  static void burst(workqueue& queue) {
    burst(queue, [] {});
  }

  // Their threads are gone, too.
  static void wait_until_shrunk(test_runtime& rt) {
    eventually([&] {
      const pool_stats pool = rt.pool();
      return pool.workers <= kept && pool.idle == pool.workers && test::threads_named("wring/u0") <= kept;
    });
  }
};

// WQ-106
TEST_P(shrinks, to_the_idle_workers_that_are_kept) {
  test_runtime rt{options()};
  workqueue queue{rt, {.name = "burst"}};
  const std::size_t descriptors = test::entries_of("/proc/self/fd").size();
  std::size_t rings_most = 0;
  burst(queue, [&] { rings_most = mapped_rings(); });
  EXPECT_GE(rt.pool().workers_max, unsigned{blocked});
  wait_until_shrunk(rt);
  const pool_stats pool = rt.pool();
  EXPECT_EQ(pool.workers, kept);
  EXPECT_EQ(pool.blocked, 0U);
  EXPECT_GE(pool.workers_retired, blocked - kept);
  if (tier() != detection::announced) {
    EXPECT_GE(pool.blocks_seen, blocked - 2U);
  }
  EXPECT_EQ(rings_most > kept, tier() == detection::perf) << rings_most << " rings at the height";
  EXPECT_LE(mapped_rings(), kept) << "a ring goes with its worker";
  EXPECT_EQ(test::entries_of("/proc/self/fd").size(), descriptors);
}

// WQ-105. Method: 40 of them stay blocked. Of the idle ones beyond those kept, less than one for four of them stays.
TEST_P(shrinks, to_a_share_of_the_busy_ones) {
  constexpr unsigned busy = 40;
  constexpr unsigned idle = kept + busy / 4 - 1;
  test_runtime rt{options()};
  workqueue queue{rt, {.name = "burst"}};
  workqueue longer{rt, {.name = "longer"}};
  std::latch opened{1};
  counter inside;
  for (unsigned i = 0; i < busy; ++i) {
    longer.submit([&] {
      const scope_if_announced scope{tier()};
      inside.add();
      opened.wait();
    });
  }
  burst(queue);
  inside.wait_for(busy);
  eventually([&] {
    const pool_stats pool = rt.pool();
    return pool.idle == idle && pool.workers == idle + busy;
  });
  opened.count_down();
  longer.flush();
  wait_until_shrunk(rt);
}

// Method: each callback touches 256 KiB of its stack. A thread that ends gives the pages of its stack back, but for the
// last few, which stay until its place is used again. With the places themselves that is a small share of what was
// touched, and a second burst adds next to nothing.
TEST_P(shrinks, and_gives_memory_back) {
  if (sanitized) GTEST_SKIP() << "sanitizers keep memory of their own";
  if (resident() == 0) GTEST_SKIP() << "this kernel does not say what is resident";
  constexpr std::size_t touched = blocked * (touched_bytes >> 10);
  test_runtime rt{options()};
  workqueue queue{rt, {.name = "burst"}};
  const std::size_t before = resident();
  std::size_t most = 0;
  burst(queue, [&] { most = resident(); });
  EXPECT_GE(most, before + touched * 9 / 10) << "it would be seen";
  wait_until_shrunk(rt);
  const std::size_t after_one = resident();
  EXPECT_LE(after_one, before + touched / 8);
  burst(queue);
  wait_until_shrunk(rt);
  const std::size_t after_two = resident();
  EXPECT_LE(after_two, after_one + touched / 32);
  RecordProperty("KiB_before_most_one_two", std::to_string(before) + " " + std::to_string(most) + " " +
                                                std::to_string(after_one) + " " + std::to_string(after_two));
}

TEST_P(shrinks, and_then_nobody_wakes_up) {
  test_runtime rt{options()};
  workqueue queue{rt, {.name = "burst"}};
  burst(queue);
  wait_until_shrunk(rt);
  expect_nobody_wakes_up();
}

INSTANTIATE_TEST_SUITE_P(all, shrinks, ::testing::ValuesIn(test::all_tiers),
                         [](const auto& c) { return test::name_of(c.param); });

// Method: one use of each kind of queue, then nothing.
TEST(idle, runtime_wakes_nobody_whatever_it_was_used_for) {
  test::forget_environment();
  if (::access("/proc/self/task", X_OK) != 0) GTEST_SKIP() << "there is no /proc to see who wakes up";
  test_runtime rt{{.cpus = 2, .idle_timeout = 5ms}};
  std::atomic<int> ran{0};
  int asked = 0;
  const auto use = [&](const workqueue_options& what) {
    workqueue queue{rt, what};
    delayed_work later{[&] { ran.fetch_add(1); }};
    queue.queue_delayed(later, 3ms);
    for (int i = 0; i < 20; ++i) queue.submit([&] { ran.fetch_add(1); });
    later.flush();
    queue.flush();
    asked += 21;
  };
  use({.name = "plain"});
  use({.name = "ordered", .ordered = true});
  use({.name = "per cpu", .per_cpu = true});
  use({.name = "high", .high_priority = true});
  use({.name = "unmanaged", .unmanaged = true});
  EXPECT_EQ(ran.load(), asked);
  eventually([&] {
    const runtime_stats stats = rt->stats();
    for (const pool_stats& pool : stats.pools) {
      if (pool.workers > kept || pool.idle != pool.workers) return false;
    }
    return true;
  });
  expect_nobody_wakes_up();
  rt.warnings.ignore();  // nice -20 may have been refused
}

}  // namespace
}  // namespace wring
