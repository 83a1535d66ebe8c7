// SPDX-License-Identifier: Apache-2.0
// Waits across queues: circles of them are reported before they hang, with both places, and so are queues with a
// rescuer that wait for queues without one.
//
// Most circles here are closed by waits that come one after the other, so that nothing hangs. Where a wait has to find
// something to wait for, that goes on until the report has come: so the report comes before the wait.
#include "support/forked.h"
#include "support/test_runtime.h"

#include <wring/legacy.h>
#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

// The names of these are in the reports: the program gives its symbols away. What they do after the wait keeps their
// frame alive.
namespace {
std::atomic<int> waits_ended{0};
}
extern "C" {
[[gnu::noinline, gnu::visibility("default")]] void first_wait(wring::workqueue& q) {
  q.flush();
  waits_ended.fetch_add(1);
}
[[gnu::noinline, gnu::visibility("default")]] void second_wait(wring::workqueue& q) {
  q.flush();
  waits_ended.fetch_add(1);
}
}

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::claims;
using test::counter;
using test::eventually;
using test::gate;
using test::in_forked_child;
using test::test_runtime;

constexpr const char* circle = "queues whose callbacks wait for each other may hang";

runtime_options watched() { return {.cpus = 4, .deadlock_graph = true}; }

// Runs it in a callback of the queue, to its end.
void in(workqueue& q, const std::function<void()>& what) {
  q.submit([&what] { what(); });
  q.flush();
}

// A wait for a queue that ends at once, whatever is in the queue.
void touch(workqueue& q) { task_group{q}.wait(); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string edges(test_runtime& rt) {
  const std::string text = rt->describe();
  const auto at = text.find("wait graph: ");
  return at == std::string::npos ? "none" : text.substr(at, text.find('\n', at) - at);
}

// WQ-86: lockdep's way: it need not hang to be found, and is said once.
TEST(wait_graph, two_queues_that_wait_for_each_other_are_reported_once_with_both_places) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  in(a, [&] { first_wait(b); });
  EXPECT_EQ(rt.warnings.take().size(), 0u);
  in(b, [&] { second_wait(a); });
  const auto lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  const std::string& line = lines[0];
  EXPECT_TRUE(has(line, circle)) << line;
  const auto back = line.find("'b' waits for 'a' (flush() at second_wait+0x");
  const auto forth = line.find("'a' waits for 'b' (flush() at first_wait+0x");
  ASSERT_NE(back, std::string::npos) << line;
  ASSERT_NE(forth, std::string::npos) << line;
  EXPECT_LT(back, forth) << "first the wait that closes the circle: " << line;
  const auto callback = line.find(", callback workqueue_wait_graph");
  EXPECT_NE(callback, std::string::npos) << line;
  EXPECT_NE(line.find(", callback workqueue_wait_graph", callback + 1), std::string::npos) << line;
  for (int i = 0; i < 3; ++i) {
    in(a, [&] { first_wait(b); });
    in(b, [&] { second_wait(a); });
  }
}

// WQ-86: of any length, and whatever kinds of queues; all members of a divided queue are one.
TEST(wait_graph, a_circle_of_three_queues_is_reported) {
  test_runtime rt{{.cpus = 2, .topology = "core:2 pu:1", .deadlock_graph = true}};
  workqueue a{rt, {.name = "a", .ordered = true}};
  workqueue b{rt, {.name = "b", .per_cpu = true}};
  workqueue c{rt, {.name = "c", .high_priority = true}};
  in(c, [&] { touch(a); });
  b.run_on_each_cpu([&](unsigned cpu) {
    if (cpu == 1) touch(c);
  });
  EXPECT_EQ(rt.warnings.take().size(), 0u);
  in(a, [&] { b.run_on(0, [] {}); });
  const auto lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(has(lines[0], "'a' waits for 'b' (run_on()")) << lines[0];
  EXPECT_TRUE(has(lines[0], "'b' waits for 'c' (task_group::wait()")) << lines[0];
  EXPECT_TRUE(has(lines[0], "'c' waits for 'a' (task_group::wait()")) << lines[0];
}

// WQ-86: a long one is told in part.
TEST(wait_graph, a_circle_of_twenty_queues_is_reported) {
  test_runtime rt{watched()};
  std::deque<workqueue> ring;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "q" + std::to_string(i);
    ring.emplace_back(rt, workqueue_options{.name = name});
  }
  for (std::size_t i = 0; i < 20; ++i) in(ring[i], [&] { touch(ring[(i + 1) % 20]); });
  const auto lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(has(lines[0], "'q19' waits for 'q0'")) << lines[0];
  EXPECT_TRUE(has(lines[0], "'q13' waits for 'q14'")) << lines[0];
  EXPECT_TRUE(has(lines[0], "'q14' waits for 4 more, the last of which waits for the first")) << lines[0];
}

// WQ-86: waits that go one way are fine, whatever they are.
TEST(wait_graph, waits_without_a_circle_are_not_reported) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  workqueue c{rt, {.name = "c"}};
  workqueue d{rt, {.name = "d"}};
  in(c, [&] { d.flush(); });
  in(b, [&] { c.flush(); });
  in(b, [&] { d.drain(); });
  in(a, [&] {
    b.flush();
    c.flush();
    d.flush();
    touch(a);  // its own
  });
  a.flush();  // from outside
  EXPECT_EQ(edges(rt), "wait graph: 6 ways in which one queue waits for another");
}

// WQ-86: the new queue has the memory of the old one.
TEST(wait_graph, forgets_a_queue_that_has_ended) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  for (int i = 0; i < 3; ++i) {
    workqueue b{rt, {.name = "b", .per_cpu = i == 1}};
    in(a, [&] { touch(b); });
  }
  EXPECT_EQ(edges(rt), "wait graph: 0 ways in which one queue waits for another");
  workqueue b{rt, {.name = "b"}};
  in(b, [&] { touch(a); });
  EXPECT_EQ(rt.warnings.take().size(), 0u);
  in(a, [&] { touch(b); });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-86, WQ-115: what it was waited for in the pool of before is known in the pool of now.
TEST(wait_graph, remembers_a_queue_that_changes_its_pools) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b", .rescuer = true}};
  work item{[&] { eventually([&] { return rt.warnings.count("may hang") != 0; }); }};
  b.set_attributes({.nice = 1});
  in(b, [&] { touch(a); });
  EXPECT_EQ(rt.warnings.count("'b', which has a rescuer, waits for queue 'a', which has none"), 1u);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
  b.set_attributes({.nice = 2});
  b.queue(item);
  in(a, [&] { item.flush(); });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

TEST(wait_graph, is_off_if_nobody_asks_for_it) {
  test_runtime rt;
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  in(a, [&] { b.flush(); });
  in(b, [&] { a.flush(); });
  EXPECT_EQ(edges(rt), "none");
}

TEST(wait_graph, may_be_asked_for_by_the_environment) {
  for (const char* const value : {"0", "1"}) {
    ::setenv("WRING_DEADLOCK_GRAPH", value, 1);
    test_runtime rt{{.cpus = 1, .deadlock_graph = value[0] == '0'}};
    ::unsetenv("WRING_DEADLOCK_GRAPH");
    const workqueue a{rt, {.name = "a"}};
    EXPECT_EQ(edges(rt) != "none", value[0] == '1');
  }
}

// WQ-86, WQ-96, WQ-98: b's item runs until the report has come, which is hence before the wait; cancelling counts.
TEST(wait_graph, every_kind_of_wait_counts_and_is_reported_before_it_waits) {
  struct both {
    std::unique_ptr<workqueue>& b;
    work& item;
    delayed_work& delayed;
    const std::function<void()>& until_it_is_reported;
  };
  struct kind {
    const char* name;
    void (*wait)(const both&);
  };
  const kind kinds[] = {
      {"flush()", [](const both& x) { x.b->flush(); }},
      {"drain()", [](const both& x) { x.b->drain(); }},
      {"the destructor", [](const both& x) { x.b.reset(); }},
      {"flush()", [](const both& x) { x.item.flush(); }},
      {"flush()", [](const both& x) { x.delayed.flush(); }},
      {"cancel_sync()", [](const both& x) { x.item.cancel_sync(); }},
      {"cancel_sync()", [](const both& x) { x.delayed.cancel_sync(); }},
      {"cancel_sync_for()", [](const both& x) { x.item.cancel_sync_for(1h); }},
      {"cancel_sync_for()", [](const both& x) { x.delayed.cancel_sync_for(1h); }},
      {"disable_sync()", [](const both& x) { x.item.disable_sync(); }},
      {"disable_sync()", [](const both& x) { x.delayed.disable_sync(); }},
      {"run_on_each_cpu()", [](const both& x) { x.b->run_on_each_cpu([] {}); }},
      {"~task_group()",
       [](const both& x) {
         task_group group{*x.b};
         group.run(x.until_it_is_reported);  // or there may be nothing to wait for by then
       }},
  };
  for (const kind& k : kinds) {
    test_runtime rt{watched()};
    workqueue a{rt, {.name = "a"}};
    auto b = std::make_unique<workqueue>(rt, workqueue_options{.name = "b", .per_cpu = true});
    in(*b, [&] { touch(a); });
    counter begun;
    const std::function<void()> until_it_is_reported = [&] {
      const blocking_scope scope;
      begun.add();
      eventually([&] { return rt.warnings.count(circle) != 0; });
    };
    work item{[&] { until_it_is_reported(); }};
    delayed_work delayed{[&] { until_it_is_reported(); }};
    b->queue(item);
    b->queue(delayed);
    begun.wait_for(2);
    in(a, [&] { k.wait({b, item, delayed, until_it_is_reported}); });
    item.flush();
    delayed.flush();
    const auto lines = rt.warnings.take();
    ASSERT_EQ(lines.size(), 1u) << k.name;
    EXPECT_TRUE(has(lines[0], std::string{"'a' waits for 'b' ("} + k.name + " at ")) << lines[0];
  }
}

// WQ-82, WQ-86: the item waits in its queue, behind one that runs.
TEST(wait_graph, a_wait_for_a_pending_item_counts) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b", .ordered = true}};
  in(b, [&] { touch(a); });
  work item{[] {}};
  b.submit([&] { eventually([&] { return rt.warnings.count(circle) != 0; }); });
  b.queue(item);
  in(a, [&] { EXPECT_TRUE(item.flush()); });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-86: an item that is idle says nothing about where it may be next.
TEST(wait_graph, a_wait_for_an_idle_item_does_not_count) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  work item{[] {}};
  b.queue(item);
  b.flush();
  in(a, [&] { item.cancel_sync(); });
  EXPECT_EQ(edges(rt), "wait graph: 0 ways in which one queue waits for another");
}

// WQ-86: the one that task groups do not solve. Each callback has the only slot of its queue and waits for a child that
// needs the other one. It hangs until there is one slot more, which is when it has been reported.
TEST(wait_graph, groups_on_each_others_full_queues_are_reported_before_they_hang) {
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a", .max_active = 1}};
  workqueue b{rt, {.name = "b", .max_active = 1}};
  counter inside;
  std::atomic<int> ran{0};
  const auto wait_for_child_on = [&](workqueue& other) {
    inside.add();
    inside.wait_for(2);
    task_group group{other};
    group.run([&] { ran.fetch_add(1); });
    group.wait();
  };
  a.submit([&] { wait_for_child_on(b); });
  b.submit([&] { wait_for_child_on(a); });
  eventually([&] { return rt.warnings.count(circle) != 0; });
  a.set_max_active(2);
  a.flush();
  b.flush();
  EXPECT_EQ(ran.load(), 2);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-86: a child that is run on the spot, here by a thread of no pool, is a callback of its group's queue.
TEST(wait_graph, what_a_waiter_runs_itself_counts_for_its_own_queue) {
  test_runtime rt{{.cpus = 1, .max_workers = 1, .deadlock_graph = true}};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  in(b, [&] { touch(a); });
  gate release;
  workqueue plug{rt, {.name = "plug"}};
  plug.submit([&] { release.wait(); });
  eventually([&] { return plug.stats().active == 1; });
  task_group group{a};
  group.run([&] { touch(b); });
  group.wait();
  release.open();
  const auto lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(has(lines[0], "'a' waits for 'b' (task_group::wait()")) << lines[0];
}

// WQ-86: each runtime has its own graph.
TEST(wait_graph, queues_of_other_runtimes_are_not_looked_at) {
  test_runtime one{watched()};
  test_runtime two{watched()};
  workqueue a{one, {.name = "a"}};
  workqueue b{two, {.name = "b"}};
  in(a, [&] { b.flush(); });
  in(b, [&] { a.flush(); });
  EXPECT_EQ(edges(one), "wait graph: 0 ways in which one queue waits for another");
  EXPECT_EQ(edges(two), "wait graph: 0 ways in which one queue waits for another");
}

// WQ-86: two callbacks close the circle at the same time.
TEST(wait_graph, of_two_waits_at_once_one_closes_the_circle) {
  test_runtime rt{watched()};
  for (int i = 0; i < 200; ++i) {
    workqueue a{rt, {.name = "a"}};
    workqueue b{rt, {.name = "b"}};
    std::atomic<int> there{0};
    const auto meet_and_touch = [&](workqueue& other) {
      there.fetch_add(1);
      while (there.load() < 2) std::this_thread::yield();
      touch(other);
    };
    a.submit([&] { meet_and_touch(b); });
    b.submit([&] { meet_and_touch(a); });
    a.flush();
    b.flush();
    EXPECT_EQ(rt.warnings.take().size(), 1u);
  }
}

// WQ-86: threads that wait in one direction, while queues at the end of it come and go.
TEST(wait_graph, holds_while_many_wait_and_queues_come_and_go) {
  test_runtime rt{watched()};
  std::deque<workqueue> queues;
  for (int i = 0; i < 6; ++i) queues.emplace_back(rt, workqueue_options{.name = "standing"});
  std::vector<std::thread> threads;
  std::atomic<int> waits{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 100; ++i) {
        workqueue mine{rt, {.name = "passing", .rescuer = i % 16 == 0}};
        workqueue& q = queues[(i + t) % 6];
        work item{[&] { waits.fetch_add(1); }};
        mine.queue(item);
        task_group group{q};
        group.run([&, from = (i + t) % 6] {
          for (std::size_t j = from + 1; j < 6; ++j) touch(queues[j]);
          mine.flush();
          item.cancel_sync();
          waits.fetch_add(1);
        });
        group.wait();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GE(waits.load(), 400);
  EXPECT_EQ(edges(rt), "wait graph: 15 ways in which one queue waits for another");
}

// WQ-86: beyond 4096 edges nothing is recorded; said once. As queues end there is room again.
TEST(wait_graph, is_bounded) {
  test_runtime rt{watched()};
  std::optional<workqueue> a{std::in_place, rt, workqueue_options{.name = "a"}};
  std::optional<workqueue> b{std::in_place, rt, workqueue_options{.name = "b"}};
  {
    std::deque<workqueue> queues;
    for (int i = 0; i < 92; ++i) queues.emplace_back(rt, workqueue_options{.name = "crowd"});
    for (std::size_t i = 0; i < queues.size(); ++i) {
      in(queues[i], [&] {
        for (std::size_t j = i + 1; j < queues.size(); ++j) touch(queues[j]);
      });
    }
    EXPECT_EQ(edges(rt), "wait graph: 4096 ways in which one queue waits for another");
    in(*a, [&] { touch(*b); });
    in(*b, [&] { touch(*a); });
    const auto lines = rt.warnings.take();
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(has(lines[0], "in more than 4096 ways")) << lines[0];
    rt->audit();
  }
  EXPECT_EQ(edges(rt), "wait graph: 0 ways in which one queue waits for another");
  in(*a, [&] { touch(*b); });
  in(*b, [&] { touch(*a); });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-86: the child's queues are the parent's, without what they waited for there.
TEST(wait_graph, is_empty_in_a_forked_child) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers cannot fork a process whose threads allocate";
#endif
  test_runtime rt{watched()};
  workqueue a{rt, {.name = "a"}};
  workqueue b{rt, {.name = "b"}};
  in(a, [&] { touch(b); });
  EXPECT_EQ(in_forked_child([&](claims& c) {
              in(b, [&] { touch(a); });
              c.check(rt.warnings.take().empty(), "nothing of the parent's is known");
              in(a, [&] { touch(b); });
              c.check(rt.warnings.take().size() == 1, "a circle of its own is reported");
            }),
            0);
  in(b, [&] { touch(a); });
  EXPECT_EQ(rt.warnings.take().size(), 1u) << "the parent forgets nothing";
}

// WQ-86: when no thread is to be had, the other queue's items never run. In every runtime, and said once.
TEST(rescuer_rule, a_queue_with_a_rescuer_that_waits_for_one_without_is_warned_about) {
  for (const bool divided : {false, true}) {
    test_runtime rt;
    workqueue log{rt, {.name = "log", .per_cpu = divided, .rescuer = true}};
    workqueue other{rt, {.name = "other", .rescuer = true}};
    workqueue plain{rt, {.name = "plain"}};
    in(log, [&] { other.flush(); });
    in(plain, [&] { log.flush(); });
    log.flush();
    plain.flush();
    EXPECT_EQ(rt.warnings.take().size(), 0u) << "these are fine";
    for (int i = 0; i < 3; ++i) in(log, [&] { first_wait(plain); });
    in(other, [&] { touch(plain); });
    const auto lines = rt.warnings.take();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_TRUE(
        has(lines[0], "a callback of queue 'log', which has a rescuer, waits for queue 'plain', which has none"))
        << lines[0];
    EXPECT_TRUE(has(lines[0], "flush() at first_wait+0x")) << lines[0];
    EXPECT_TRUE(has(lines[1], "queue 'other'")) << lines[1];
  }
}

// WQ-33, WQ-86: the mark of the constructors of old, and cancelling.
TEST(rescuer_rule, spares_queues_of_old_and_whoever_cancels) {
  test_runtime rt;
  workqueue plain{rt, {.name = "plain"}};
  for (auto* const make : {&create_workqueue, &create_freezable_workqueue, &create_singlethread_workqueue}) {
    workqueue old = make("old", rt);
    in(old, [&] { plain.flush(); });
  }
  workqueue log{rt, {.name = "log", .rescuer = true}};
  gate release;
  counter begun;
  work item{[&] {
    const blocking_scope scope;
    begun.add();
    release.wait();
  }};
  plain.queue(item);
  begun.wait_for(1);
  in(log, [&] {
    EXPECT_FALSE(item.cancel_sync_for(0ns).ended);
    plain.submit([&] { release.open(); });
    item.cancel_sync();
    item.disable_sync();
  });
}

// WQ-87: legal, but there may be one thread for both.
TEST(own_queue_rule, a_wait_for_another_item_of_a_queue_with_a_rescuer_is_flagged_once) {
  for (const bool graph : {true, false}) {
    test_runtime rt{{.cpus = 2, .deadlock_graph = graph}};
    workqueue log{rt, {.name = "log", .rescuer = true}};
    workqueue plain{rt, {.name = "plain"}};
    const auto wait_there = [&](workqueue& q, bool cancel) {
      gate release;
      counter begun;
      work item{[&] {
        const blocking_scope scope;
        begun.add();
        release.wait();
      }};
      q.queue(item);
      begun.wait_for(1);
      q.submit([&] {
        q.submit([&] { release.open(); });
        cancel ? item.cancel_sync() : item.flush();
      });
      q.flush();
      release.wait();
    };
    wait_there(plain, false);
    wait_there(log, true);
    EXPECT_EQ(rt.warnings.take().size(), 0u);
    wait_there(log, false);
    wait_there(log, false);
    const auto lines = rt.warnings.take();
    ASSERT_EQ(lines.size(), graph ? 1u : 0u);
    if (!graph) continue;
    EXPECT_TRUE(has(lines[0],
                    "a callback of queue 'log' waits for another item of this queue, which may have its "
                    "rescuer's thread only: flush() at "))
        << lines[0];
  }
}

// WQ-87: two CPUs, each with one slot: the item of the other one can run, but only there.
TEST(own_queue_rule, a_wait_for_another_item_of_a_queue_with_one_slot_is_flagged) {
  test_runtime rt{{.cpus = 2, .topology = "core:2 pu:1", .deadlock_graph = true}};
  workqueue q{rt, {.name = "narrow", .max_active = 1, .per_cpu = true}};
  work item{[&] {
    const blocking_scope scope;
    eventually([&] { return rt.warnings.count("runs one item at a time") != 0; });
  }};
  q.queue_on(1, item);
  q.run_on(0, [&] { item.flush(); });
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

}  // namespace
}  // namespace wring
