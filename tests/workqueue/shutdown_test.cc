// SPDX-License-Identifier: Apache-2.0
// runtime::shutdown(): what ends, what is refused afterwards, and the report of what is stuck (WQ-159, WQ-U15).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <system_error>
#include <thread>

namespace {

using namespace std::chrono_literals;
using wring::test::gate;
using wring::test::test_runtime;

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Everything queued runs, chains included, also from one queue to another; then there are no threads of the runtime.
TEST(shutdown, what_is_queued_runs_and_all_threads_end) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue first{rt, {.name = "first", .max_active = 1}};
  wring::workqueue second{rt, {.name = "second", .ordered = true}};
  std::atomic<int> ran{0};
  wring::work last{[&] { ran.fetch_add(1); }};
  wring::work middle{[&] {
    ran.fetch_add(1);
    EXPECT_TRUE(first.queue(last)) << "an item queued by what still runs";
  }};
  gate entered;
  gate go_on;
  first.submit([&] {
    entered.open();
    go_on.wait();
    EXPECT_TRUE(second.queue(middle)) << "queues may feed each other until the end";
    ran.fetch_add(1);
  });
  entered.wait();
  EXPECT_FALSE(rt->shutdown(0ns).complete) << "it runs still";
  EXPECT_FALSE(first.submit([] {})) << "nothing enters from outside any more";
  go_on.open();
  const wring::shutdown_report report = rt->shutdown(1h);
  EXPECT_TRUE(report.complete) << report.text();
  EXPECT_TRUE(report.stuck.empty() && report.queues.empty());
  EXPECT_EQ(ran.load(), 3);
  for (const wring::pool_stats& p : rt->stats().pools) EXPECT_EQ(p.workers, 0u) << p.name;
  EXPECT_TRUE(rt->shutdown(0ns).complete) << "once more is no error";
  rt.warnings.ignore();  // the refused closure
}

// The report names worker, queue, what was said about the item, the system call, and how long; and who announced it.
TEST(shutdown, the_report_names_what_is_stuck_and_where) {
  test_runtime rt{{.cpus = 2}};
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  {
    wring::workqueue q{rt, {.name = "reader", .max_active = 1}};
    gate entered;
    q.submit([&] {
      wring::set_worker_description("waits for a byte");
      entered.open();
      const wring::blocking_scope scope;
      char byte = 0;
      EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    });
    q.submit([] {});
    entered.wait();
    wring::shutdown_report report;
    // Until it is in the call: a thread may be off its CPU for any time before.
    do {
      report = rt->shutdown(1ms);
      ASSERT_FALSE(report.complete);
      ASSERT_EQ(report.stuck.size(), 1u);
    } while (!holds(report.stuck.front().waits_in, "read") || !report.stuck.front().announced);
    const wring::stuck_callback& s = report.stuck.front();
    EXPECT_TRUE(s.worker.starts_with("wring/u0:")) << s.worker;
    EXPECT_NE(s.thread_id, 0u);
    EXPECT_EQ(s.queue, "reader");
    EXPECT_EQ(s.description, "waits for a byte");
    EXPECT_TRUE(s.announced);
    EXPECT_GE(s.running, 1ms);
    EXPECT_FALSE(s.callback.empty());
    EXPECT_TRUE(holds(s.waits_in, "fd " + std::to_string(ends[0]))) << s.waits_in;
    ASSERT_EQ(report.queues.size(), 1u);
    EXPECT_EQ(report.queues.front(), "reader: 1 running, 1 waiting");
    EXPECT_TRUE(holds(report.text(), "callback of 'reader'")) << report.text();
    ASSERT_EQ(::write(ends[1], "x", 1), 1);
    EXPECT_TRUE(rt->shutdown(1h).complete);
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

// Who neither announced anything nor is in a call computes. Method: reports until one finds it on a CPU.
TEST(shutdown, the_report_says_of_a_callback_that_waits_for_nothing_that_it_computes) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "numbers"}};
  std::atomic<bool> enough{false};
  q.submit([&] {
    while (!enough.load()) continue;
  });
  wring::test::eventually([&] { return holds(rt->shutdown(1ms).text(), ", computes\n"); });
  enough.store(true);
  EXPECT_TRUE(rt->shutdown(1h).complete);
}

// After the end every call answers at once. WQ-46.
TEST(shutdown, afterwards_queue_calls_return_false_and_waits_return) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "ended"}};
  wring::workqueue divided{rt, {.name = "divided", .per_cpu = true}};
  wring::work item{[] {}};
  wring::delayed_work later{[] {}};
  wring::delayed_work other{[] {}};
  wring::delayed_work hurried{[] { ADD_FAILURE(); }};
  q.queue(item);
  q.queue_delayed(later, 1h);
  q.queue_delayed(hurried, 1h);
  const wring::shutdown_report report = rt->shutdown(1h);
  ASSERT_TRUE(report.complete);
  EXPECT_EQ(report.delayed, 2u);
  EXPECT_TRUE(later.pending()) << "a delayed item that has not come due stays as it was (WQ-92)";
  EXPECT_TRUE(later.cancel()) << "and can be cancelled";
  EXPECT_FALSE(q.queue(item));
  EXPECT_FALSE(divided.queue_on(0, item));
  EXPECT_FALSE(hurried.flush()) << "its delay is cut short, and it is refused";
  EXPECT_FALSE(hurried.pending());
  EXPECT_FALSE(q.queue_delayed(other, 0ns));
  EXPECT_FALSE(q.queue_delayed(other, 1ms));
  EXPECT_FALSE(q.modify(other, 1ms));
  EXPECT_FALSE(other.pending());
  EXPECT_FALSE(q.submit([] {}));
  try {
    divided.run_on(rt->cpus().front().id, [] { ADD_FAILURE(); });
    ADD_FAILURE() << "it returned";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
  auto refused = q.submit_for_result([] { return 1; });
  EXPECT_THROW(refused.get(), std::future_error);
  EXPECT_TRUE(q.flush());
  EXPECT_TRUE(q.drain());
  EXPECT_FALSE(item.flush());
  EXPECT_FALSE(item.cancel_sync());
  const auto fresh = wring::workqueue::create(rt, {.name = "late"});
  EXPECT_EQ(fresh.error(), std::errc::operation_canceled);
  EXPECT_EQ(rt.warnings.take().size(), 2u) << "each queue said once that it refuses";
}

// Several callers at once, while items run, all get the same answer.
TEST(shutdown, may_be_called_by_several_threads_at_once) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "busy"}};
  std::atomic<int> ran{0};
  for (int i = 0; i < 1000; ++i) q.submit([&] { ran.fetch_add(1); });
  std::atomic<int> complete{0};
  wring::test::together(4, [&](int) { complete.fetch_add(rt->shutdown(1h).complete ? 1 : 0); });
  EXPECT_EQ(complete.load(), 4);
  EXPECT_EQ(ran.load(), 1000);
}

// A queue that is made while another thread shuts down is either part of that, or refused (ECANCELED); never something
// that accepts items which nobody will run. Method: both at once, many times.
TEST(shutdown, a_queue_made_at_the_same_time_is_ended_or_refused) {
  int made = 0;
  for (int i = 0; i < 200; ++i) {
    wring::runtime rt{{.cpus = 2, .on_warning = [](const char*, void*) {}}};
    wring::test::together(2, [&](int who) {
      if (who == 0) {
        EXPECT_TRUE(rt.shutdown(1h).complete);
        return;
      }
      auto q = wring::workqueue::create(rt, {.per_cpu = i % 2 == 0});
      if (!q) {
        EXPECT_EQ(q.error(), std::errc::operation_canceled);
        return;
      }
      ++made;
      std::atomic<bool> ran{false};
      const bool accepted = q->submit([&] { ran.store(true); });
      q->flush();
      EXPECT_EQ(ran.load(), accepted);
    });
  }
  RecordProperty("queues_made", made);
}

// A child of a group that a thread outside of the runtime runs while it waits is a callback like others.
TEST(shutdown, from_a_groups_child_that_its_waiter_runs_is_misuse) {
  test_runtime rt{{.cpus = 1}};
  wring::workqueue q{rt, {.name = "group", .max_active = 2}};
  wring::test::plug stopper{q};
  wring::task_group group{q};
  group.run([&] { EXPECT_FALSE(rt->shutdown(1h).complete); });
  group.wait();
  EXPECT_EQ(rt.misuses.take().size(), 1u);
}

// From a callback it would wait for itself.
TEST(shutdown, from_a_callback_is_misuse) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "self"}};
  q.submit([&] { EXPECT_FALSE(rt->shutdown(1h).complete); });
  q.flush();
  const auto told = rt.misuses.take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(holds(told.front(), "shutdown() from a callback")) << told.front();
  EXPECT_TRUE(q.submit([] {})) << "nothing was shut down";
}

// A runtime without queues, and the default one before it exists.
TEST(shutdown, with_nothing_to_end_it_is_complete_at_once) {
  EXPECT_TRUE(wring::shutdown(0ns).complete);
  test_runtime rt{{.cpus = 1}};
  EXPECT_TRUE(rt->shutdown(0ns).complete);
  for (const wring::pool_stats& p : rt->stats().pools) EXPECT_EQ(p.workers, 0u);
}

// The last test: the default runtime cannot be had again.
TEST(shutdown, of_the_default_runtime_runs_what_it_has_and_takes_no_more) {
  wring::workqueue q{{.name = "default"}};
  std::atomic<bool> ran{false};
  q.submit([&] { ran.store(true); });
  EXPECT_TRUE(wring::shutdown(1h).complete);
  EXPECT_TRUE(ran.load());
  EXPECT_EQ(wring::workqueue::create().error(), std::errc::operation_canceled);
}

}  // namespace
