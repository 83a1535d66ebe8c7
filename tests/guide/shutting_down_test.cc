// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/05-shutting-down.md, which quotes the marked parts.
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using wring::test::eventually;
using wring::test::gate;
using wring::test::test_runtime;

// WQ-84. Method: an item that is queued later is held by a gate that opens only after the flush.
TEST(shutting_down, flush_waits_for_what_was_queued_before_and_for_nothing_else) {
  test_runtime rt;
  gate later;
  std::atomic<int> done{0};
  // [flush]
  wring::workqueue queue{rt, {.name = "uploads"}};
  for (int i = 0; i < 100; ++i) queue.submit([&] { ++done; });
  queue.flush();      // all hundred have finished
  queue.submit([&] {  // the queue goes on
    const wring::blocking_scope scope;
    later.wait();
  });
  // [/flush]
  EXPECT_EQ(done, 100);
  later.open();
}

// WQ-90. Method: each item queues the next one; flush() promises the first only.
TEST(shutting_down, drain_waits_for_chains_and_opens_the_queue_again) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "chain"}};
  // [drain]
  int left = 10;
  wring::work step{[&](wring::work& self) {
    if (--left > 0) queue.queue(self);
  }};
  queue.queue(step);
  queue.drain();  // all ten; a flush() promises only the first
  // [/drain]
  EXPECT_EQ(left, 0);
  EXPECT_TRUE(queue.submit([] {})) << "open again";
}

// WQ-46, WQ-90. Method: the drain cannot end before the item that it waits for has seen the refusal.
TEST(shutting_down, while_a_queue_drains_strangers_are_refused) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "closing"}};
  gate refused;
  queue.submit([&] {
    const wring::blocking_scope scope;
    refused.wait();
  });
  std::thread stranger{[&] {
    while (queue.submit([] {})) std::this_thread::yield();
    refused.open();
  }};
  queue.drain();
  stranger.join();
  EXPECT_GE(queue.stats().rejected, 1u);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// [members]
class service {
 public:
  service(wring::runtime& where, std::vector<std::string>& log)
      : log_{log}, queue_{where, {.name = "service", .ordered = true}} {}

  void handle(std::string request) {
    queue_.submit([this, request = std::move(request)] { log_.push_back(request); });
  }
  void start() { queue_.queue_delayed(tick_, std::chrono::hours{1}); }

 private:
  std::vector<std::string>& log_;                         // 1. what callbacks use
  wring::workqueue queue_;                                // 2. the queue
  wring::delayed_work tick_{[this] { handle("tick"); }};  // 3. items
};
// [/members]

// WQ-34, WQ-35. Method: everything accepted has run when the destructor has returned; nothing is warned about.
TEST(shutting_down, a_service_ends_by_its_members_in_reverse) {
  test_runtime rt;
  std::vector<std::string> log;
  {
    service s{rt, log};
    s.start();
    for (int i = 0; i < 100; ++i) s.handle("request");
  }
  EXPECT_EQ(log.size(), 100u);
}

// WQ-92. Method: a delay of an hour; drain returns all the same.
TEST(shutting_down, neither_flush_nor_drain_waits_for_a_delay) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "delays"}};
  wring::delayed_work later{[] { FAIL() << "too early"; }};
  queue.queue_delayed(later, std::chrono::hours{1});
  queue.flush();
  queue.drain();
  EXPECT_TRUE(later.pending());
  EXPECT_TRUE(later.cancel());
}

// Method: /proc lists the threads of this process by name.
TEST(shutting_down, the_end_of_a_runtime_ends_its_threads) {
  // [runtime]
  {
    wring::runtime own{{.cpus = 2}};
    wring::workqueue queue{own, {.name = "plugin"}};  // declared later, so it goes first
    queue.submit([] {});
  }
  // [/runtime]
  eventually([] { return wring::test::threads_named("wring") == 0; });  // a joined thread leaves /proc a little later
}

// WQ-U15. Method: everything accepted has run and no worker is left when shutdown() returns.
TEST(shutting_down, shutdown_runs_what_was_accepted_and_refuses_the_rest) {
  test_runtime rt;
  using namespace std::chrono_literals;
  std::atomic<int> done{0};
  // [shutdown]
  wring::workqueue queue{rt, {.name = "uploads"}};
  for (int i = 0; i < 100; ++i) queue.submit([&done] { ++done; });
  const wring::shutdown_report report = queue.owner().shutdown(1h);
  EXPECT_TRUE(report.complete);       // all hundred have run, and the threads have ended
  EXPECT_FALSE(queue.submit([] {}));  // nothing is accepted any more
  // [/shutdown]
  EXPECT_EQ(done, 100);
  EXPECT_EQ(rt.pool().workers, 0u);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-U15. Method: the callback ends only after the first shutdown has given up.
TEST(shutting_down, a_shutdown_that_does_not_end_says_what_is_stuck) {
  test_runtime rt;
  using namespace std::chrono_literals;
  gate inside, leave;
  wring::workqueue queue{rt, {.name = "uploads"}};
  queue.submit([&] {
    wring::set_worker_description("sending report.pdf");
    const wring::blocking_scope scope;
    inside.open();
    leave.wait();
  });
  inside.wait();
  // [stuck]
  const wring::shutdown_report report = queue.owner().shutdown(10ms);
  if (!report.complete) std::fputs(report.text().c_str(), stderr);
  // [/stuck]
  EXPECT_FALSE(report.complete);
  ASSERT_EQ(report.stuck.size(), 1u);
  EXPECT_EQ(report.stuck[0].queue, "uploads");
  EXPECT_EQ(report.stuck[0].description, "sending report.pdf");
  EXPECT_TRUE(report.stuck[0].announced);
  leave.open();
  EXPECT_TRUE(queue.owner().shutdown(1h).complete) << "another call waits on";
}

// Method: the child's exit status is what its queue computed.
TEST(shutting_down, after_a_fork_the_child_has_empty_queues_that_work) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer lets no child of a process with threads start threads";
#endif
  test_runtime rt;
  gate leave;
  wring::workqueue queue{rt, {.name = "jobs", .ordered = true}};
  queue.submit([&leave] {
    const wring::blocking_scope scope;
    leave.wait();
  });
  // [fork]
  const pid_t child = ::fork();
  if (child == 0) {
    int answer = 0;
    queue.submit([&answer] { answer = 42; });  // threads are made here; the parent's items are not in this queue
    queue.flush();
    ::_exit(answer);
  }
  // [/fork]
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  leave.open();
}

// WQ-145.
TEST(shutting_down, a_runtime_may_be_set_up_before_it_has_threads) {
  std::vector<std::string> log;
  // [later]
  wring::runtime own{{.start_later = true}};
  wring::workqueue queue{own, {.name = "log", .ordered = true}};
  queue.submit([&log] { log.emplace_back("first entry"); });  // waits
  // here the program forks, gives up its privileges, enters a namespace: there is no thread that could not follow
  own.start();
  queue.flush();
  // [/later]
  EXPECT_EQ(log.size(), 1U);
}

}  // namespace
