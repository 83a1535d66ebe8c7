// SPDX-License-Identifier: Apache-2.0
// Calls that could only hang fail at the call, and say with whom (WQ-35, WQ-86, WQ-90).
//
// Method: once with a handler that returns, so that the call must give up and all goes on; once without, where
// the process must end with a sentence that names the queue.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace wring {
namespace {

using test::gate;
using test::test_runtime;

void expect_one_misuse(test_runtime& rt, const std::string& first, const std::string& second) {
  const auto lines = rt.misuses.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(first), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find(second), std::string::npos) << lines[0];
}

TEST(misuse, flush_of_the_own_queue_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine"}};
  std::atomic<int> answer{-1};
  queue.submit([&] { answer.store(queue.flush() ? 1 : 0); });
  EXPECT_TRUE(queue.flush());
  EXPECT_EQ(answer.load(), 0);
  expect_one_misuse(rt, "flush", "mine");
}

TEST(misuse, drain_of_the_own_queue_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine"}};
  std::atomic<int> answer{-1};
  work w{[&] { answer.store(queue.drain() ? 1 : 0); }};
  queue.queue(w);
  EXPECT_TRUE(queue.flush());
  EXPECT_EQ(answer.load(), 0);
  EXPECT_TRUE(queue.queue(w)) << "the queue is still open";
  queue.flush();
  const auto lines = rt.misuses.take();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("drain"), std::string::npos);
}

// The queue is leaked, by design: its callback goes on. Another queue's destruction is fine there.
TEST(misuse, destroying_the_own_queue_is_reported_and_another_one_is_destroyed) {
  test_runtime rt;
  auto other = std::make_unique<workqueue>(rt, workqueue_options{.name = "other"});
  workqueue queue{rt, {.name = "mine"}};
  std::atomic<int> runs{0};
  other->submit([&] { runs.fetch_add(1); });
  queue.submit([&] {
    other.reset();
    runs.fetch_add(1);
  });
  queue.flush();
  EXPECT_EQ(runs.load(), 2);
}

// WQ-35: the queue stays, what is in it runs, and the runtime complains at its end.
TEST(misuse, destroying_the_own_queue_gives_up_and_leaks_it) {
  test::report_log misuses;
  {
    runtime rt{{.cpus = 1,
                .on_misuse = [](const char* text, void* log) { static_cast<test::report_log*>(log)->add(text); },
                .report_context = &misuses}};
    auto queue = std::make_unique<workqueue>(rt, workqueue_options{.name = "mine"});
    test::counter runs;
    queue->submit([&] {
      queue->submit([&] { runs.add(); });
      queue.reset();
      runs.add();
    });
    runs.wait_for(2);
    test::eventually([&] { return rt.stats().pools[0].idle == rt.stats().pools[0].workers; });
  }
  const auto lines = misuses.take();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("destroyed from one of its own callbacks"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("a runtime is destroyed while queue 'mine' exists"), std::string::npos) << lines[1];
}

TEST(misuse, cancel_sync_of_an_item_from_itself_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine"}};
  std::atomic<int> answer{-1};
  work w{[&](work& self) { answer.store(self.cancel_sync() ? 1 : 0); }};
  queue.queue(w);
  queue.flush();
  EXPECT_EQ(answer.load(), 0);
  expect_one_misuse(rt, "cancel_sync", "mine");
  EXPECT_TRUE(queue.queue(w)) << "not disabled for ever";
  queue.flush();
  rt.misuses.ignore();
}

TEST(misuse, flush_of_an_item_from_itself_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine"}};
  std::atomic<int> answer{-1};
  work w{[&](work& self) { answer.store(self.flush() ? 1 : 0); }};
  queue.queue(w);
  queue.flush();
  EXPECT_EQ(answer.load(), 0);
  expect_one_misuse(rt, "flush", "mine");
}

TEST(misuse, a_delayed_item_waiting_for_itself_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine"}};
  struct object {
    std::atomic<int> answers{0};
    delayed_work item{[this] { answers.fetch_add((item.cancel_sync() ? 10 : 1) + (item.flush() ? 10 : 1)); }};
  } o;
  queue.queue(o.item);
  queue.flush();
  EXPECT_EQ(o.answers.load(), 2);
  EXPECT_EQ(rt.misuses.take().size(), 2u);
}

// WQ-87: with one place, a later item of the own queue can never run before this one ends.
TEST(misuse, flush_of_a_later_item_of_the_own_ordered_queue_returns_false) {
  test_runtime rt;
  workqueue queue{rt, {.name = "mine", .ordered = true}};
  struct {
    workqueue& queue;
    std::atomic<int> answer{-1};
    std::atomic<int> runs{0};
    work later{[this] { runs.fetch_add(1); }};
  } s{queue};
  queue.submit([&s] {
    s.queue.queue(s.later);
    s.answer.store(s.later.flush() ? 1 : 0);
  });
  queue.drain();  // the later item may be queued after this call
  EXPECT_EQ(s.answer.load(), 0);
  EXPECT_EQ(s.runs.load(), 1) << "it runs all the same";
  expect_one_misuse(rt, "flush", "mine");
}

// Inside a child that task_group::wait runs on the spot, the callback outside still counts.
// The child runs on the spot, or on another worker.
TEST(misuse, a_group_that_its_own_child_waits_for_is_told_of) {
  for (const bool elsewhere : {false, true}) {
    test_runtime rt{{.cpus = 2}};
    workqueue queue{rt, {.name = "mine"}};
    gate told;
    queue.submit([&] {
      task_group group{queue};
      group.run([&] {
        group.wait();
        told.open();
      });
      if (elsewhere) {
        const blocking_scope scope;
        told.wait();
      }
      group.wait();
    });
    queue.flush();
    EXPECT_TRUE(told.is_open());
    EXPECT_EQ(rt.misuses.take().size(), 1u) << elsewhere;
  }
}

TEST(misuse, flush_of_the_own_queue_from_a_child_run_on_the_spot_returns_false) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "mine"}};
  workqueue other{rt, {.name = "other"}};
  std::atomic<int> refused{0};
  queue.submit([&] {
    task_group group{other};
    group.run([&] { refused.fetch_add(other.flush() ? 0 : 1); });
    group.wait();
  });
  queue.flush();
  EXPECT_EQ(refused.load(), 1);
  expect_one_misuse(rt, "flush", "other");
}

TEST(misuse, two_names_differ_for_two_queues) {
  test_runtime rt;
  workqueue one{rt, {.name = "first"}};
  workqueue two{rt, {.name = "second"}};
  std::atomic<int> fine{0};
  one.submit([&] {
    two.submit([] {});
    fine.fetch_add(two.flush() ? 1 : 0);
    fine.fetch_add(two.drain() ? 1 : 0);
  });
  EXPECT_TRUE(one.flush()) << "waiting for another queue is legal";
  EXPECT_EQ(fine.load(), 2);
}

template <class Body>
void die_of(const Body& body, workqueue_options options = {.name = "doomed"}) {
  runtime rt{{.cpus = 1}};
  workqueue queue{rt, options};
  work w{[&](work& self) { body(queue, self); }};
  queue.queue(w);
  queue.flush();
}

TEST(misuse_death, waiting_for_the_own_queue_or_item_aborts_with_the_name_of_the_queue) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(die_of([](workqueue& q, work&) { q.flush(); }), "wring: misuse: .*flush.*doomed");
  EXPECT_DEATH(die_of([](workqueue& q, work&) { q.drain(); }), "wring: misuse: .*drain.*doomed");
  EXPECT_DEATH(die_of([](workqueue&, work& w) { w.cancel_sync(); }), "wring: misuse: .*doomed.*cancel_sync");
  EXPECT_DEATH(die_of([](workqueue&, work& w) { w.flush(); }), "wring: misuse: .*doomed.*flush");
  EXPECT_DEATH(die_of([](workqueue& q, work&) { q.~workqueue(); }), "wring: misuse: .*destroyed.*doomed");
}

void destroy_the_runtime_first() {
  auto rt = std::make_unique<runtime>(runtime_options{.cpus = 1});
  workqueue queue{*rt, {.name = "survivor"}};
  rt.reset();
}

TEST(misuse_death, destroying_a_runtime_before_its_queues_aborts_with_the_name_of_a_queue) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(destroy_the_runtime_first(), "wring: misuse: .*survivor");
}

// WQ-136: the second report, or a stall of some length, is the end. Method: with a handler that returns; the callbacks
// wait for what it is told.
TEST(misuse, a_stall_is_reported_and_then_panics) {
  for (const bool by_number : {true, false}) {
    test_runtime rt{{.cpus = 1,
                     .max_workers = 1,
                     .watchdog_threshold = std::chrono::milliseconds{20},
                     .panic_on_stall = by_number ? 2U : 0U,
                     .panic_on_stall_time = std::chrono::milliseconds{by_number ? 0 : 40}}};
    workqueue queue{rt, {.name = "stalled"}};
    gate release;
    queue.submit([&] {
      const blocking_scope scope;
      release.wait();
    });
    queue.submit([] {});
    std::vector<std::string> last;
    test::eventually([&] {
      last = rt.misuses.take();
      return !last.empty();
    });
    EXPECT_NE(last[0].find("pool u0 has started nothing for"), std::string::npos) << last[0];
    EXPECT_NE(last[0].find("of 'stalled'"), std::string::npos) << last[0];
    release.open();
    queue.flush();
    rt.misuses.ignore();
    bool told_first = false;
    for (const std::string& line : rt.warnings.take()) told_first |= line.find("started nothing") != std::string::npos;
    EXPECT_TRUE(told_first || !by_number) << "the first report is a warning";
  }
}

}  // namespace
}  // namespace wring
