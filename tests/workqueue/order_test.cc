// SPDX-License-Identifier: Apache-2.0
// In which order items start, and how many at once (WQ-20, WQ-22, WQ-32, WQ-45, WQ-66, WQ-67, WQ-151).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

namespace wring {
namespace {

using test::counter;
using test::eventually;
using test::gate;
using test::overlap;
using test::plug;
using test::test_runtime;

std::vector<int> first_numbers(int n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

// WQ-66. Method: one CPU, so one worker starts everything; closures and items alternate.
TEST(order, items_of_one_queue_start_in_queue_order) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "fifo"}};
  std::mutex mu;
  std::vector<int> order;
  const auto note = [&](int i) {
    const std::lock_guard lock{mu};
    order.push_back(i);
  };
  struct numbered {
    const decltype(note)& write;
    int number;
    work item{[this] { write(number); }};
  };
  constexpr int count = 500;
  std::deque<numbered> items;
  gate start;
  queue.submit([&] { start.wait(); });
  for (int i = 0; i < count; ++i) {
    if (i % 2 == 0) {
      queue.queue(items.emplace_back(note, i).item);
    } else {
      queue.submit([&note, i] { note(i); });
    }
  }
  start.open();
  queue.flush();
  EXPECT_EQ(order, first_numbers(count));
}

// WQ-32, WQ-154. Method: plain data without a lock; a second item at the same time is a race.
TEST(order, an_ordered_queue_runs_one_item_at_a_time_in_queue_order) {
  test_runtime rt;
  workqueue queue{rt, {.name = "ordered", .ordered = true}};
  std::vector<int> order;
  overlap inside;
  constexpr int count = 5'000;
  for (int i = 0; i < count; ++i) {
    queue.submit([&, i] {
      inside.enter();
      order.push_back(i);
      if (i % 1'000 == 0) {
        const blocking_scope scope;
        std::this_thread::yield();
      }
      inside.leave();
    });
  }
  queue.flush();
  EXPECT_EQ(order, first_numbers(count));
  EXPECT_EQ(inside.most(), 1);
}

// WQ-32. Method: four threads queue numbered closures; each thread's own order must survive.
TEST(order, an_ordered_queue_keeps_the_order_of_every_producer) {
  test_runtime rt;
  workqueue queue{rt, {.name = "producers", .ordered = true}};
  std::vector<std::pair<int, int>> order;
  test::together(4, [&](int me) {
    for (int i = 0; i < 1'000; ++i) queue.submit([&order, me, i] { order.emplace_back(me, i); });
  });
  queue.flush();
  ASSERT_EQ(order.size(), 4'000u);
  std::vector<int> next(4);
  for (const auto& [producer, number] : order) EXPECT_EQ(number, next[static_cast<std::size_t>(producer)]++);
}

// WQ-32: blocking in an item does not let the next one start.
TEST(order, an_ordered_queue_waits_for_an_item_that_blocks) {
  test_runtime rt;
  workqueue queue{rt, {.name = "ordered", .ordered = true}};
  std::atomic<bool> second{false};
  {
    plug first{queue};
    queue.submit([&] { second.store(true); });
    // Everything else in the runtime goes on.
    workqueue other{rt, {.name = "other"}};
    gate ran;
    other.submit([&] { ran.open(); });
    ran.wait();
    EXPECT_FALSE(second.load());
  }
  queue.flush();
  EXPECT_TRUE(second.load());
}

// WQ-23, WQ-151. Method: many items that block announced, so that only max_active keeps them back.
TEST(order, max_active_items_and_not_one_more_are_in_progress) {
  for (const unsigned most : {1u, 2u, 3u, 7u}) {
    test_runtime rt;
    workqueue queue{rt, {.name = "limited", .max_active = most}};
    overlap inside;
    counter entered;
    gate release;
    for (int i = 0; i < 20; ++i) {
      queue.submit([&] {
        inside.enter();
        entered.add();
        {
          const blocking_scope scope;
          release.wait();
        }
        inside.leave();
      });
    }
    entered.wait_for(static_cast<int>(most));
    const workqueue_stats seen = queue.stats();
    EXPECT_EQ(seen.active, most);
    EXPECT_TRUE(seen.congested) << "WQ-70";
    release.open();
    queue.flush();
    EXPECT_EQ(inside.most(), static_cast<int>(most));
    const workqueue_stats after = queue.stats();
    EXPECT_EQ(after.active, 0u);
    EXPECT_FALSE(after.congested);
    EXPECT_EQ(after.items_started, 20u);
  }
}

// WQ-76, WQ-151. Method: waits that nobody announces or sees; an unmanaged queue starts all of them up to max_active.
TEST(order, an_unmanaged_queue_starts_max_active_items_whatever_blocks) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}, .detect = detection::announced}};
  workqueue queue{rt, {.name = "unmanaged", .max_active = 6, .unmanaged = true}};
  overlap inside;
  counter entered;
  gate release;
  for (int i = 0; i < 12; ++i) {
    queue.submit([&] {
      inside.enter();
      entered.add();
      release.wait();
      inside.leave();
    });
  }
  entered.wait_for(6);
  release.open();
  queue.flush();
  EXPECT_EQ(inside.most(), 6);
  EXPECT_EQ(rt.unmanaged_pool().items_started, 12u);
}

// WQ-45. Method: with one place taken, a newcomer stays behind what waits already.
TEST(order, a_newcomer_never_overtakes_what_waits_for_a_place) {
  test_runtime rt;
  workqueue queue{rt, {.name = "line", .max_active = 1}};
  std::vector<int> order;
  {
    plug stopper{queue};
    for (int i = 0; i < 10; ++i) queue.submit([&order, i] { order.push_back(i); });
  }
  for (int i = 10; i < 20; ++i) queue.submit([&order, i] { order.push_back(i); });
  queue.flush();
  EXPECT_EQ(order, first_numbers(20));
}

// WQ-22.
TEST(order, max_active_is_1024_by_default_and_clamped_to_2048_with_a_warning) {
  test_runtime rt;
  workqueue standard{rt, {.name = "standard"}};
  EXPECT_EQ(standard.stats().max_active, 1024u);
  workqueue most{rt, {.name = "most", .max_active = 2048}};
  EXPECT_EQ(most.stats().max_active, 2048u);
  EXPECT_TRUE(rt.warnings.take().empty());
  workqueue beyond{rt, {.name = "beyond", .max_active = 2049}};
  EXPECT_EQ(beyond.stats().max_active, 2048u);
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("beyond"), std::string::npos);
  workqueue ordered{rt, {.name = "ordered", .ordered = true}};
  EXPECT_EQ(ordered.stats().max_active, 1u);
}

// WQ-20.
TEST(order, a_name_of_more_than_31_characters_is_cut_with_one_warning) {
  test_runtime rt;
  workqueue exact{rt, {.name = "0123456789012345678901234567890"}};
  EXPECT_EQ(exact.name(), "0123456789012345678901234567890");
  EXPECT_TRUE(rt.warnings.take().empty());
  workqueue longer{rt, {.name = "0123456789012345678901234567890X"}};
  EXPECT_EQ(longer.name(), "0123456789012345678901234567890");
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

// WQ-20, WQ-32: a bad mix is refused, and nothing remains.
TEST(order, an_ordered_queue_with_more_than_one_place_is_refused) {
  test_runtime rt;
  auto refused = workqueue::create(rt, {.name = "bad", .max_active = 2, .ordered = true});
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), std::errc::invalid_argument);
  EXPECT_THROW((workqueue{rt, {.name = "bad", .ordered = true, .unmanaged = true}}), std::system_error);
  EXPECT_TRUE(workqueue::create(rt, {.name = "good", .max_active = 1, .ordered = true}).has_value());
  EXPECT_EQ(rt->describe().find("'bad'"), std::string::npos);
}

// WQ-67. Method: one CPU; an item queues itself until the other one has run.
TEST(order, an_item_that_queues_itself_does_not_starve_others_of_its_queue) {
  for (const bool ordered : {false, true}) {
    test_runtime rt{{.cpus = 1}};
    workqueue queue{rt, {.name = "fair", .ordered = ordered}};
    std::atomic<bool> other{false};
    work forever{[&](work& self) {
      if (!other.load()) queue.queue(self);
    }};
    queue.queue(forever);
    queue.submit([&] { other.store(true); });
    eventually([&] { return other.load(); });
    queue.flush();
  }
}

// WQ-67, over queues: items of another queue get their turn, also when the first is led by one worker.
TEST(order, an_item_that_queues_itself_does_not_starve_other_queues) {
  test_runtime rt{{.cpus = 1}};
  workqueue busy{rt, {.name = "busy", .max_active = 1}};
  workqueue quiet{rt, {.name = "quiet"}};
  std::atomic<bool> other{false};
  work forever{[&](work& self) {
    if (!other.load()) busy.queue(self);
  }};
  busy.queue(forever);
  eventually([&] { return busy.stats().active != 0 || other.load(); });
  quiet.submit([&] { other.store(true); });
  eventually([&] { return other.load(); });
  busy.drain();
}

// A leader of short items that meets a long one: what waits behind it starts on another worker.
TEST(order, what_waits_behind_a_long_item_of_a_queue_of_short_ones_starts_elsewhere) {
  test_runtime rt{{.cpus = 2, .stall_floor = std::chrono::milliseconds{0}}};
  workqueue queue{rt, {.name = "mostly short"}};
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 2'000; ++i) queue.submit([] {});
    gate opened;
    queue.submit([&] { opened.wait(); });  // on a CPU all the time, as far as wring knows
    for (int i = 0; i < 50; ++i) queue.submit([] {});
    queue.submit([&] { opened.open(); });
    queue.flush();
  }
}

// WQ-64 for closures, and none is lost or run twice.
TEST(order, every_closure_of_many_producers_runs_exactly_once) {
  test_runtime rt;
  workqueue queue{rt, {.name = "many"}};
  constexpr int producers = 4;
  constexpr int each = 5'000;
  std::vector<std::atomic<int>> runs(producers * each);
  test::together(producers, [&](int me) {
    for (int i = 0; i < each; ++i) {
      queue.submit([&runs, slot = static_cast<std::size_t>(me * each + i)] { runs[slot].fetch_add(1); });
    }
  });
  queue.flush();
  for (const auto& r : runs) ASSERT_EQ(r.load(), 1);
  EXPECT_EQ(queue.stats().items_started, runs.size());
}

}  // namespace
}  // namespace wring
