// SPDX-License-Identifier: Apache-2.0
// Callbacks that wait for one another always finish, whatever is used to see them (WQ-73, WQ-75, WQ-U1, WQ-U3).
//
// Method of all: the stall floor is off, so only what is seen, or in the lowest tier announced, lets work go on.
#include "detection/tiers.h"
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <latch>
#include <mutex>
#include <string>
#include <utility>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::scope_if_announced;
using test::test_runtime;

constexpr int waiters = 64;

class never_stuck : public ::testing::TestWithParam<detection> {
 protected:
  void SetUp() override {
    test::forget_environment();
    if (const std::string why = test::why_not(tier()); !why.empty()) GTEST_SKIP() << why;
  }
  static detection tier() { return GetParam(); }
  static runtime_options options(unsigned cpus) {
    return {.cpus = cpus, .stall_floor = 0ms, .detect = tier(), .cpu_intensive_threshold = 0us};
  }
  static void expect_no_help(const pool_stats& pool) {
    EXPECT_EQ(pool.stalls, 0u);
    EXPECT_EQ(pool.blocked, 0u) << "all are counted again";
  }
};

pool_stats pool_named(test_runtime& rt, const std::string& name) {
  const runtime_stats all = rt->stats();
  for (const pool_stats& pool : all.pools) {
    if (pool.name == name) return pool;
  }
  ADD_FAILURE() << "no pool " << name;
  return {};
}

// WQ-73. Method: whether the one who opens is queued before or after them.
TEST_P(never_stuck, are_sixty_four_items_that_wait_for_another_one) {
  for (const unsigned cpus : {1u, 2u}) {
    for (const bool opener_first : {true, false}) {
      test_runtime rt{options(cpus)};
      workqueue queue{rt, {.name = "sixty-five"}};
      std::latch opened{1};
      std::atomic<int> done{0};
      if (opener_first) queue.submit([&] { opened.count_down(); });
      for (int i = 0; i < waiters; ++i) {
        queue.submit([&] {
          const scope_if_announced scope{tier()};
          opened.wait();
          done.fetch_add(1);
        });
      }
      if (!opener_first) queue.submit([&] { opened.count_down(); });
      queue.flush();
      EXPECT_EQ(done.load(), waiters);
      expect_no_help(rt.pool());
      if (opener_first || tier() == detection::announced) continue;
      eventually(
          [&] { return rt.pool().blocks_seen >= waiters - cpus; });  // who is seen is replaced first, counted then
    }
  }
}

// WQ-72..75 in the pool of one CPU, which has no worker to spare.
TEST_P(never_stuck, are_items_of_one_cpu_that_wait_for_another_one_there) {
  for (const bool opener_first : {true, false}) {
    test_runtime rt{options(1)};
    const unsigned cpu = rt->cpus().front().id;
    workqueue queue{rt, {.name = "per cpu", .per_cpu = true}};
    std::latch opened{1};
    std::atomic<int> done{0};
    work opener{[&] { opened.count_down(); }};
    std::deque<work> items;
    if (opener_first) queue.queue_on(cpu, opener);
    for (int i = 0; i < waiters; ++i) {
      queue.queue_on(cpu, items.emplace_back([&] {
        const scope_if_announced scope{tier()};
        opened.wait();
        done.fetch_add(1);
      }));
    }
    if (!opener_first) queue.queue_on(cpu, opener);
    queue.flush();
    EXPECT_EQ(done.load(), waiters);
    const auto pool = [&] { return pool_named(rt, std::to_string(cpu)); };
    EXPECT_EQ(pool().items_started, waiters + 1u);
    expect_no_help(pool());
    if (opener_first || tier() == detection::announced) continue;
    eventually([&] { return pool().blocks_seen >= waiters; });
  }
}

void descend(workqueue& queue, detection tier, int levels, std::atomic<int>& reached) {
  reached.fetch_add(1);
  if (levels == 0) return;
  std::promise<void> promise;
  std::future<void> below = promise.get_future();
  queue.submit([&queue, tier, levels, &reached, promise = std::move(promise)]() mutable {
    descend(queue, tier, levels - 1, reached);
    promise.set_value();
  });
  const scope_if_announced scope{tier};
  below.get();
}

// WQ-73. Method: each callback waits, by means of the C++ library, for one that it queues; all of them at once in the
// end.
TEST_P(never_stuck, are_recursive_waits) {
  for (const unsigned cpus : {1u, 2u}) {
    test_runtime rt{options(cpus)};
    workqueue queue{rt, {.name = "recursive"}};
    constexpr int levels = 100;
    std::atomic<int> reached{0};
    queue.submit([&] { descend(queue, tier(), levels, reached); });
    queue.drain();  // the lowest ones may end after those that waited for them
    EXPECT_EQ(reached.load(), levels + 1);
    expect_no_help(rt.pool());
  }
}

// WQ-73. Method: nobody goes on before all have arrived, again and again.
TEST_P(never_stuck, are_items_that_meet_at_a_latch) {
  for (const unsigned cpus : {1u, 2u}) {
    test_runtime rt{options(cpus)};
    workqueue queue{rt, {.name = "latch"}};
    for (int round = 0; round < 2; ++round) {
      std::latch all_here{waiters};
      std::atomic<int> done{0};
      for (int i = 0; i < waiters; ++i) {
        queue.submit([&] {
          const scope_if_announced scope{tier()};
          all_here.arrive_and_wait();
          done.fetch_add(1);
        });
      }
      queue.flush();
      EXPECT_EQ(done.load(), waiters);
      rt.goes_on();
    }
    expect_no_help(rt.pool());
  }
}

// Goes round among `players`; each waits for its turn, takes it, and tells the next one.
class turns {
 public:
  explicit turns(int players) : players_{players} {}
  void play(int me, int rounds) {
    std::unique_lock lock{mu_};
    for (int round = 0; round < rounds; ++round) {
      changed_.wait(lock, [&] { return taken_ % players_ == me; });
      ++taken_;
      changed_.notify_all();
    }
  }
  [[nodiscard]] int taken() {
    const std::lock_guard lock{mu_};
    return taken_;
  }

 private:
  const int players_;
  std::mutex mu_;
  std::condition_variable changed_;
  int taken_ = 0;
};

// WQ-73, WQ-74. Method: callbacks take turns with a condition variable, so each blocks many times and comes back.
TEST_P(never_stuck, are_callbacks_that_take_turns) {
  for (const int players : {2, 8}) {
    test_runtime rt{options(1)};
    workqueue queue{rt, {.name = "turns"}};
    constexpr int rounds = 200;
    turns game{players};
    for (int me = 0; me < players; ++me) {
      queue.submit([&, me] {
        const scope_if_announced scope{tier()};
        game.play(me, rounds);
      });
    }
    queue.flush();
    EXPECT_EQ(game.taken(), players * rounds);
    expect_no_help(rt.pool());
  }
}

INSTANTIATE_TEST_SUITE_P(all, never_stuck, ::testing::ValuesIn(test::all_tiers),
                         [](const auto& c) { return test::name_of(c.param); });

}  // namespace
}  // namespace wring
