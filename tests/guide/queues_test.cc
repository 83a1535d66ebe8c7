// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/01-queues.md, which quotes the marked parts.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>

namespace {

using wring::test::eventually;
using wring::test::gate;
using wring::test::plug;
using wring::test::test_runtime;

// [class]
class search_index {
 public:
  explicit search_index(wring::workqueue& queue) : queue_{queue} {}

  void changed() { queue_.queue(rebuild_); }  // from any thread, as often as you like
  [[nodiscard]] int rebuilds() const { return rebuilds_; }

 private:
  void rebuild() { ++rebuilds_; }

  wring::workqueue& queue_;
  int rebuilds_ = 0;
  wring::work rebuild_{[this] { rebuild(); }};  // last: everything above outlives it
};
// [/class]

// WQ-40, WQ-60. Method: the queue is kept busy, so the item stays pending until the test lets go.
TEST(queues, many_changes_before_a_run_cause_one_run) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "index", .max_active = 1}};
  search_index index{queue};
  {
    plug busy{queue};
    for (int i = 0; i < 1'000; ++i) index.changed();
  }
  queue.flush();
  EXPECT_EQ(index.rebuilds(), 1);
}

// WQ-64. Method: as above; the second call changes nothing, but what was written before it is seen.
TEST(queues, the_pending_run_sees_what_was_written_before_a_call_that_returned_false) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "settings", .max_active = 1}};
  plug busy{queue};
  // [coalesce]
  int version = 1;  // no lock, no atomic
  int published = 0;
  wring::work publish{[&] { published = version; }};

  const bool first = queue.queue(publish);  // true: now it is pending
  version = 2;
  const bool second = queue.queue(publish);  // false: the run that is due will do, and it sees version 2
  // [/coalesce]
  busy.pull();
  queue.flush();
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  EXPECT_EQ(published, 2);
}

// WQ-5, WQ-7, WQ-12. Method: a thousand queues on a runtime for four CPUs, with items that do not block: all at once,
// then one after the other, which is left to a worker that is there already.
TEST(queues, a_thousand_queues_share_a_few_threads) {
  test_runtime rt;
  std::atomic<int> runs{0};
  std::deque<wring::workqueue> queues;
  for (int i = 0; i < 1'000; ++i) queues.emplace_back(rt, wring::workqueue_options{.name = "one of many"});
  for (wring::workqueue& queue : queues) queue.submit([&runs] { ++runs; });
  for (wring::workqueue& queue : queues) queue.flush();
  EXPECT_EQ(runs, 1'000);
  for (wring::workqueue& queue : queues) {
    queue.submit([&runs] { ++runs; });
    queue.flush();
  }
  EXPECT_EQ(runs, 2'000);
  std::uint64_t threads = 0;
  for (const wring::pool_stats& pool : rt->stats().pools) threads += pool.workers_created;
  EXPECT_LE(threads, 16u);
}

// WQ-22, WQ-70, WQ-151. Method: items stay inside until the queue says that others wait for a slot.
TEST(queues, max_active_bounds_what_is_in_progress) {
  test_runtime rt;
  gate leave;
  const auto download = [&leave] {
    const wring::blocking_scope scope;
    leave.wait();
  };
  // [max-active]
  wring::workqueue downloads{rt, {.name = "downloads", .max_active = 2}};
  for (int i = 0; i < 100; ++i) downloads.submit(download);  // all are accepted; two at a time are in progress
  // [/max-active]
  eventually([&] { return downloads.stats().congested; });
  EXPECT_EQ(downloads.stats().active, 2u);
  leave.open();
  downloads.flush();
  EXPECT_EQ(downloads.stats().items_started, 100u);
}

// WQ-50..52. Method: nothing is early but by flush(), and an hour does not pass.
TEST(queues, a_delay_is_set_by_the_first_call_and_changed_by_modify) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "delays"}};
  int runs = 0;
  using namespace std::chrono_literals;
  // [delayed]
  wring::delayed_work save{[&] { ++runs; }};
  queue.queue_delayed(save, 1h);  // true: it is pending from now on
  queue.queue_delayed(save, 0s);  // false: it is pending already, the delay stays
  queue.modify(save, 2h);         // true: it was pending; two hours from now
  save.flush();                   // or now: the delay is cut short, and the run waited for
  // [/delayed]
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(queue.queue_delayed(save, 1h));
  EXPECT_FALSE(queue.queue_delayed(save, 0s));
  queue.flush();
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(queue.modify(save, 2h));
  queue.flush();
  EXPECT_EQ(runs, 1);
}

// WQ-63. Method: the address sanitizer sees a touch after the end.
TEST(queues, an_item_may_free_itself) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "requests"}};
  std::string answers;
  // [free]
  struct request {
    std::string text;
    std::string& answers;
    wring::work serve{[this] {
      answers += "re: " + text + "\n";
      delete this;  // from the start of its callback the item is yours
    }};
  };
  queue.queue((new request{"hello", answers})->serve);
  // [/free]
  queue.flush();
  EXPECT_EQ(answers, "re: hello\n");
}

}  // namespace
