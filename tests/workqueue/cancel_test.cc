// SPDX-License-Identifier: Apache-2.0
// Taking items back (WQ-88, WQ-95, WQ-96, WQ-99, WQ-153, WQ-156).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <stop_token>
#include <thread>
#include <vector>

namespace wring {
namespace {

using test::eventually;
using test::gate;
using test::plug;
using test::test_runtime;

// WQ-95, WQ-99.
TEST(cancel, of_a_pending_item_returns_true_and_it_does_not_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "pending", .max_active = 1}};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  EXPECT_FALSE(w.cancel()) << "idle";
  {
    plug stopper{queue};
    queue.queue(w);
    EXPECT_TRUE(w.cancel());
    EXPECT_FALSE(w.pending());
    EXPECT_FALSE(w.cancel());
    EXPECT_TRUE(queue.queue(w)) << "it can be queued again at once";
    EXPECT_TRUE(w.cancel_sync());
    EXPECT_TRUE(queue.queue(w));
  }
  queue.flush();
  EXPECT_EQ(runs.load(), 1);
}

// WQ-99. Method: items before, between and behind stay; all flushes of what is cancelled return.
TEST(cancel, from_the_middle_of_a_queue_leaves_the_others_in_order) {
  test_runtime rt;
  workqueue queue{rt, {.name = "middle", .ordered = true}};
  std::vector<int> order;
  struct item {
    std::vector<int>& order;
    int number;
    work w{[this] { order.push_back(number); }};
  };
  std::deque<item> items;
  {
    plug stopper{queue};
    for (int i = 0; i < 10; ++i) queue.queue(items.emplace_back(order, i).w);
    for (const std::size_t gone : {0u, 4u, 5u, 9u}) EXPECT_TRUE(items[gone].w.cancel());
  }
  queue.flush();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 6, 7, 8}));
}

// WQ-99: a flush that waits only for cancelled items completes.
TEST(cancel, of_the_last_item_completes_the_flush_that_waits_for_it) {
  test_runtime rt;
  workqueue queue{rt, {.name = "last", .max_active = 1}};
  work w{[] { ADD_FAILURE(); }};
  plug stopper{queue};
  queue.queue(w);
  std::thread flusher{[&] { queue.flush(); }};
  eventually([&] { return rt->describe().find(", 1 flushes") != std::string::npos; });
  EXPECT_TRUE(w.cancel());
  stopper.pull();
  flusher.join();
}

// WQ-99, for one that waits for the worker that runs it. Method: one behind it has started, so it has been handed over.
TEST(cancel, of_an_item_that_runs_and_is_pending_completes_the_flush_that_waits_for_it) {
  test_runtime rt;
  workqueue queue{rt, {.name = "handed"}};
  std::atomic<int> runs{0};
  gate entered;
  gate release;
  work w{[&] {
    runs.fetch_add(1);
    entered.open();
    const blocking_scope scope;
    release.wait();
  }};
  queue.queue(w);
  entered.wait();
  EXPECT_TRUE(queue.queue(w));
  gate behind;
  queue.submit([&] { behind.open(); });
  behind.wait();
  std::thread flusher{[&] { queue.flush(); }};
  eventually([&] { return rt->describe().find(", 1 flushes") != std::string::npos; });
  EXPECT_TRUE(w.cancel());
  release.open();
  flusher.join();
  EXPECT_EQ(runs.load(), 1);
}

// WQ-95: a running callback goes on.
TEST(cancel, of_a_running_item_returns_false_without_waiting) {
  test_runtime rt;
  workqueue queue{rt, {.name = "running"}};
  gate entered;
  gate release;
  work w{[&] {
    entered.open();
    release.wait();
  }};
  queue.queue(w);
  entered.wait();
  EXPECT_FALSE(w.cancel());
  EXPECT_TRUE(w.running());
  EXPECT_TRUE(queue.queue(w));
  EXPECT_TRUE(w.cancel()) << "the second run was pending";
  release.open();
  queue.flush();
  EXPECT_FALSE(w.running());
}

// WQ-96.
TEST(cancel, sync_waits_for_the_running_callback) {
  test_runtime rt;
  workqueue queue{rt, {.name = "sync"}};
  struct {
    gate entered;
    gate release;
    std::atomic<bool> ended{false};
  } s;
  work w{[&s] {
    s.entered.open();
    s.release.wait();
    s.ended.store(true);
  }};
  queue.queue(w);
  s.entered.wait();
  queue.queue(w);
  gate cancelling;
  std::thread canceller{[&] {
    cancelling.open();
    EXPECT_TRUE(w.cancel_sync()) << "one run was pending";
    EXPECT_TRUE(s.ended.load());
  }};
  cancelling.wait();
  // Queue calls are refused as soon as the cancel has begun (WQ-40).
  eventually([&] { return !w.pending(); });
  EXPECT_FALSE(queue.queue(w));
  s.release.open();
  canceller.join();
  EXPECT_FALSE(w.pending());
  EXPECT_FALSE(w.running());
  EXPECT_TRUE(queue.queue(w));
  queue.flush();
}

// WQ-96, WQ-156. Method: the item queues itself for ever; after each cancel it is idle until queued from here.
TEST(cancel, sync_stops_an_item_that_queues_itself) {
  test_runtime rt;
  workqueue queue{rt, {.name = "endless"}};
  std::atomic<int> runs{0};
  work w{[&](work& self) {
    runs.fetch_add(1);
    queue.queue(self);
  }};
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(queue.queue(w));
    if (i % 2 == 0) {
      const int before = runs.load();
      eventually([&] { return runs.load() > before + 2; });
    }
    w.cancel_sync();
    ASSERT_FALSE(w.pending());
    ASSERT_FALSE(w.running());
    const int after = runs.load();
    queue.flush();
    ASSERT_EQ(runs.load(), after);
  }
}

// WQ-96: it works when the item moves between queues of different pools.
TEST(cancel, sync_stops_an_item_that_moves_between_queues) {
  test_runtime rt;
  workqueue one{rt, {.name = "one"}};
  workqueue two{rt, {.name = "two", .unmanaged = true}};
  struct {
    workqueue& one;
    workqueue& two;
    std::atomic<int> runs{0};
  } s{one, two};
  work w{[&s](work& self) { (s.runs.fetch_add(1) % 2 == 0 ? s.two : s.one).queue(self); }};
  for (int i = 0; i < 200; ++i) {
    const int before = s.runs.load();
    one.queue(w);
    eventually([&] { return s.runs.load() > before + 3; });
    w.cancel_sync();
    ASSERT_FALSE(w.pending());
    const int after = s.runs.load();
    one.flush();
    two.flush();
    ASSERT_EQ(s.runs.load(), after);
  }
}

// WQ-60, WQ-153. Method: queue and cancel race on one item; the books must balance.
TEST(cancel, runs_and_successful_cancels_add_up_to_accepted_queue_calls) {
  test_runtime rt;
  workqueue queue{rt, {.name = "books"}};
  std::atomic<int> runs{0};
  std::atomic<int> accepted{0};
  std::atomic<int> cancelled{0};
  work w{[&] { runs.fetch_add(1); }};
  test::together(4, [&](int me) {
    for (int i = 0; i < 5'000; ++i) {
      if (me == 0) {
        cancelled.fetch_add(w.cancel() ? 1 : 0);
      } else if (me == 1) {
        cancelled.fetch_add(w.cancel_sync() ? 1 : 0);
      } else {
        accepted.fetch_add(queue.queue(w) ? 1 : 0);
      }
    }
  });
  queue.flush();
  EXPECT_EQ(runs.load() + cancelled.load(), accepted.load());
}

// WQ-96: a cancel from another callback of the same queue, which has to wait, does not hold up that queue.
TEST(cancel, sync_of_another_item_from_a_callback_waits_for_it) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "neighbours"}};
  struct {
    gate entered;
    gate release;
    std::atomic<bool> ended{false};
    std::atomic<bool> seen{false};
  } s;
  work victim{[&s] {
    s.entered.open();
    {
      const blocking_scope scope;
      s.release.wait();
    }
    s.ended.store(true);
  }};
  struct canceller {
    work& victim;
    decltype(s)& state;
    work item{[this] {
      victim.cancel_sync();
      state.seen.store(state.ended.load());
    }};
  } c{victim, s};
  queue.queue(victim);
  s.entered.wait();
  queue.queue(c.item);
  queue.submit([&s] { s.release.open(); });
  queue.flush();
  EXPECT_TRUE(s.seen.load());
}

// Each way of cancelling asks the callback to stop. Method: the callback ends when it is asked, and not before.
TEST(cancel, asks_a_running_callback_to_stop) {
  test_runtime rt;
  workqueue queue{rt, {.name = "asked"}};
  const auto until_asked = [](gate& entered, const std::stop_token& stop) {
    entered.open();
    while (!stop.stop_requested()) std::this_thread::yield();
  };
  const auto begin = [&](auto& item, gate& entered) {
    queue.queue(item);
    entered.wait();
  };
  {
    gate entered;
    work w{[&](const std::stop_token& stop) { until_asked(entered, stop); }};
    begin(w, entered);
    EXPECT_FALSE(w.cancel());
    EXPECT_TRUE(w.flush() || !w.running()) << "it ends";
  }
  {
    gate entered;
    work w{[&](work&, const std::stop_token& stop) { until_asked(entered, stop); }};
    begin(w, entered);
    EXPECT_FALSE(w.cancel_sync());
    EXPECT_FALSE(w.running());
  }
  {
    gate entered;
    work w{[&](const std::stop_token& stop) { until_asked(entered, stop); }};
    begin(w, entered);
    EXPECT_FALSE(w.disable_sync());
  }
  {
    gate entered;
    work w{[&](const std::stop_token& stop) { until_asked(entered, stop); }};
    begin(w, entered);
  }
  gate entered;
  delayed_work d{[&](const std::stop_token& stop) { until_asked(entered, stop); }};
  queue.queue_delayed(d, std::chrono::nanoseconds{0});
  entered.wait();
  EXPECT_FALSE(d.cancel_sync());
}

// Also while it waits for a child of its group, which runs in its place and looks at the token. Method: on an ordered
// queue nobody else could run the child.
TEST(cancel, asks_a_callback_to_stop_that_runs_a_child_of_its_group) {
  test_runtime rt;
  workqueue queue{rt, {.name = "with a child", .ordered = true}};
  gate entered;
  work w{[&](const std::stop_token& stop) {
    task_group group{queue};
    group.run([&] {
      entered.open();
      while (!stop.stop_requested()) std::this_thread::yield();
    });
    group.wait();
  }};
  queue.queue(w);
  entered.wait();
  EXPECT_FALSE(w.cancel_sync());
  EXPECT_FALSE(w.running());
}

// However early the canceller comes: it meets a callback that has its token, or one that is about to get it. Method:
// cancel at any moment after the queue call; the callback that began must end.
TEST(cancel, sync_asks_a_callback_that_has_just_begun_to_stop) {
  test_runtime rt;
  workqueue queue{rt, {.name = "just begun"}};
  int taken_back = 0;
  for (int round = 0; round < 3'000 || taken_back == round; ++round) {  // until some had begun
    work w{[](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::this_thread::yield();
    }};
    queue.queue(w);
    for (int i = 0; i < round % 50; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    if (round % 2 == 0) std::this_thread::yield();
    taken_back += w.cancel_sync() ? 1 : 0;
  }
}

// The next run gets a token of its own.
TEST(cancel, of_one_run_does_not_ask_the_next_one_to_stop) {
  test_runtime rt;
  workqueue queue{rt, {.name = "next"}};
  std::atomic<int> asked{0};
  struct {
    gate entered;
    gate release;
  } s;
  work w{[&](const std::stop_token& stop) {
    s.entered.open();
    s.release.wait();
    asked += stop.stop_requested() ? 1 : 0;
  }};
  queue.queue(w);
  s.entered.wait();
  EXPECT_TRUE(queue.queue(w)) << "due after this run";
  EXPECT_TRUE(w.cancel());
  EXPECT_TRUE(queue.queue(w)) << "and once more";
  s.release.open();
  queue.flush();
  EXPECT_EQ(asked.load(), 1);
}

// Deadline-bounded: says where the callback is. Method: it cannot end before the gate opens.
TEST(cancel, sync_for_gives_up_and_says_where_the_callback_is) {
  test_runtime rt;
  workqueue queue{rt, {.name = "bounded"}};
  gate entered;
  gate release;
  work w{[&] {
    set_worker_description("holding on");
    const blocking_scope scope;
    entered.open();
    release.wait();
  }};
  EXPECT_TRUE(w.cancel_sync_for(std::chrono::seconds{1}).ended) << "it was idle";
  EXPECT_FALSE(w.find_run());
  queue.queue(w);
  entered.wait();
  EXPECT_TRUE(queue.queue(w));
  const cancel_result late = w.cancel_sync_for(std::chrono::milliseconds{1});
  EXPECT_TRUE(late.was_pending);
  EXPECT_FALSE(late.ended);
  EXPECT_FALSE(w.cancel_sync_for(std::chrono::nanoseconds{-5}).ended) << "a look";
  const auto where = w.find_run();
  ASSERT_TRUE(where);
  EXPECT_EQ(where->queue, "bounded");
  EXPECT_EQ(where->description, "holding on");
  EXPECT_TRUE(where->announced);
  EXPECT_FALSE(where->callback.empty());
  EXPECT_TRUE(queue.queue(w)) << "it is not disabled for ever";
  release.open();
  EXPECT_TRUE(w.cancel_sync_for(std::chrono::nanoseconds::max()).ended);
  EXPECT_FALSE(w.find_run());
  EXPECT_FALSE(w.running());
}

TEST(cancel, a_delayed_item_that_runs_is_found) {
  test_runtime rt;
  workqueue queue{rt, {.name = "later"}};
  gate entered;
  gate release;
  delayed_work w{[&] {
    entered.open();
    release.wait();
  }};
  EXPECT_TRUE(queue.queue_delayed(w, std::chrono::milliseconds{1}));
  entered.wait();
  const auto where = w.find_run();
  ASSERT_TRUE(where);
  EXPECT_EQ(where->queue, "later");
  release.open();
  w.cancel_sync();
  EXPECT_FALSE(w.find_run());
}

TEST(cancel, sync_for_from_its_own_callback_is_misuse) {
  test_runtime rt;
  workqueue queue{rt, {.name = "own"}};
  std::atomic<bool> ended{true};
  work w{[&](work& self) { ended = self.cancel_sync_for(std::chrono::seconds{9}).ended; }};
  queue.queue(w);
  queue.flush();
  EXPECT_FALSE(ended.load());
  EXPECT_EQ(rt.misuses.take().size(), 1u);
}

}  // namespace
}  // namespace wring
