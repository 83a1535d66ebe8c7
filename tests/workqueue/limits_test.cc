// SPDX-License-Identifier: Apache-2.0
// max_active and min_active of living queues (WQ-24, WQ-127, WQ-128, WQ-151).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>

namespace wring {
namespace {

using test::counter;
using test::eventually;
using test::gate;
using test::test_runtime;

// Callbacks that wait for the gate, announced, so that nothing but the queue's limit bounds their number.
class crowd {
 public:
  crowd(workqueue& queue, int items) : queue_{queue} {
    for (int i = 0; i < items; ++i) {
      queue.submit([this] {
        const blocking_scope scope;
        entered_.add();
        released_.wait();
      });
    }
  }
  ~crowd() {
    released_.open();
    queue_.flush();
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  void wait_for(int n) { entered_.wait_for(n); }
  [[nodiscard]] int entered() { return entered_.value(); }

 private:
  workqueue& queue_;
  counter entered_;
  gate released_;
};

// WQ-127. Method: the number that entered can only be that of the limit, since nobody leaves.
TEST(limits, more_start_at_once_when_max_active_is_raised) {
  test_runtime rt;
  for (const bool unmanaged : {false, true}) {
    workqueue queue{rt, {.name = "raised", .max_active = 2, .unmanaged = unmanaged}};
    crowd c{queue, 9};
    c.wait_for(2);
    EXPECT_EQ(queue.stats().active, 2u);
    EXPECT_TRUE(queue.set_max_active(7));
    c.wait_for(7);
    EXPECT_EQ(queue.stats().max_active, 7u);
    EXPECT_EQ(queue.stats().active, 7u);
    EXPECT_TRUE(queue.stats().congested);
    rt->audit();
  }
}

// WQ-127: those that run go on, and none starts before enough have ended. Method: each is let go alone.
TEST(limits, those_that_run_go_on_when_max_active_is_lowered) {
  test_runtime rt;
  workqueue queue{rt, {.name = "lowered", .max_active = 6}};
  std::atomic<int> inside{0};
  std::atomic<int> most_after{0};
  counter entered;
  gate first_released;
  for (int i = 0; i < 6; ++i) {
    queue.submit([&] {
      const blocking_scope scope;
      inside.fetch_add(1);
      entered.add();
      first_released.wait();
      inside.fetch_sub(1);
    });
  }
  entered.wait_for(6);
  EXPECT_TRUE(queue.set_max_active(2));
  EXPECT_EQ(queue.stats().active, 6u);
  rt->audit();
  for (int i = 0; i < 200; ++i) {
    queue.submit([&] {
      const int now = inside.fetch_add(1) + 1;
      int seen = most_after.load();
      while (now > seen && !most_after.compare_exchange_weak(seen, now)) continue;
      std::this_thread::yield();
      inside.fetch_sub(1);
    });
  }
  first_released.open();
  queue.flush();
  EXPECT_LE(most_after.load(), 2);
  EXPECT_GE(most_after.load(), 1);
}

// The same for a leader of short items, which goes on without asking anybody. Method: beside one that is held, the item
// of a leader lowers the limit and queues others; none of them may start before the one that is held has ended.
TEST(limits, a_leader_of_short_items_keeps_to_a_lower_max_active) {
  test_runtime rt{{.cpus = 2}};
  workqueue queue{rt, {.name = "led", .max_active = 8}};
  for (int round = 0; round < 20; ++round) {
    gate held;
    counter entered;
    queue.submit([&] {
      const blocking_scope scope;
      entered.add();
      held.wait();
    });
    entered.wait_for(1);
    counter brief;
    for (int i = 0; i < 1'000; ++i) queue.submit([&] { brief.add(); });
    brief.wait_for(1'000);
    std::atomic<int> started{0};
    counter lowered;
    queue.submit([&] {
      EXPECT_TRUE(queue.set_max_active(1));
      for (int i = 0; i < 100; ++i) queue.submit([&] { started.fetch_add(1); });
      lowered.add();
    });
    lowered.wait_for(1);
    eventually([&] { return queue.stats().active == 1; });
    EXPECT_EQ(started.load(), 0) << "none starts beside the one that is held";
    held.open();
    queue.flush();
    EXPECT_EQ(started.load(), 100);
    ASSERT_TRUE(queue.set_max_active(8));
  }
}

// A child that comes while its group's waiter keeps the only slot that is left. Nobody else may start it, and the
// waiter sleeps already.
TEST(limits, that_are_lowered_leave_a_group_its_waiters_slot) {
  test_runtime rt;
  workqueue queue{rt, {.name = "groups", .max_active = 2}};
  counter begun;
  gate released;
  std::atomic<int> ran{0};
  std::atomic<bool> waits{false};
  queue.submit([&] {
    task_group group{queue};
    group.run([&] {
      {
        const blocking_scope scope;
        begun.add();
        released.wait();
      }
      group.run([&] { ran.fetch_add(1); });
    });
    {
      const blocking_scope scope;
      begun.wait_for(1);  // another worker has it
    }
    waits.store(true);
    group.wait();
    ran.fetch_add(1);
  });
  eventually([&] { return waits.load() && rt.pool().blocked == 2; });
  ASSERT_TRUE(queue.set_max_active(1));
  released.open();
  queue.flush();
  EXPECT_EQ(ran.load(), 2);
}

// A leader that was to be alone is stuck in its item; those behind it start without it. No floor, no looks.
TEST(limits, what_waits_behind_one_that_was_to_be_alone_starts_when_it_need_not_be) {
  test_runtime rt{{.cpus = 2, .stall_floor = std::chrono::milliseconds{0}, .detect = detection::announced}};
  workqueue queue{rt, {.name = "alone", .max_active = 1}};
  gate released;
  counter entered;
  queue.submit([&] {
    entered.add();
    released.wait();
  });
  counter others;
  for (int i = 0; i < 3; ++i) queue.submit([&] { others.add(); });
  entered.wait_for(1);
  EXPECT_EQ(others.value(), 0);
  EXPECT_TRUE(queue.set_max_active(2));
  others.wait_for(3);
  released.open();
  queue.flush();
}

// WQ-127. Method: the callback itself changes the limit of its queue, as leader and not.
TEST(limits, may_be_changed_by_the_queues_own_callbacks) {
  test_runtime rt;
  workqueue queue{rt, {.name = "own", .max_active = 1}};
  std::atomic<int> ran{0};
  for (int i = 0; i < 500; ++i) {
    queue.submit([&, i] {
      queue.set_max_active(static_cast<unsigned>(i) % 5 + 1);
      ran.fetch_add(1);
    });
  }
  queue.flush();
  EXPECT_EQ(ran.load(), 500);
}

// WQ-22, WQ-127
TEST(limits, out_of_range_are_clamped_with_a_warning) {
  test_runtime rt;
  workqueue queue{rt, {.name = "clamped"}};
  EXPECT_TRUE(queue.set_max_active(5'000));
  EXPECT_EQ(queue.stats().max_active, 2'048u);
  EXPECT_TRUE(queue.set_max_active(0));
  EXPECT_EQ(queue.stats().max_active, 1u);
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("'clamped': max_active 5000 is above 2048; using 2048"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[1].find("max_active 0 is below 1; using 1"), std::string::npos) << warnings[1];
}

// WQ-32, WQ-24, WQ-127
TEST(limits, of_an_ordered_queue_stay_as_they_are) {
  test_runtime rt;
  workqueue queue{rt, {.name = "ordered", .ordered = true}};
  EXPECT_FALSE(queue.set_max_active(2));
  EXPECT_FALSE(queue.set_min_active(2));
  EXPECT_EQ(queue.stats().max_active, 1u);
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 2u);
  for (const std::string& line : warnings) EXPECT_NE(line.find("'ordered' is ordered"), std::string::npos) << line;
}

// WQ-23, WQ-24, WQ-128: shares of two nodes of two CPUs each, and at least min_active.
TEST(limits, of_a_queue_per_node_are_shared_anew) {
  test_runtime rt{{.topology = "node:2 core:2 pu:1"}};
  workqueue queue{
      rt, {.name = "nodes", .max_active = 40, .attributes = {.scope = wring::affinity_scope::numa, .strict = true}}};
  EXPECT_EQ(queue.stats().max_active, 20u) << "half of it on each";
  EXPECT_TRUE(queue.set_max_active(10));
  EXPECT_EQ(queue.stats().max_active, 8u) << "min_active";
  EXPECT_TRUE(queue.set_min_active(2));
  EXPECT_EQ(queue.stats().max_active, 5u);
  EXPECT_TRUE(queue.set_min_active(100)) << "clamped to max_active";
  EXPECT_EQ(queue.stats().max_active, 10u);
  EXPECT_TRUE(queue.set_max_active(4));
  EXPECT_EQ(queue.stats().max_active, 4u) << "min_active goes down with it";
  EXPECT_TRUE(queue.set_max_active(20));
  EXPECT_EQ(queue.stats().max_active, 10u) << "and does not come back";
  workqueue bound{rt, {.name = "bound", .max_active = 3, .per_cpu = true}};
  EXPECT_TRUE(bound.set_max_active(5));
  EXPECT_EQ(bound.stats().max_active, 5u) << "on each CPU";
  EXPECT_FALSE(bound.set_min_active(2));
  EXPECT_EQ(rt.warnings.count("'bound' is per_cpu, it has no min_active"), 1u);
  rt.warnings.ignore();  // nor may the pools be bound to the CPUs of that machine
}

}  // namespace
}  // namespace wring
