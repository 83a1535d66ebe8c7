// SPDX-License-Identifier: Apache-2.0
// How workers come and go (WQ-100..108).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::eventually;
using test::gate;
using test::test_runtime;
using test::threads_named;

// Blocks `count` workers, announced, until release().
class crowd {
 public:
  crowd(workqueue& queue, int count) {
    for (int i = 0; i < count; ++i) {
      queue.submit([this] {
        const blocking_scope scope;
        entered_.add();
        released_.wait();
        left_.add();
      });
    }
    entered_.wait_for(count);
    count_ = count;
  }
  ~crowd() { release(); }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  void release() {
    released_.open();
    left_.wait_for(count_);
  }

 private:
  counter entered_;
  counter left_;
  gate released_;
  int count_ = 0;
};

// WQ-103.
TEST(workers, a_runtime_starts_with_one_worker_and_the_timekeeper) {
  test_runtime rt;
  EXPECT_EQ(rt.pool().workers, 1u);
  EXPECT_EQ(rt.unmanaged_pool().workers, 0u);
  eventually([] { return threads_named("wring/u0:") == 1 && threads_named("wring/time") == 1; });
}

// WQ-108: what ps and top show.
TEST(workers, threads_are_named_after_pool_and_number) {
  test_runtime rt;
  workqueue queue{rt, {.name = "names"}};
  workqueue unmanaged{rt, {.name = "more names", .unmanaged = true}};
  crowd both{queue, 3};
  crowd other{unmanaged, 2};
  // A new thread has its creator's name until it has given itself its own.
  const auto all_named = [&] {
    const auto names = test::thread_names();
    const auto workers = rt->stats().workers;
    return workers.size() == 7 && std::all_of(workers.begin(), workers.end(), [&](const worker_stats& w) {
             return std::count(names.begin(), names.end(), w.name) == 1;
           });
  };
  eventually(all_named);
  const auto names = test::thread_names();
  for (const char* name : {"wring/u0:0", "wring/u0:1", "wring/u0:2", "wring/u0:3", "wring/u1:0"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
  for (const worker_stats& w : rt->stats().workers) {
    EXPECT_EQ(std::count(names.begin(), names.end(), w.name), 1) << w.name << " is the name in the statistics";
  }
}

// WQ-100, WQ-102. Method: while k items are in progress, an idle worker exists, before anybody needs it.
TEST(workers, a_spare_worker_exists_whenever_an_item_has_started) {
  test_runtime rt;
  workqueue queue{rt, {.name = "spare"}};
  for (const int busy : {1, 2, 5, 9}) {
    crowd inside{queue, busy};
    eventually([&] { return rt.pool().idle >= 1; });
    EXPECT_GE(rt.pool().workers, static_cast<unsigned>(busy) + 1);
  }
}

// WQ-102: the manager makes no more than one spare.
TEST(workers, no_more_workers_are_made_than_work_needs) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "frugal"}};
  for (int i = 0; i < 500; ++i) {
    queue.submit([] {});
    queue.flush();
  }
  EXPECT_LE(rt.pool().workers_max, 2u);
}

// WQ-143. Of many idle workers sixteen are told, and that there are more.
TEST(workers, a_description_names_the_first_sixteen_that_are_idle) {
  test_runtime rt;
  workqueue queue{rt, {.name = "many"}};
  { crowd some{queue, 20}; }
  eventually([&] { return rt.pool().idle >= 20; });
  const std::string told = rt->describe();
  const std::string label = "  idle, the next one first:";
  const std::size_t begin = told.find(label);
  ASSERT_NE(begin, std::string::npos) << told;
  const std::string line = told.substr(begin + label.size(), told.find('\n', begin) - begin - label.size());
  EXPECT_EQ(std::count(line.begin(), line.end(), ' '), 17) << line;  // one before each number, and before the dots
  EXPECT_TRUE(line.ends_with(" ...")) << line;
}

// WQ-104. Method: with everybody parked, item after item runs on the worker that parked last.
TEST(workers, the_worker_that_parked_last_is_woken_first) {
  test_runtime rt{{.cpus = 2}};
  workqueue queue{rt, {.name = "hot"}};
  { crowd some{queue, 4}; }
  const auto everybody_parked = [&] { return rt.pool().idle == rt.pool().workers; };
  eventually(everybody_parked);
  const auto run_one = [&] {
    gate ran;
    pid_t who = 0;
    queue.submit([&] {
      who = ::gettid();
      ran.open();
    });
    ran.wait();  // a flush would be one more thing to start
    eventually(everybody_parked);
    return who;
  };
  const pid_t first = run_one();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(run_one(), first);
}

// WQ-105, WQ-106. Method: a short timeout; of many idle workers two stay, and they stay.
TEST(workers, surplus_workers_leave_after_the_idle_timeout_and_two_stay) {
  test_runtime rt{{.cpus = 2, .idle_timeout = 5ms}};
  workqueue queue{rt, {.name = "surplus"}};
  for (int round = 0; round < 3; ++round) {
    {
      crowd many{queue, 12};
    }
    EXPECT_GE(rt.pool().workers_max, 13u);
    eventually([&] { return rt.pool().workers == 2; });
    eventually([&] { return threads_named("wring/u0:") == 2; });
  }
  EXPECT_GE(rt.pool().workers_retired, 3 * 11u);
  EXPECT_EQ(rt.pool().workers_created - rt.pool().workers_retired, rt.pool().workers);
  gate ran;
  queue.submit([&] { ran.open(); });
  ran.wait();
}

// WQ-105. Method: while 12 workers are busy, (idle - 2) * 4 >= busy holds from 5 idle ones on.
TEST(workers, busy_workers_keep_more_idle_ones) {
  test_runtime rt{{.cpus = 2, .idle_timeout = 5ms}};
  workqueue queue{rt, {.name = "busy"}};
  crowd staying{queue, 12};
  { crowd leaving{queue, 12}; }
  // 12 busy: with 5 idle (5 - 2) * 4 >= 12, one leaves; with 4 (4 - 2) * 4 < 12, nobody does.
  eventually([&] { return rt.pool().workers == 16; });
  EXPECT_EQ(rt.pool().idle, 4u);
}

// WQ-104, WQ-106: retired workers are joined and their places used again; the names stay small.
TEST(workers, places_of_retired_workers_are_used_again) {
  test_runtime rt{{.cpus = 2, .max_workers = 8, .idle_timeout = 1ms}};
  workqueue queue{rt, {.name = "again"}};
  for (int round = 0; round < 30; ++round) {
    {
      crowd most{queue, 7};
    }
    if (round % 3 == 0) eventually([&] { return rt.pool().workers == 2; });
  }
  EXPECT_LE(rt->stats().workers.size(), 8u);
  rt.warnings.ignore();  // the limit may have been met
}

// The hard limit. Method: more blocking items than workers may exist; the opener is outside.
TEST(workers, the_limit_is_kept_and_reported_once) {
  test_runtime rt{{.cpus = 2, .max_workers = 3, .stall_floor = 0ms}};
  workqueue queue{rt, {.name = "limited"}};
  for (int round = 0; round < 3; ++round) {
    counter entered;
    gate release;
    for (int i = 0; i < 8; ++i) {
      queue.submit([&] {
        const blocking_scope scope;
        entered.add();
        release.wait();
      });
    }
    entered.wait_for(3);
    eventually([&] { return rt.pool().limit_reached > 0; });
    EXPECT_EQ(rt.pool().workers, 3u);
    release.open();
    queue.flush();
    EXPECT_EQ(entered.value(), 8);
  }
  EXPECT_EQ(rt.pool().workers_max, 3u);
  eventually([&] { return rt.warnings.count("limit of 3") != 0; });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// One worker in all: everything still runs, one after the other.
TEST(workers, a_pool_of_one_worker_runs_everything) {
  test_runtime rt{{.cpus = 2, .max_workers = 1, .stall_floor = 1ms}};
  workqueue one{rt, {.name = "one"}};
  workqueue two{rt, {.name = "two", .ordered = true}};
  std::atomic<int> runs{0};
  for (int i = 0; i < 500; ++i) (i % 2 == 0 ? one : two).submit([&] { runs.fetch_add(1); });
  one.flush();
  two.flush();
  EXPECT_EQ(runs.load(), 500);
  rt.warnings.ignore();
}

// WQ-143: what workers do is asked for while queues come and go: seen by the thread sanitizer.
TEST(workers, are_described_while_queues_come_and_go) {
  test_runtime rt;
  std::atomic<bool> over{false};
  std::thread watcher{[&] {
    while (!over.load()) {
      for (const worker_stats& w : rt->stats().workers) {
        if (w.state != worker_stats::state_kind::idle) {
          EXPECT_FALSE(w.description.empty());
        }
      }
    }
  }};
  for (int i = 0; i < 500; ++i) {
    const std::string name = "short-lived " + std::to_string(i);
    workqueue queue{rt, {.name = name}};
    for (int k = 0; k < 4; ++k) queue.submit([] {});
  }
  over.store(true);
  watcher.join();
}

}  // namespace
}  // namespace wring
