// SPDX-License-Identifier: Apache-2.0
// Runtimes that start later (WQ-145): before start() everything is there but threads, and nothing runs; after it
// everything that was queued does.
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <sched.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::claims;
using test::counter;
using test::eventually;
using test::in_forked_child;
using test::test_runtime;
using test::threads_named;
using test::together;

constexpr runtime_options later{
    .cpus = 2, .topology = "node:2 core:1 pu:1", .default_scope = wring::affinity_scope::system, .start_later = true};

std::vector<workqueue_options> all_kinds() {
  return {{.name = "plain"},
          {.name = "narrow", .max_active = 1},
          {.name = "ordered", .ordered = true},
          {.name = "unmanaged", .unmanaged = true},
          {.name = "percpu", .per_cpu = true},
          {.name = "pernode", .attributes = {.scope = wring::affinity_scope::numa, .strict = true}},
          {.name = "high", .high_priority = true},
          {.name = "bh", .bh = true},
          {.name = "rescued", .rescuer = true},
          {.name = "cpurescued", .per_cpu = true, .rescuer = true}};
}

// What has come to the handler but for what this machine cannot do.
std::string told(test::report_log& log) {
  std::string all;
  for (const std::string& line : log.take()) {
    if (line.find("could not be bound") == std::string::npos && line.find("nice -20") == std::string::npos)
      all += line + "\n";
  }
  return all;
}

template <class F>
int error_of(const F& call) {
  try {
    call();
  } catch (const std::system_error& e) {
    return e.code().value();
  }
  return 0;
}

std::size_t threads() { return test::entries_of("/proc/self/task").size(); }

// A thread that has been joined may still be seen for a moment, so the number is taken when those of other tests are
// gone.
std::size_t settled_threads() {
  eventually([] { return threads_named("wring/") == 0; });
  return threads();
}

// WQ-145. Method: everything that a queue takes, and all questions, on queues of every kind; the kernel is asked who is
// there.
TEST(early, everything_can_be_queued_and_cancelled_while_no_thread_exists) {
  test_runtime rt{later};
  const std::size_t before = settled_threads();
  counter ran;
  std::deque<work> items;
  std::deque<delayed_work> delayed;
  std::deque<workqueue> queues;
  std::deque<future<int>> results;
  std::deque<task_group> groups;
  int expected = 0;
  for (const workqueue_options& o : all_kinds()) {
    workqueue& q = queues.emplace_back(workqueue{rt, o});
    EXPECT_TRUE(q.queue(items.emplace_back([&] { ran.add(); }))) << o.name;
    EXPECT_FALSE(q.queue(items.back())) << "it is pending";
    EXPECT_TRUE(q.submit([&] { ran.add(); }));
    EXPECT_TRUE(q.queue_delayed(delayed.emplace_back([&] { ran.add(); }), 1ms));
    results.push_back(q.submit_for_result([] { return 7; }));
    groups.emplace_back(q).run([&] { ran.add(); });
    EXPECT_TRUE(q.submit_on(0, [&] { ran.add(); }));
    expected += 5;

    work never{[&] { ADD_FAILURE() << "a cancelled item ran"; }};
    EXPECT_TRUE(q.queue(never));
    EXPECT_TRUE(never.cancel());
    EXPECT_TRUE(q.queue(never));
    EXPECT_TRUE(never.cancel_sync());
    EXPECT_TRUE(q.queue(never));
    EXPECT_TRUE(never.disable_sync());
    EXPECT_FALSE(q.queue(never));
    EXPECT_TRUE(never.enable());
    delayed_work not_yet{[&] { ADD_FAILURE() << "a cancelled item ran"; }};
    EXPECT_TRUE(q.queue_delayed(not_yet, 0ns));
    EXPECT_TRUE(not_yet.cancel());
    EXPECT_TRUE(q.queue_delayed(not_yet, 1ms));
    EXPECT_TRUE(q.modify(not_yet, 2ms));
    EXPECT_TRUE(not_yet.cancel_sync());
    EXPECT_EQ(q.stats().items_started, 0U);
  }
  queues.front().set_max_active(3);
  EXPECT_EQ(rt->stats().detection, "automatic");
  EXPECT_EQ(rt->stats().workers.size(), 0U);
  EXPECT_NE(rt->describe().find("no threads before start()"), std::string::npos);
  EXPECT_EQ(rt->cpus().size(), 2U);
  rt->audit();
  EXPECT_EQ(threads(), before);
  EXPECT_EQ(threads_named("wring/"), 0U);
  EXPECT_EQ(ran.value(), 0);

  rt->start();
  ran.wait_for(expected);
  for (future<int>& f : results) EXPECT_EQ(f.get(), 7);
  for (task_group& g : groups) g.wait();
  for (workqueue& q : queues) EXPECT_TRUE(q.flush());
  EXPECT_EQ(ran.value(), expected);
  EXPECT_EQ(told(rt.warnings), "");
}

// WQ-145: one worker for each pool that has a queue, and the rescuers of queues made early. Method: no item is there
// that could have made them.
TEST(early, start_makes_the_first_worker_of_each_pool_and_the_rescuers) {
  test_runtime rt{later};
  settled_threads();
  std::deque<workqueue> queues;
  for (const workqueue_options& o : all_kinds()) queues.emplace_back(workqueue{rt, o});
  EXPECT_EQ(threads_named("wring/"), 0U);
  rt->start();
  eventually([] { return threads_named("wring/R-") == 2 && threads_named("wring/time") == 1; });
  for (const pool_stats& p : rt->stats().pools) {
    const bool unused = p.name == "u3";  // unmanaged, of high priority
    EXPECT_EQ(p.workers, unused ? 0U : 1U) << p.name;
  }
  EXPECT_EQ(rt->stats().pools.size(), 4U + 2 + 2 + 2) << "of CPUs, of nodes, and those that run to completion";
  const std::size_t then = threads();
  rt->start();
  EXPECT_EQ(threads(), then) << "a second start does nothing";
  told(rt.warnings);
}

// WQ-145.
TEST(early, a_wait_for_what_cannot_run_returns_false_and_is_warned_about_once) {
  test_runtime rt{later};
  workqueue q{rt, {.name = "asked"}};
  std::atomic<int> ran{0};
  work item{[&] { ++ran; }};
  delayed_work timed{[&] { ++ran; }};
  EXPECT_FALSE(item.flush()) << "it is idle";
  EXPECT_EQ(told(rt.warnings), "");
  q.queue(item);
  q.queue_delayed(timed, 1h);
  EXPECT_FALSE(q.flush());
  EXPECT_EQ(told(rt.warnings), "flush() before runtime::start(), when nothing runs; it does not wait. Said once\n");
  EXPECT_FALSE(q.drain());
  EXPECT_TRUE(q.submit([&] { ++ran; })) << "the drain has not closed it";
  EXPECT_FALSE(item.flush());
  EXPECT_FALSE(timed.flush());
  EXPECT_TRUE(timed.pending());
  EXPECT_EQ(told(rt.warnings), "");
  rt->start();
  EXPECT_TRUE(q.flush());
  EXPECT_TRUE(timed.flush());
  EXPECT_TRUE(q.drain());
  EXPECT_EQ(ran.load(), 3);
}

// WQ-145: these have nothing to return.
TEST(early, a_wait_that_needs_a_result_throws_and_can_be_repeated_after_start) {
  test_runtime rt{later};
  workqueue q{rt, {.name = "asked", .per_cpu = true}};
  future<int> result = q.submit_for_result([] { return 7; });
  task_group group{q};
  std::atomic<int> ran{0};
  group.wait();  // for nothing
  group.run([&] { ++ran; });
  EXPECT_EQ(error_of([&] { group.wait(); }), EDEADLK);
  EXPECT_EQ(error_of([&] { result.wait(); }), EDEADLK);
  EXPECT_EQ(error_of([&] { static_cast<void>(result.get()); }), EDEADLK);
  EXPECT_FALSE(result.wait_for(1ms));
  EXPECT_EQ(error_of([&] { q.run_on(0, [&] { ++ran; }); }), EDEADLK);
  EXPECT_EQ(error_of([&] { q.run_on_each_cpu([&] { ++ran; }); }), EDEADLK);
  EXPECT_EQ(ran.load(), 0);
  rt->start();
  EXPECT_EQ(result.get(), 7);
  group.wait();
  q.run_on(0, [&] { ++ran; });
  EXPECT_EQ(ran.load(), 2);
  told(rt.warnings);
}

// WQ-34: what was queued runs before the queue's end, and so does a group's child; WQ-U15.
TEST(early, the_end_of_something_that_is_not_empty_starts_the_runtime_and_says_so) {
  const auto ending = [](const char* call, const auto& end) {
    test_runtime rt{later};
    settled_threads();
    std::atomic<int> ran{0};
    end(rt, ran);
    EXPECT_EQ(ran.load(), 1) << call;
    const std::string said = told(rt.warnings);
    EXPECT_TRUE(said.starts_with(call)) << said;
    EXPECT_EQ(rt.pool().workers_created == 0, std::string{call}.starts_with("nothing"));
  };
  ending("the end of a queue that is not empty before runtime::start()", [](test_runtime& rt, std::atomic<int>& ran) {
    workqueue q{rt, {.name = "ends"}};
    q.submit([&] { ++ran; });
  });
  ending("the end of a queue that is not empty before runtime::start()", [](test_runtime& rt, std::atomic<int>& ran) {
    workqueue q{rt, {.name = "ends", .per_cpu = true, .rescuer = true}};
    q.submit_on(1, [&] { ++ran; });
  });
  ending("the end of a task_group whose children have not run before runtime::start()",
         [](test_runtime& rt, std::atomic<int>& ran) {
           workqueue q{rt, {.name = "stays"}};
           task_group group{q};
           group.run([&] { ++ran; });
         });
  ending("shutdown() of a runtime whose queues are not empty before runtime::start()",
         [](test_runtime& rt, std::atomic<int>& ran) {
           workqueue q{rt, {.name = "stays"}};
           q.submit([&] { ++ran; });
           EXPECT_TRUE(rt->shutdown(1h).complete);
         });
}

// WQ-145, WQ-92. Method: all that is left was cancelled, or waits for its time.
TEST(early, the_end_of_what_is_empty_makes_no_thread) {
  test_runtime rt{later};
  const std::size_t before = settled_threads();
  for (const workqueue_options& o : all_kinds()) {
    workqueue q{rt, o};
    work item{[] { ADD_FAILURE() << "a cancelled item ran"; }};
    q.queue(item);
  }
  workqueue q{rt, {.name = "stays"}};
  delayed_work timed{[] { ADD_FAILURE() << "an item ran after the shutdown"; }};
  q.queue_delayed(timed, 1h);
  const shutdown_report report = rt->shutdown(1h);
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.delayed, 1U);
  rt->start();
  EXPECT_FALSE(q.submit([] {}));
  EXPECT_EQ(threads(), before) << "and a start after the shutdown does nothing";
  EXPECT_NE(told(rt.warnings).find("after the shutdown()"), std::string::npos);
  timed.cancel();
}

// WQ-145, nothing is lost. Method: many threads queue, make queues and start at the same time.
TEST(early, threads_may_queue_make_queues_and_start_all_at_once) {
  for (int round = 0; round < 50; ++round) {
    test_runtime rt{later};
    workqueue q{rt, {.name = "shared"}};
    std::array<delayed_work, 2> delayed{delayed_work{[] {}}, delayed_work{[] {}}};
    counter ran;
    together(4, [&](int i) {
      const auto index = static_cast<std::size_t>(i % 2);
      if (i >= 2) {
        rt->start();
        q.submit([&] { ran.add(); });
        return;
      }
      q.queue_delayed(delayed[index], 0ns);
      workqueue own{rt, {.name = "own", .high_priority = true, .rescuer = i == 0}};
      future<void> result = own.submit_for_result([&] { ran.add(); });
      eventually([&] { return result.ready(); });
      eventually([i] { return i != 0 || threads_named("wring/R-own") == 1; });  // that of the round before has gone
      own.flush();
    });
    ran.wait_for(4);
    rt->start();
    EXPECT_TRUE(q.flush());
    rt.warnings.ignore();  // flush() may have come before the end of start()
  }
}

// WQ-145: workers are where the thread is that calls start(), as if it had made the runtime.
TEST(early, workers_run_where_start_was_called) {
  test_runtime rt{{.cpus = 2, .start_later = true}};
  workqueue q{rt, {.name = "asked"}};
  future<int> count = q.submit_for_result([] {
    cpu_set_t mask;
    ::sched_getaffinity(0, sizeof mask, &mask);
    return CPU_COUNT(&mask);
  });
  std::thread pinned{[&] {
    cpu_set_t mask;
    ::sched_getaffinity(0, sizeof mask, &mask);
    std::size_t first = 0;
    while (!CPU_ISSET(first, &mask)) ++first;
    CPU_ZERO(&mask);
    CPU_SET(first, &mask);
    ::sched_setaffinity(0, sizeof mask, &mask);
    rt->start();
  }};
  pinned.join();
  EXPECT_EQ(count.get(), 1);
}

// The thread sanitizer allows a child no threads; of GCC 12 no sanitizer renews its locks there.
class early_fork : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizers cannot fork a process whose threads allocate";
#endif
  }
};

// WQ-145, WQ-U12: what this option is for.
TEST_F(early_fork, a_child_forked_before_start_is_early_too_and_starts_by_itself) {
  test_runtime rt{later};
  std::deque<workqueue> queues;
  for (const workqueue_options& o : all_kinds()) queues.emplace_back(workqueue{rt, o});
  counter ran;
  work item{[&] { ran.add(); }};
  queues.front().queue(item);
  task_group group{queues.front()};
  group.run([&] { ran.add(); });
  const int status = in_forked_child([&](claims& c) {
    c.check(!item.pending(), "the parent's item is idle");
    c.check(error_of([&] { group.wait(); }) == 0, "the parent's group has no children here");
    for (workqueue& q : queues) {
      c.check(q.submit([&] { ran.add(); }), "an item is accepted");
      c.check(!q.flush(), "a flush returns");
    }
    c.check(threads() == 1, "no thread exists");
    c.check(ran.value() == 0, "nothing runs");
    rt->start();
    c.check(threads_named("wring/R-") == 2, "rescuers are there");
    for (workqueue& q : queues) c.check(q.flush(), "a flush waits");
    c.check(ran.value() == static_cast<int>(queues.size()), "everything has run");
    c.check(rt->shutdown(1h).complete, "a shutdown is complete");
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(threads_named("wring/"), 0U) << "the parent is early still";
  rt->start();
  group.wait();
  item.flush();
  EXPECT_EQ(ran.value(), 2);
  told(rt.warnings);
}

// WQ-U12. Method: a runtime that starts at once; the child's threads are those of start(), as nothing is queued.
TEST_F(early_fork, start_makes_the_threads_of_a_forked_child_at_once) {
  test_runtime rt{{.cpus = 2}};
  workqueue q{rt, {.name = "asked", .rescuer = true}};
  const int status = in_forked_child([&](claims& c) {
    c.check(threads() == 1, "no thread exists");
    rt->start();
    eventually([] { return threads_named("wring/") == 3; });
    c.check(threads() == 4, "the timekeeper, a worker and the rescuer");
    c.check(q.submit([] {}) && q.flush(), "and they work");
  });
  EXPECT_EQ(status, 0);
  told(rt.warnings);
}

// WQ-145. Method: in a child, whose default runtime is nobody else's.
TEST_F(early_fork, the_default_runtime_can_start_later) {
  const int status = in_forked_child([](claims& c) {
    c.check(runtime::configure_default({.start_later = true}), "there was none before");
    counter ran;
    workqueue q;
    c.check(q.submit([&] { ran.add(); }), "an item is accepted");
    c.check(system_queue(system_kind::dfl, runtime::default_instance()).submit([&] { ran.add(); }),
            "by the system queue, too");
    c.check(threads() == 1 && ran.value() == 0, "and nothing runs");
    runtime::default_instance().start();
    ran.wait_for(2);
    c.check(shutdown(1h).complete, "a shutdown is complete");
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace wring
