// SPDX-License-Identifier: Apache-2.0
// Groups of closures: waiting for all, exceptions, nesting, recursion (WQ-32, WQ-46, WQ-60, WQ-86).
#include "support/test_runtime.h"
#include "support/threads.h"

#include "base/thread_state.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace wring {
namespace {

using test::gate;
using test::overlap;
using test::plug;
using test::test_runtime;

TEST(task_group, wait_returns_after_all_children) {
  test_runtime rt;
  workqueue queue{rt, {.name = "parts"}};
  task_group parts{queue};
  parts.wait();  // none yet
  for (int round = 0; round < 100; ++round) {
    std::array<int, 50> done{};
    for (int& d : done) EXPECT_TRUE(parts.run([&d] { d = 1; }));
    parts.wait();
    EXPECT_EQ(std::accumulate(done.begin(), done.end(), 0), 50);  // plain data: ordered by wait()
  }
}

TEST(task_group, the_destructor_waits_for_the_children) {
  test_runtime rt;
  workqueue queue{rt, {.name = "scope"}};
  for (int round = 0; round < 100; ++round) {
    std::array<int, 8> done{};
    {
      task_group parts{queue};
      for (int& d : done) parts.run([&d] { d = 1; });
    }
    EXPECT_EQ(std::accumulate(done.begin(), done.end(), 0), 8);
  }
}

// Method: the only place of the queue is taken, so the group's children cannot start on a worker.
TEST(task_group, wait_does_not_run_children_beyond_max_active) {
  test_runtime rt;
  workqueue queue{rt, {.name = "one place", .max_active = 1}};
  overlap inside;
  task_group parts{queue};
  gate waiting;
  std::thread puller;
  {
    plug stopper{queue};
    for (int i = 0; i < 10; ++i) {
      parts.run([&] {
        inside.enter();
        std::this_thread::yield();
        inside.leave();
      });
    }
    puller = std::thread{[&] { stopper.pull(); }};
    parts.wait();
    puller.join();
  }
  EXPECT_EQ(inside.most(), 1);
}

TEST(task_group, the_first_exception_is_rethrown_after_all_children_have_finished) {
  test_runtime rt;
  workqueue queue{rt, {.name = "throwing"}};  // policy terminate does not apply: wait() is the owner
  task_group parts{queue};
  std::atomic<int> done{0};
  for (int i = 0; i < 20; ++i) {
    parts.run([&, i] {
      done.fetch_add(1);
      if (i % 5 == 3) throw std::runtime_error{"part " + std::to_string(i)};
    });
  }
  try {
    parts.wait();
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(std::string{e.what()}.substr(0, 5), "part ");
  }
  EXPECT_EQ(done.load(), 20);
  parts.run([] {});
  parts.wait();  // the group is as new
  EXPECT_EQ(queue.stats().exceptions, 0u);
}

TEST(task_group, an_exception_that_nobody_asks_for_is_a_warning_that_names_the_queue) {
  test_runtime rt;
  workqueue queue{rt, {.name = "unasked"}};
  {
    task_group parts{queue};
    parts.run([] { throw 1; });
  }
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("unasked"), std::string::npos);
}

TEST(task_group, children_may_add_children) {
  test_runtime rt;
  workqueue queue{rt, {.name = "grows"}};
  struct tree {
    task_group parts;
    std::atomic<int> nodes{0};
    void grow(int depth) {
      nodes.fetch_add(1);
      for (int i = 0; i < 2 && depth > 0; ++i) parts.run([this, depth] { grow(depth - 1); });
    }
  } t{task_group{queue}};
  t.parts.run([&t] { t.grow(10); });
  t.parts.wait();
  EXPECT_EQ(t.nodes.load(), 2'047);
}

TEST(task_group, several_threads_may_run_and_wait_on_one_group) {
  test_runtime rt;
  workqueue queue{rt, {.name = "shared"}};
  task_group parts{queue};
  std::atomic<int> runs{0};
  test::together(4, [&](int) {
    for (int i = 0; i < 500; ++i) {
      parts.run([&] { runs.fetch_add(1); });
      if (i % 10 == 0) parts.wait();
    }
  });
  parts.wait();
  EXPECT_EQ(runs.load(), 2'000);
}

// WQ-46.
// Which thread runs a child that has `behind` newer items of others behind it, while the only worker is stuck until the
// one who waits for the child sleeps.
std::thread::id who_runs_a_child(int behind) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}, .detect = detection::announced}};
  workqueue queue{rt, {.name = "deep"}};
  gate entered;
  gate leave;
  queue.submit([&] {
    entered.open();
    leave.wait();
  });
  entered.wait();
  task_group group{queue};
  std::thread::id who;
  group.run([&] { who = std::this_thread::get_id(); });
  for (int i = 0; i < behind; ++i) queue.submit([] {});
  const auto waiter = static_cast<std::uint32_t>(::gettid());
  std::thread rescuer{[&] {
    test::eventually([&] { return base::look_at_thread(waiter).state == 'S'; });
    leave.open();
  }};
  group.wait();
  rescuer.join();
  queue.flush();
  return who;
}

// WQ-60: who waits from outside looks for children among the newest 256 items; a longer search would hold up the queue.
TEST(task_group, a_waiter_from_outside_looks_at_256_items) {
  EXPECT_EQ(who_runs_a_child(0), std::this_thread::get_id());
  EXPECT_EQ(who_runs_a_child(255), std::this_thread::get_id());
  EXPECT_NE(who_runs_a_child(256), std::this_thread::get_id());
}

// An error is kept and taken by many threads, each after the one before it: seen by the thread sanitizer.
TEST(task_group, errors_are_kept_and_taken_by_many_at_once) {
  test_runtime rt;
  workqueue queue{rt, {.name = "errors"}};
  task_group group{queue};
  std::atomic<int> caught{0};
  constexpr int rounds = 400;
  test::together(4, [&](int who) {
    for (int i = 0; i < rounds; ++i) {
      group.run([] { throw std::runtime_error{"on purpose"}; });
      if (who % 2 != 0) continue;
      try {
        group.wait();
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "on purpose");
        ++caught;
      }
    }
  });
  try {
    group.wait();
  } catch (const std::runtime_error&) {
    ++caught;
  }
  EXPECT_GE(caught.load(), 1);
}

TEST(task_group, run_on_a_draining_queue_returns_false_and_wait_does_not_wait_for_it) {
  test_runtime rt;
  workqueue queue{rt, {.name = "refusing"}};
  plug stopper{queue};
  std::thread drainer{[&] { queue.drain(); }};
  test::eventually([&] { return !queue.submit([] {}); });
  task_group parts{queue};
  EXPECT_FALSE(parts.run([] { ADD_FAILURE(); }));
  parts.wait();
  stopper.pull();
  drainer.join();
  rt.warnings.ignore();
}

// WQ-32, WQ-154. Method: the only counted worker is busy elsewhere, so the waiting thread starts the children
// itself; they must start in queue order, and after what was queued before them.
TEST(task_group, children_on_an_ordered_queue_start_in_queue_order) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}}};
  workqueue other{rt, {.name = "other"}};
  workqueue ordered{rt, {.name = "ordered", .ordered = true}};
  std::vector<int> order;
  gate entered;
  gate release;
  other.submit([&] {
    entered.open();
    release.wait();
  });
  entered.wait();
  task_group parts{ordered};
  ordered.submit([&order] { order.push_back(0); });
  for (int i = 1; i < 10; ++i) parts.run([&order, i] { order.push_back(i); });
  std::thread opener{[&] {
    for (int i = 0; i < 200; ++i) std::this_thread::yield();
    release.open();
  }};
  parts.wait();
  opener.join();
  ordered.flush();
  std::vector<int> expected(10);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

struct recursion {
  workqueue& queue;
  std::atomic<int> levels{0};
  void descend(int depth) {
    levels.fetch_add(1);
    if (depth == 0) return;
    task_group inner{queue};
    inner.run([this, depth] { descend(depth - 1); });
    inner.wait();
  }
};

void recurse(workqueue& queue, int depth) {
  recursion r{queue};
  task_group outer{queue};
  outer.run([&] { r.descend(depth); });
  outer.wait();
  EXPECT_EQ(r.levels.load(), depth + 1);
}

// The bound of the milestone: 10,000 levels, one CPU, fewer than 100 threads.
TEST(task_group, recursion_of_ten_thousand_levels_on_one_cpu_needs_fewer_than_100_threads) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "deep"}};
  recurse(queue, 10'000);
  EXPECT_LT(rt.pool().workers_max, 100u);
}

// The same from inside of a worker, so that no big stack of the calling thread helps.
TEST(task_group, recursion_that_begins_in_a_worker_needs_fewer_than_100_threads) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "deep"}};
  queue.submit([&] { recurse(queue, 10'000); });
  queue.flush();
  EXPECT_LT(rt.pool().workers_max, 100u);
}

// WQ-24, turned around: the depth of a recursion is not bounded by the places of its queue.
TEST(task_group, recursion_deeper_than_max_active_does_not_deadlock) {
  for (const unsigned places : {1u, 2u, 3u}) {
    test_runtime rt{{.cpus = 2}};
    workqueue queue{rt, {.name = "few places", .max_active = places}};
    queue.submit([&] { recurse(queue, 10'000); });
    queue.flush();
  }
}

// Nobody else can start the children, since both slots are taken by who waits for them; so they are found, however many
// items came later.
TEST(task_group, who_holds_the_last_slot_finds_its_child_behind_all_that_came_later) {
  test_runtime rt{{.cpus = 2}};
  workqueue queue{rt, {.name = "two places", .max_active = 2}};
  std::atomic<int> later{0};
  std::atomic<int> arrived{0};
  gate both;
  for (int i = 0; i < 2; ++i) {
    queue.submit([&] {
      task_group group{queue};
      {
        const blocking_scope scope;  // so that the child is not kept
        group.run([] {});
        for (int k = 0; k < 1000; ++k) queue.submit([&] { ++later; });
        if (++arrived == 2) both.open();
        both.wait();
      }
      group.wait();
    });
  }
  queue.drain();
  EXPECT_EQ(later, 2000);
}

TEST(task_group, recursion_on_an_ordered_queue_does_not_deadlock) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "ordered", .ordered = true}};
  queue.submit([&] { recurse(queue, 1'000); });
  queue.flush();
}

// Nests on an ordered queue until the stack of its worker is half used; the child after that runs on another worker's.
struct lent_stack {
  workqueue& queue;
  void (*child)(lent_stack&);
  std::thread::id first{};
  gate entered{};
  gate released{};

  void begin() {
    queue.submit([this] {
      first = std::this_thread::get_id();
      descend();
    });
  }
  void descend() {
    if (std::this_thread::get_id() != first) return child(*this);
    task_group inner{queue};
    inner.run([this] { descend(); });
    inner.wait();
  }
};

TEST(task_group, a_worker_that_lends_its_stack_is_shown_and_reported_as_task_group) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "nested", .ordered = true}};
  lent_stack s{queue, [](lent_stack& self) {
                 const blocking_scope scope;
                 self.entered.open();
                 self.released.wait();
               }};
  s.begin();
  s.entered.wait();
  unsigned helpers = 0;
  for (const worker_stats& w : rt->stats().workers) {
    if (w.description == "task_group" && w.state == worker_stats::state_kind::blocked) ++helpers;
  }
  EXPECT_EQ(helpers, 1u) << rt->describe();
  const shutdown_report report = rt->shutdown(std::chrono::nanoseconds{0});
  EXPECT_FALSE(report.complete);
  EXPECT_NE(report.text().find("in a callback of 'task_group'"), std::string::npos) << report.text();
  s.released.open();
  EXPECT_TRUE(rt->shutdown(std::chrono::hours{1}).complete);
}

// WQ-U1. Method: the child spins, so it is not seen to wait, until an item has run that needs the only CPU's place.
TEST(task_group, the_floor_replaces_a_worker_that_lends_its_stack_to_a_child_that_is_stuck) {
  test_runtime rt{{.cpus = 1,
                   .stall_floor = std::chrono::milliseconds{5},
                   .cpu_intensive_threshold = std::chrono::microseconds{0}}};
  workqueue queue{rt, {.name = "nested", .ordered = true}};
  workqueue other{rt, {.name = "other"}};
  lent_stack s{queue, [](lent_stack& self) {
                 self.entered.open();
                 while (!self.released.is_open()) std::this_thread::yield();
               }};
  s.begin();
  s.entered.wait();
  other.submit([&] { s.released.open(); });
  queue.flush();
  EXPECT_GE(rt.pool().stalls, 1u);
}

int fibonacci(workqueue& queue, int n) {
  if (n < 2) return n;
  int left = 0;
  task_group half{queue};
  half.run([&] { left = fibonacci(queue, n - 1); });
  const int right = fibonacci(queue, n - 2);
  half.wait();
  return left + right;
}

TEST(task_group, nested_groups_on_one_and_many_cpus_give_the_right_sum) {
  for (const unsigned cpus : {1u, 2u, 4u}) {
    test_runtime rt{{.cpus = cpus}};
    for (const unsigned places : {0u, 1u, 2u}) {
      workqueue queue{rt, {.name = "fibonacci", .max_active = places}};
      EXPECT_EQ(fibonacci(queue, 15), 610);
      queue.submit([&] { EXPECT_EQ(fibonacci(queue, 14), 377); });
      queue.flush();
    }
  }
}

// Groups over two queues, each waiting for the other's children.
TEST(task_group, groups_that_alternate_between_queues_do_not_deadlock) {
  test_runtime rt{{.cpus = 1}};
  workqueue one{rt, {.name = "one"}};
  workqueue two{rt, {.name = "two"}};
  struct {
    workqueue& one;
    workqueue& two;
    std::atomic<int> levels{0};
    void descend(int depth) {
      levels.fetch_add(1);
      if (depth == 0) return;
      task_group inner{depth % 2 == 0 ? one : two};
      for (int i = 0; i < 2; ++i) inner.run([this, depth] { descend(depth - 1); });
      inner.wait();
    }
  } s{one, two};
  s.descend(9);
  EXPECT_EQ(s.levels.load(), 1'023);
}

// A child may block, announced: the wait, and the others, go on.
TEST(task_group, children_that_block_for_one_another_finish_on_one_cpu) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}}};
  workqueue queue{rt, {.name = "blocks"}};
  queue.submit([&] {
    gate opened;
    task_group parts{queue};
    for (int i = 0; i < 5; ++i) {
      parts.run([&] {
        const blocking_scope scope;
        opened.wait();
      });
    }
    queue.submit([&] { opened.open(); });
    parts.wait();
  });
  queue.flush();
}

}  // namespace
}  // namespace wring
