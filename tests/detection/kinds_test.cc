// SPDX-License-Identifier: Apache-2.0
// Whatever way a callback blocks, it is seen, and what waits behind it starts (WQ-73, WQ-U1). A callback that spins
// does not block, and leaves the count for the CPU time it uses (WQ-79).
#include "detection/kinds.h"
#include "detection/tiers.h"
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::kind;
using test::kind_maker;
using test::scope_if_announced;
using test::test_runtime;

// One CPU, and no floor: what is queued behind a callback that blocks starts only if that one is seen.
runtime_options nothing_but(detection tier) { return {.cpus = 1, .stall_floor = 0ms, .detect = tier}; }

// All workers but the one in the callback sleep; so nobody comes by to take what is queued next.
void wait_until_one_is_awake(test_runtime& rt) {
  eventually([&] {
    const pool_stats pool = rt.pool();
    return pool.workers - pool.idle == 1;
  });
}

// More than a pool of one CPU has workers, so that one of them blocks twice: its first time opens what shows its
// context switches, the second one is seen there.
constexpr int rounds = 5;

std::vector<kind_maker> all_kinds() {
  std::vector<kind_maker> all = test::kinds_of_threads();
  for (const auto& some : {test::kinds_of_files(), test::kinds_of_slow_files()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<std::pair<kind_maker, detection>> all_cases() {
  std::vector<std::pair<kind_maker, detection>> cases;
  for (const kind_maker& maker : all_kinds()) {
    for (const detection tier : test::all_tiers) {
      if (tier == detection::cpu_clock && maker.uses_cpu) continue;
      cases.emplace_back(maker, tier);
    }
  }
  return cases;
}

class kinds : public ::testing::TestWithParam<std::pair<kind_maker, detection>> {
 protected:
  void SetUp() override { test::forget_environment(); }
};

// WQ-73, WQ-U1. Method: A blocks, alone; then B is queued, which ends that. It starts in A's place, or never.
TEST_P(kinds, of_blocking_do_not_keep_the_next_item_from_starting) {
  const auto& [maker, tier] = GetParam();
  if (const std::string why = test::why_not(tier); !why.empty()) GTEST_SKIP() << why;
  runtime_options options = nothing_but(tier);
  options.cpu_intensive_threshold = 0us;  // a busy machine must not help either
  test_runtime rt{options};
  workqueue queue{rt, {.name = "kinds"}};
  for (int round = 0; round < rounds; ++round) {
    std::string why_not;
    const std::unique_ptr<kind> way = maker.make(why_not);
    if (way == nullptr) GTEST_SKIP() << why_not;
    gate entered;
    queue.submit([&, tier = tier] {
      entered.open();
      const scope_if_announced scope{tier};
      way->wait();
    });
    entered.wait();
    wait_until_one_is_awake(rt);
    queue.submit([&] { way->open(); });
    queue.flush();
  }
  // Who is seen is replaced first and counted then.
  if (tier != detection::announced) eventually([&] { return rt.pool().blocks_seen >= rounds; });
  const runtime_stats stats = rt->stats();
  EXPECT_EQ(stats.detection, test::name_of(tier)) << stats.detection_why;
  EXPECT_EQ(stats.pools[0].stalls, 0u);
  EXPECT_EQ(stats.pools[0].blocked, 0u) << "all are counted again";
  if (tier == detection::announced) {
    EXPECT_EQ(stats.pools[0].blocks_seen, 0u);
    EXPECT_EQ(stats.pools[0].looks, 0u) << "who wants announcements only pays for nothing else";
    EXPECT_GE(stats.pools[0].blocked_max, 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(all, kinds, ::testing::ValuesIn(all_cases()),
                         [](const auto& c) { return c.param.first.name + "_" + test::name_of(c.param.second); });

class tiers : public ::testing::TestWithParam<detection> {
 protected:
  void SetUp() override {
    test::forget_environment();
    if (const std::string why = test::why_not(GetParam()); !why.empty()) GTEST_SKIP() << why;
  }
};

// WQ-73: a wait of wring is announced, whatever else is seen. Method: the item waits for one it queues itself.
TEST_P(tiers, need_not_see_a_wait_for_a_wring_future) {
  test_runtime rt{nothing_but(GetParam())};
  workqueue queue{rt, {.name = "nested"}};
  for (int round = 0; round < rounds; ++round) {
    int got = 0;
    queue.submit([&] { got = queue.submit_for_result([] { return 42; }).get(); });
    queue.flush();
    EXPECT_EQ(got, 42);
  }
  EXPECT_EQ(rt.pool().stalls, 0u);
  EXPECT_GE(rt.pool().blocked_max, 1u);
}

class tiers_that_look : public tiers {};

// WQ-79, WQ-U17. Method: A uses CPU time until B, queued behind it, has run. Nobody may take that for blocking, except
// where only CPU clocks are read: one stands still as well while its thread waits for a CPU.
TEST_P(tiers_that_look, take_a_callback_that_spins_for_a_cpu_hog) {
  const detection tier = GetParam();
  test_runtime rt{nothing_but(tier)};
  workqueue queue{rt, {.name = "spin"}};
  gate entered;
  std::atomic<bool> opened{false};
  queue.submit([&] {
    entered.open();
    while (!opened.load(std::memory_order_relaxed)) std::atomic_signal_fence(std::memory_order_seq_cst);
  });
  entered.wait();
  wait_until_one_is_awake(rt);
  queue.submit([&] { opened.store(true); });
  queue.flush();
  eventually(
      [&] { return rt.pool().cpu_intensive_seen + rt.pool().blocks_seen >= 1; });  // replaced first, counted then
  const pool_stats pool = rt.pool();
  EXPECT_EQ(pool.stalls, 0u);
  if (tier != detection::cpu_clock) {
    EXPECT_EQ(pool.cpu_intensive_seen, 1u);
    EXPECT_EQ(queue.stats().cpu_intensive, 1u);
    EXPECT_EQ(pool.blocks_seen, 0u);
  }
  EXPECT_EQ(pool.cpu_intensive, 0u) << "it is counted again";
}

std::string name_of_case(const ::testing::TestParamInfo<detection>& c) { return test::name_of(c.param); }

INSTANTIATE_TEST_SUITE_P(all, tiers, ::testing::ValuesIn(test::all_tiers), name_of_case);
INSTANTIATE_TEST_SUITE_P(all, tiers_that_look,
                         ::testing::Values(detection::cpu_clock, detection::stat, detection::perf), name_of_case);

}  // namespace
}  // namespace wring
