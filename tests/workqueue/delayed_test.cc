// SPDX-License-Identifier: Apache-2.0
// Items after a delay (WQ-50..53, WQ-83, WQ-92, WQ-95, WQ-96).
//
// Method: only "never early" is asserted of time; that something does not happen yet is a delay of an hour.
#include "support/test_runtime.h"
#include "support/threads.h"

#include "base/thread_state.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::eventually;
using test::gate;
using test::plug;
using test::test_runtime;

struct timed {
  gate ran;
  std::atomic<int> runs{0};
  steady_clock::time_point at{};
  delayed_work item{[this] {
    at = steady_clock::now();
    runs.fetch_add(1);
    ran.open();
  }};
};

// WQ-53.
TEST(delayed, an_item_never_runs_before_its_delay_has_passed) {
  test_runtime rt;
  workqueue queue{rt, {.name = "later"}};
  for (const auto delay : {1ns, 1'000ns, 999'999ns, 1'000'000ns, 1'000'001ns, 3'500'000ns, 20'000'000ns}) {
    timed t;
    const auto start = steady_clock::now();
    EXPECT_TRUE(queue.queue_delayed(t.item, delay));
    EXPECT_TRUE(t.item.pending() || t.runs.load() != 0);
    t.ran.wait();
    EXPECT_GE(t.at - start, delay);
  }
}

// WQ-53, many at once: each keeps its own delay, and shorter ones do not come after much longer ones.
TEST(delayed, many_items_each_keep_their_own_delay) {
  test_runtime rt;
  workqueue queue{rt, {.name = "many"}};
  std::deque<timed> items(300);
  std::vector<std::chrono::nanoseconds> delays;
  const auto start = steady_clock::now();
  for (std::size_t i = 0; i < items.size(); ++i) {
    delays.emplace_back(std::chrono::microseconds{100 * ((i * 7) % 300)});
    EXPECT_TRUE(queue.queue_delayed(items[i].item, delays[i]));
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].ran.wait();
    EXPECT_GE(items[i].at - start, delays[i]);
    EXPECT_EQ(items[i].runs.load(), 1);
  }
  queue.flush();
}

// WQ-50: no timer is involved, so it takes its place in the order.
TEST(delayed, a_delay_of_zero_or_less_queues_at_once) {
  test_runtime rt;
  workqueue queue{rt, {.name = "now", .ordered = true}};
  std::vector<int> order;
  delayed_work zero{[&] { order.push_back(1); }};
  delayed_work negative{[&] { order.push_back(2); }};
  delayed_work plain{[&] { order.push_back(3); }};
  {
    plug stopper{queue};
    EXPECT_TRUE(queue.queue_delayed(zero, 0ns));
    EXPECT_TRUE(queue.queue_delayed(negative, -5ns));
    EXPECT_TRUE(queue.queue(plain));
    EXPECT_FALSE(queue.queue(plain)) << "pending";
  }
  queue.flush();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

// WQ-51. Method: had the second call changed the delay, the wait would last an hour, or the item run at once.
TEST(delayed, a_second_queue_delayed_returns_false_and_changes_nothing) {
  test_runtime rt;
  workqueue queue{rt, {.name = "twice"}};
  timed soon;
  const auto start = steady_clock::now();
  EXPECT_TRUE(queue.queue_delayed(soon.item, 10ms));
  EXPECT_FALSE(queue.queue_delayed(soon.item, 1h));
  EXPECT_FALSE(queue.queue(soon.item));
  soon.ran.wait();
  EXPECT_GE(soon.at - start, 10ms);
  timed later;
  EXPECT_TRUE(queue.queue_delayed(later.item, 1h));
  EXPECT_FALSE(queue.queue_delayed(later.item, 0ns));
  queue.flush();
  EXPECT_EQ(later.runs.load(), 0);
  EXPECT_TRUE(later.item.cancel());
}

// WQ-52.
TEST(delayed, modify_sets_the_delay_of_pending_and_of_idle_items) {
  test_runtime rt;
  workqueue queue{rt, {.name = "modify"}};
  timed t;
  EXPECT_FALSE(queue.modify(t.item, 1h)) << "it was idle, and is pending now";
  EXPECT_TRUE(t.item.pending());
  const auto start = steady_clock::now();
  EXPECT_TRUE(queue.modify(t.item, 5ms)) << "shorter";
  t.ran.wait();
  EXPECT_GE(t.at - start, 5ms);

  timed longer;
  EXPECT_TRUE(queue.queue_delayed(longer.item, 1h));
  EXPECT_TRUE(queue.modify(longer.item, 2h));
  EXPECT_TRUE(queue.modify(longer.item, 0ns)) << "now";
  longer.ran.wait();

  timed idle;
  EXPECT_FALSE(queue.modify(idle.item, 0ns));
  idle.ran.wait();
  queue.flush();
  EXPECT_EQ(t.runs.load() + longer.runs.load() + idle.runs.load(), 3);
}

// WQ-52: an item that already waits in its queue is taken back and delayed again.
TEST(delayed, modify_takes_an_item_back_from_its_queue) {
  test_runtime rt;
  workqueue queue{rt, {.name = "back", .max_active = 1}};
  timed t;
  {
    plug stopper{queue};
    EXPECT_TRUE(queue.queue(t.item));
    EXPECT_TRUE(queue.modify(t.item, 1h));
    stopper.pull();
    queue.flush();
  }
  EXPECT_EQ(t.runs.load(), 0);
  EXPECT_TRUE(t.item.pending());
  EXPECT_TRUE(t.item.cancel_sync());
}

// WQ-52. Method: the item is moved to another queue while its delay runs.
TEST(delayed, modify_may_move_an_item_to_another_queue) {
  test_runtime rt;
  workqueue one{rt, {.name = "one"}};
  workqueue two{rt, {.name = "two"}};
  timed t;
  one.queue_delayed(t.item, 1h);
  EXPECT_TRUE(two.modify(t.item, 1ms));
  t.ran.wait();
  two.flush();
  EXPECT_EQ(two.stats().items_started, 1u);
  EXPECT_EQ(one.stats().items_started, 0u);
}

// WQ-83.
TEST(delayed, flush_of_an_item_cuts_its_delay_short) {
  test_runtime rt;
  workqueue queue{rt, {.name = "short cut"}};
  timed t;
  EXPECT_FALSE(t.item.flush()) << "idle";
  queue.queue_delayed(t.item, 1h);
  EXPECT_TRUE(t.item.flush());
  EXPECT_EQ(t.runs.load(), 1);
  EXPECT_FALSE(t.item.pending());
}

// WQ-3, WQ-92.
TEST(delayed, flush_and_drain_of_a_queue_do_not_see_a_running_delay) {
  test_runtime rt;
  workqueue queue{rt, {.name = "unseen"}};
  timed t;
  queue.queue_delayed(t.item, 1h);
  EXPECT_TRUE(queue.flush());
  EXPECT_TRUE(queue.drain());
  EXPECT_EQ(t.runs.load(), 0);
  EXPECT_TRUE(t.item.pending());
  EXPECT_TRUE(t.item.cancel());
}

// WQ-95, WQ-96.
TEST(delayed, cancel_stops_a_running_delay) {
  test_runtime rt;
  workqueue queue{rt, {.name = "stop"}};
  timed t;
  EXPECT_FALSE(t.item.cancel());
  queue.queue_delayed(t.item, 1h);
  EXPECT_TRUE(t.item.cancel());
  EXPECT_FALSE(t.item.pending());
  EXPECT_TRUE(queue.queue_delayed(t.item, 1h));
  EXPECT_TRUE(t.item.cancel_sync());
  EXPECT_FALSE(t.item.cancel_sync());
  {
    delayed_work scoped{[] { ADD_FAILURE(); }};
    queue.queue_delayed(scoped, 1h);
  }
  EXPECT_EQ(t.runs.load(), 0);
  EXPECT_NE(rt->describe().find(" 0 timers armed"), std::string::npos);
}

// WQ-96. Method: the item runs until the test lets it go, and another thread is inside of cancel_sync() meanwhile.
TEST(delayed, while_cancel_sync_waits_no_delay_is_accepted) {
  test_runtime rt;
  workqueue queue{rt, {.name = "refused"}};
  gate entered;
  gate released;
  delayed_work item{[&] {
    entered.open();
    released.wait();
  }};
  queue.queue_delayed(item, 0ns);
  entered.wait();
  std::thread canceller{[&] { item.cancel_sync(); }};
  eventually([&] { return !queue.queue_delayed(item, 1h) && !item.pending(); });
  EXPECT_FALSE(queue.modify(item, 1h));
  EXPECT_FALSE(item.pending());
  released.open();
  canceller.join();
  EXPECT_TRUE(queue.queue_delayed(item, 1h)) << "accepted again";
  EXPECT_TRUE(item.cancel());
}

// WQ-60, WQ-153. Method: delays around the timer's tick, cancelled and modified by other threads meanwhile.
TEST(delayed, runs_and_cancels_add_up_while_delays_expire) {
  test_runtime rt;
  workqueue queue{rt, {.name = "race"}};
  std::atomic<int> runs{0};
  std::atomic<int> accepted{0};
  std::atomic<int> cancelled{0};
  delayed_work d{[&] { runs.fetch_add(1); }};
  test::together(4, [&](int me) {
    for (int i = 0; i < 3'000; ++i) {
      const auto delay = std::chrono::microseconds{(i * 37) % 1'500};
      if (me == 0) {
        cancelled.fetch_add(d.cancel() ? 1 : 0);
      } else if (me == 1 && i % 64 == 0) {
        accepted.fetch_add(queue.modify(d, delay) ? 0 : 1);  // pending before: the same run
      } else if (me == 2 && i % 64 == 0) {
        d.flush();
      } else {
        accepted.fetch_add(queue.queue_delayed(d, delay) ? 1 : 0);
      }
      if (i % 16 == 0) std::this_thread::yield();
    }
  });
  cancelled.fetch_add(d.cancel_sync() ? 1 : 0);
  EXPECT_EQ(runs.load() + cancelled.load(), accepted.load());
}

// An item that delays itself again and again is stopped for good (WQ-96).
TEST(delayed, cancel_sync_stops_an_item_that_delays_itself) {
  test_runtime rt;
  workqueue queue{rt, {.name = "periodic"}};
  struct periodic {
    workqueue& queue;
    std::atomic<int> runs{0};
    delayed_work item{[this] {
      runs.fetch_add(1);
      queue.queue_delayed(item, std::chrono::microseconds{200});
    }};
  } p{queue};
  for (int i = 0; i < 20; ++i) {
    const int before = p.runs.load();
    EXPECT_TRUE(queue.queue_delayed(p.item, 0ns));
    eventually([&] { return p.runs.load() > before + 2; });
    p.item.cancel_sync();
    const int after = p.runs.load();
    ASSERT_FALSE(p.item.pending());
    queue.flush();
    ASSERT_EQ(p.runs.load(), after);
  }
}

// WQ-35. Method: the queue is destroyed while the delay runs; what comes due then is reported, and dropped.
TEST(delayed, a_delay_that_ends_after_its_queue_is_reported_and_dropped) {
  test_runtime rt;
  delayed_work orphan{[] { ADD_FAILURE(); }};
  {
    workqueue queue{rt, {.name = "gone"}};
    queue.queue_delayed(orphan, 20ms);
  }
  workqueue next{rt, {.name = "next"}};  // recycles what the queue was made of
  eventually([&] { return rt.warnings.count("destroyed") == 1 && !orphan.pending(); });
  rt.warnings.ignore();
  EXPECT_TRUE(next.queue_delayed(orphan, 1h)) << "the item can be used again";
  EXPECT_TRUE(orphan.cancel());
}

// Of the thread with that name: how often it has gone to sleep, once it sleeps.
long times_asleep(const std::string& name) {
  for (const std::string& id : test::entries_of("/proc/self/task")) {
    if (test::name_of_thread(id) != name) continue;
    const auto number = static_cast<std::uint32_t>(std::stoul(id));
    eventually([&] { return base::look_at_thread(number).state == 'S'; });
    std::ifstream status{"/proc/self/task/" + id + "/status"};
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) return std::stol(line.substr(line.find(':') + 1));
    }
  }
  return -1;
}

// WQ-50: only a delay that ends before all others wakes the timekeeper.
TEST(delayed, a_delay_that_ends_later_than_others_wakes_nobody) {
  test_runtime rt;
  workqueue queue{rt, {.name = "far away"}};
  delayed_work first{[] {}};
  queue.queue_delayed(first, 1h);
  long before = 0;
  eventually([&] {  // it has its name, and has seen the first one
    const long last = std::exchange(before, times_asleep("wring/time"));
    return before >= 1 && last == before;
  });
  std::deque<delayed_work> later;
  long after = 0;
  for (int i = 0; i < 50; ++i) {
    queue.queue_delayed(later.emplace_back([] {}), 2h);
    after = times_asleep("wring/time");
  }
  EXPECT_LT(after - before, 10);
  first.cancel();
  for (delayed_work& item : later) EXPECT_TRUE(item.cancel());
}

// The largest delay is far away, not in the past.
TEST(delayed, an_enormous_delay_does_not_wrap) {
  test_runtime rt;
  workqueue queue{rt, {.name = "enormous"}};
  timed t;
  EXPECT_TRUE(queue.queue_delayed(t.item, std::chrono::nanoseconds::max()));
  timed other;
  queue.queue_delayed(other.item, 2ms);
  other.ran.wait();
  EXPECT_EQ(t.runs.load(), 0);
  EXPECT_TRUE(t.item.cancel());
}

}  // namespace
}  // namespace wring
