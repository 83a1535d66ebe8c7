// SPDX-License-Identifier: Apache-2.0
// Freeze and thaw (WQ-27, WQ-125).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

namespace wring {
namespace {

using test::counter;
using test::eventually;
using test::gate;
using test::test_runtime;
using namespace std::chrono_literals;

// WQ-27, WQ-125.
TEST(freeze, lets_what_runs_end_and_starts_nothing_until_the_thaw) {
  test_runtime rt;
  for (const bool ordered : {false, true}) {
    workqueue queue{rt, {.name = "freezable", .ordered = ordered, .freezable = true}};
    workqueue other{rt, {.name = "other"}};
    gate released;
    counter entered;
    queue.submit([&] {
      const blocking_scope scope;
      entered.add();
      released.wait();
    });
    entered.wait_for(1);
    ASSERT_TRUE(rt->freeze_begin());
    EXPECT_TRUE(rt->freeze_busy());
    counter ran;
    work item{[&] { ran.add(); }};
    EXPECT_TRUE(queue.queue(item)) << "queue calls still succeed";
    EXPECT_FALSE(queue.queue(item)) << "it is pending";
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(queue.submit([&] { ran.add(); }));
    released.open();
    eventually([&] { return !rt->freeze_busy(); });
    other.submit([] {});
    other.flush();  // others go on
    EXPECT_EQ(ran.value(), 0);
    EXPECT_TRUE(item.pending());
    rt->audit();
    EXPECT_NE(rt->describe().find("(frozen)"), std::string::npos);
    rt->thaw();
    queue.flush();
    EXPECT_EQ(ran.value(), 51);
  }
}

// WQ-125.
TEST(freeze, of_a_queue_that_is_made_meanwhile_begins_at_once) {
  test_runtime rt;
  ASSERT_TRUE(rt->freeze_begin());
  workqueue queue{rt, {.name = "new", .freezable = true}};
  workqueue divided{rt, {.name = "on each CPU", .per_cpu = true, .freezable = true}};
  counter ran;
  for (int i = 0; i < 10; ++i) queue.submit([&] { ran.add(); });
  divided.submit([&] { ran.add(); });
  // Whoever was woken has looked for something to start.
  eventually([&] {
    const runtime_stats stats = rt->stats();
    return std::ranges::all_of(stats.pools, [](const pool_stats& p) { return p.idle == p.workers; });
  });
  EXPECT_FALSE(rt->freeze_busy());
  EXPECT_EQ(ran.value(), 0);
  rt->thaw();
  queue.flush();
  divided.flush();
  EXPECT_EQ(ran.value(), 11);
}

// WQ-125.
TEST(freeze, keeps_the_order_of_what_waits) {
  test_runtime rt;
  workqueue queue{rt, {.name = "ordered", .ordered = true, .freezable = true}};
  std::vector<int> order;
  for (int i = 0; i < 300; ++i) {
    if (i == 100) {
      ASSERT_TRUE(rt->freeze_begin());
    }
    if (i == 200) rt->thaw();
    queue.submit([&order, i] { order.push_back(i); });
  }
  queue.flush();
  ASSERT_EQ(order.size(), 300u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// The callback could not end otherwise, and freeze_busy() would never become false.
TEST(freeze, runs_the_children_that_a_running_callback_waits_for) {
  test_runtime rt;
  workqueue queue{rt, {.name = "nested", .freezable = true}};
  gate begun;
  counter entered;
  std::atomic<int> children{0};
  queue.submit([&] {
    {
      const blocking_scope scope;
      entered.add();
      begun.wait();
    }
    task_group group{queue};
    for (int i = 0; i < 20; ++i) group.run([&] { children.fetch_add(1); });
    group.wait();
  });
  entered.wait_for(1);
  ASSERT_TRUE(rt->freeze_begin());
  begun.open();
  eventually([&] { return !rt->freeze_busy(); });
  EXPECT_EQ(children.load(), 20);
  rt->thaw();
}

// The same for one that sleeps already when its group gets another child.
TEST(freeze, runs_the_children_that_a_sleeping_callback_waits_for) {
  test_runtime rt;
  workqueue queue{rt, {.name = "asleep", .freezable = true}};
  counter begun;
  gate released;
  std::atomic<bool> waits{false};
  std::atomic<int> children{0};
  queue.submit([&] {
    task_group group{queue};
    group.run([&] {
      {
        const blocking_scope scope;
        begun.add();
        released.wait();
      }
      group.run([&] { children.fetch_add(1); });
    });
    {
      const blocking_scope scope;
      begun.wait_for(1);
    }
    waits.store(true);
    group.wait();
  });
  eventually([&] { return waits.load() && rt.pool().blocked == 2; });
  ASSERT_TRUE(rt->freeze_begin());
  released.open();
  eventually([&] { return !rt->freeze_busy(); });
  EXPECT_EQ(children.load(), 1);
  rt->thaw();
}

// WQ-125.
TEST(freeze, twice_is_misuse_and_a_thaw_without_is_nothing) {
  test_runtime rt;
  rt->thaw();
  ASSERT_TRUE(rt->freeze_begin());
  EXPECT_FALSE(rt->freeze_begin());
  EXPECT_EQ(rt.misuses.take().size(), 1u);
  rt->thaw();
  rt->thaw();
  EXPECT_TRUE(rt->freeze_begin());
  rt->thaw();
}

// Delayed items come due and wait, cancelled ones go.
TEST(freeze, takes_delayed_items_in_and_lets_cancelled_ones_go) {
  test_runtime rt;
  workqueue queue{rt, {.name = "later", .freezable = true}};
  counter ran;
  delayed_work later{[&] { ran.add(); }};
  work never{[&] { ran.add(); }};
  ASSERT_TRUE(rt->freeze_begin());
  queue.queue_delayed(later, 1ms);
  queue.queue(never);
  eventually([&] { return rt->describe().find(" 0 timers armed") != std::string::npos; });
  EXPECT_TRUE(never.cancel_sync());
  EXPECT_EQ(ran.value(), 0);
  EXPECT_FALSE(rt->freeze_busy());
  rt->thaw();
  ran.wait_for(1);
  queue.flush();
  EXPECT_EQ(ran.value(), 1);
}

TEST(freeze, ends_with_the_queue_and_with_the_runtime) {
  test_runtime rt;
  counter ran;
  workqueue stays{rt, {.name = "stays", .freezable = true}};
  ASSERT_TRUE(rt->freeze_begin());
  {
    workqueue ends{rt, {.name = "ends", .freezable = true}};
    ends.submit([&] { ran.add(); });
  }
  EXPECT_EQ(ran.value(), 1);
  stays.submit([&] { ran.add(); });
  EXPECT_EQ(ran.value(), 1);
  EXPECT_TRUE(rt->shutdown(1h).complete);
  EXPECT_EQ(ran.value(), 2);
}

}  // namespace
}  // namespace wring
