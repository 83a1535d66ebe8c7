// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/04-cancelling.md, which quotes the marked parts.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

namespace {

using wring::test::eventually;
using wring::test::gate;
using wring::test::plug;
using wring::test::test_runtime;

// WQ-95. Method: the queue is kept busy, so the item cannot start.
TEST(cancelling, a_cancelled_item_does_not_run_and_can_be_queued_again) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "reports", .max_active = 1}};
  plug busy{queue};
  int runs = 0;
  // [cancel]
  wring::work report{[&runs] { ++runs; }};
  queue.queue(report);
  EXPECT_TRUE(report.cancel());   // it was pending, and this run will not happen
  EXPECT_FALSE(report.cancel());  // nothing to take back any more
  EXPECT_TRUE(queue.queue(report));
  // [/cancel]
  busy.pull();
  queue.flush();
  EXPECT_EQ(runs, 1);
}

// WQ-95. Method: the callback is inside and waits when cancel() is called.
TEST(cancelling, cancel_does_not_wait_for_a_run_and_cancel_sync_does) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "reports"}};
  gate inside, leave;
  bool ended = false;
  wring::work report{[&] {
    inside.open();
    const wring::blocking_scope scope;
    leave.wait();
    ended = true;
  }};
  queue.queue(report);
  inside.wait();
  EXPECT_FALSE(report.cancel());
  EXPECT_TRUE(report.running());
  leave.open();
  report.cancel_sync();
  EXPECT_TRUE(ended);
}

// WQ-96. Method: the item queues itself from its callback for ever; only cancel_sync() ends that.
TEST(cancelling, cancel_sync_stops_an_item_that_queues_itself) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "poller"}};
  gate started;
  // [sync]
  int polls = 0;
  wring::work poll{[&](wring::work& self) {
    ++polls;
    started.open();
    queue.queue(self);  // again, and again
  }};
  queue.queue(poll);
  started.wait();
  poll.cancel_sync();            // refused from now on, taken back, and not running any more
  const int polls_then = polls;  // so this needs no lock
  // [/sync]
  queue.flush();
  EXPECT_EQ(polls, polls_then);
  EXPECT_FALSE(poll.pending() || poll.running());
}

// [stop]
class search {
 public:
  explicit search(wring::workqueue& queue) { queue.queue(work_); }
  [[nodiscard]] long steps() const { return steps_; }

 private:
  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) ++steps_;
  }

  std::atomic<long> steps_{0};
  wring::work work_{[this](const std::stop_token& stop) { run(stop); }};  // its destructor asks, and waits
};
// [/stop]

// WQ-96. Method: the callback is inside and never ends by itself, so the test ends only if it is asked to.
TEST(cancelling, a_long_callback_is_asked_to_stop_and_the_destructor_waits) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "search"}};
  const search forever{queue};
  eventually([&] { return forever.steps() > 0; });
}

// WQ-95. Method: an hour does not pass.
TEST(cancelling, a_timeout_that_is_cancelled_never_fires) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "timeouts"}};
  using namespace std::chrono_literals;
  bool timed_out = false;
  // [timeout]
  wring::delayed_work timeout{[&] { timed_out = true; }};
  queue.queue_delayed(timeout, 1h);
  const bool in_time = timeout.cancel();  // true: the answer came first, the timeout will not fire
  // [/timeout]
  EXPECT_TRUE(in_time);
  queue.flush();
  EXPECT_FALSE(timed_out);
}

// WQ-98. Method: nothing is queued between the two calls.
TEST(cancelling, disable_keeps_an_item_from_being_queued_by_anybody) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "writer"}};
  int writes = 0;
  wring::work write_back{[&] { ++writes; }};
  // [disable]
  write_back.disable_sync();              // not pending, not running, and it stays so
  EXPECT_FALSE(queue.queue(write_back));  // whoever tries
  EXPECT_TRUE(write_back.enable());
  EXPECT_TRUE(queue.queue(write_back));
  // [/disable]
  queue.flush();
  EXPECT_EQ(writes, 1);
}

}  // namespace
