// SPDX-License-Identifier: Apache-2.0
// Waits against what they wait for, many times over: flushes with leaders, cancels with requeues, groups,
// blocking, delays (WQ-61, WQ-73, WQ-84, WQ-96, WQ-154, WQ-155).
#include "stress/support.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::dice;
using test::gate;
using test::rounds;
using test::test_runtime;

// WQ-84. Method: empty items make one worker lead each queue; each producer's flush must see its own items.
TEST(waits, a_flush_sees_the_callers_items_while_leaders_run_short_ones) {
  for (const unsigned places : {0u, 1u, 2u}) {
    test_runtime rt{{.cpus = 2}};
    workqueue queue{rt, {.name = "short", .max_active = places}};
    test::together(4, [&](int me) {
      dice d{me};
      for (int i = rounds(400); i > 0; --i) {
        std::atomic<unsigned> ran{0};
        const unsigned count = 1 + d.roll(40);
        for (unsigned k = 0; k < count; ++k) queue.submit([&] { ran.fetch_add(1, std::memory_order_relaxed); });
        queue.flush();
        ASSERT_EQ(ran.load(std::memory_order_relaxed), count);
      }
    });
  }
}

// WQ-154. Method: an ordered queue with items, cancels and flushes from several threads; plain data inside.
TEST(waits, ordered_queues_keep_order_and_run_one_item_at_a_time) {
  test_runtime rt{{.cpus = 4, .idle_timeout = 1ms}};
  workqueue queue{rt, {.name = "ordered", .ordered = true}};
  std::array<int, 4> next{};
  std::uint64_t wrong = 0;
  std::uint64_t total = 0;
  test::together(4, [&](int me) {
    dice d{me};
    work extra{[&total] { ++total; }};
    for (int i = 0; i < rounds(3'000); ++i) {
      queue.submit([&, me, i] {
        wrong += next[static_cast<std::size_t>(me)]++ != i ? 1u : 0u;
        ++total;
        if (i % 500 == 0) {
          const blocking_scope scope;
          std::this_thread::yield();
        }
      });
      switch (d.roll(16)) {
        case 0: queue.queue(extra); break;
        case 1: extra.cancel(); break;
        case 2: extra.cancel_sync(); break;
        case 3: extra.flush(); break;
        case 4: queue.flush(); break;
        default: break;
      }
    }
  });
  queue.flush();
  EXPECT_EQ(wrong, 0u);
  for (const int n : next) EXPECT_EQ(n, rounds(3'000));
}

// WQ-96, WQ-156. Method: an item that queues itself is cancelled by two threads; afterwards its memory dies.
TEST(waits, after_cancel_sync_an_item_that_queues_itself_can_be_freed) {
  test_runtime rt{{.cpus = 4}};
  workqueue queue{rt, {.name = "cancel"}};
  workqueue other{rt, {.name = "other", .unmanaged = true}};
  test::together(3, [&](int me) {
    dice d{me};
    for (int i = rounds(400); i > 0; --i) {
      struct object {
        workqueue& queue;
        struct life {  // ends after the item's
          int left = 1;
          ~life() { left = 0; }
        } life{};
        work item{[this](work& self) {
          if (life.left != 1) std::abort();
          queue.queue(self);
        }};
      };
      auto o = std::make_unique<object>(d.roll(4) == 0 ? other : queue);
      o->queue.queue(o->item);
      for (unsigned k = d.roll(4); k > 0; --k) std::this_thread::yield();
      if (d.roll(2) == 0) o->item.cancel_sync();
      if (d.roll(2) == 0) o->item.flush();  // may wait for one more run, or none
    }
  });
}

// WQ-84: flushes of queue and item against an item that is handed from worker to worker (WQ-61).
TEST(waits, flushes_return_while_items_queue_themselves) {
  test_runtime rt{{.cpus = 4}};
  workqueue queue{rt, {.name = "self"}};
  std::atomic<bool> stop{false};
  struct object {
    workqueue& queue;
    std::atomic<bool>& stop;
    work item{[this](work& self) {
      if (!stop.load(std::memory_order_relaxed)) queue.queue(self);
      for (int i = 0; i < 300; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    }};
  };
  std::deque<object> objects;
  for (int i = 0; i < 3; ++i) queue.queue(objects.emplace_back(queue, stop).item);
  test::together(3, [&](int me) {
    dice d{me};
    for (int i = rounds(300); i > 0; --i) {
      switch (d.roll(4)) {
        case 0: queue.flush(); break;
        case 1: objects[d.roll(3)].item.flush(); break;
        case 2: queue.queue(objects[d.roll(3)].item); break;
        default: {
          object& o = objects[d.roll(3)];
          o.item.cancel_sync();
          queue.queue(o.item);
        }
      }
    }
  });
  stop.store(true);
  queue.drain();
}

struct tree {
  workqueue& queue;
  std::atomic<int> leaves{0};
  void grow(int depth, dice d) {
    if (depth == 0) {
      leaves.fetch_add(1);
      if (d.roll(8) == 0) {
        const blocking_scope scope;
        std::this_thread::yield();
      }
      return;
    }
    task_group inner{queue};
    for (int i = 0; i < 3; ++i) {
      inner.run([this, depth, i, d]() mutable { grow(depth - 1, dice{static_cast<int>(d.roll(1'000)) * 3 + i}); });
    }
    inner.wait();
  }
};

TEST(waits, trees_of_groups_finish_on_few_and_many_cpus_and_places) {
  for (const unsigned cpus : {1u, 4u}) {
    test_runtime rt{{.cpus = cpus, .idle_timeout = 1ms}};
    for (const unsigned places : {0u, 1u, 2u, 3u}) {
      workqueue queue{rt, {.name = "tree", .max_active = places}};
      for (int i = rounds(4); i > 0; --i) {
        test::together(2, [&](int me) {
          tree t{queue};
          t.grow(6, dice{me + i});
          EXPECT_EQ(t.leaves.load(), 729);
        });
      }
    }
  }
}

// WQ-73. Method: chains of items, each of which waits, announced or not, for one that is queued behind it.
TEST(waits, items_that_wait_for_later_items_always_finish) {
  test_runtime rt{{.cpus = 2, .idle_timeout = 1ms, .stall_floor = 1ms}};
  workqueue one{rt, {.name = "one"}};
  workqueue two{rt, {.name = "two"}};
  for (int i = rounds(40); i > 0; --i) {
    constexpr int links = 12;
    std::array<gate, links + 1> gates;
    dice d{i};
    for (int k = 0; k < links; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const bool announced = d.roll(4) != 0;
      (d.roll(2) == 0 ? one : two).submit([&gates, at, announced] {
        if (announced) {
          const blocking_scope scope;
          gates[at + 1].wait();
        } else {
          gates[at + 1].wait();
        }
        gates[at].open();
      });
      for (unsigned n = d.roll(200); n > 0; --n) one.submit([] {});
    }
    one.submit([&] { gates[links].open(); });
    gates[0].wait();
    one.flush();
    two.flush();
  }
  rt->audit();
}

// WQ-53, WQ-60. Method: several threads arm thousands of short delays and take some of them back.
TEST(waits, a_storm_of_delays_loses_none_and_runs_none_early) {
  test_runtime rt{{.cpus = 4}};
  workqueue queue{rt, {.name = "storm"}};
  struct delayed_object {
    std::chrono::steady_clock::time_point due{};
    std::atomic<int> runs{0};
    bool cut_short = false;
    std::atomic<int> early{0};
    delayed_work item{[this] {
      early.fetch_add(std::chrono::steady_clock::now() < due ? 1 : 0);
      runs.fetch_add(1);
    }};
  };
  test::together(4, [&](int me) {
    dice d{me};
    for (int round = rounds(5); round > 0; --round) {
      std::deque<delayed_object> objects(500);
      int cancelled = 0;
      for (delayed_object& o : objects) {
        const auto delay = std::chrono::microseconds{d.roll(8'000)};
        o.due = std::chrono::steady_clock::now() + delay;
        ASSERT_TRUE(queue.queue_delayed(o.item, delay));
        delayed_object& some = objects[d.roll(500)];
        if (d.roll(3) == 0) cancelled += some.item.cancel() ? 1 : 0;
        if (d.roll(9) == 0) {
          some.cut_short = true;
          some.item.flush();
        }
      }
      int runs = 0;
      for (delayed_object& o : objects) {
        test::eventually([&] { return !o.item.pending() && !o.item.running(); });
        runs += o.runs.load();
        EXPECT_TRUE(o.early.load() == 0 || o.cut_short);
      }
      EXPECT_EQ(runs + cancelled, 500);
    }
  });
}

// Queues that die while others use theirs: recycled memory, outdated pointers (WQ-34).
TEST(waits, items_that_wander_over_dying_queues_are_waited_for) {
  test_runtime rt{{.cpus = 4}};
  std::deque<work> wanderers;
  std::atomic<std::uint64_t> runs{0};
  std::uint64_t accepted = 0;
  for (int i = 0; i < 4; ++i) wanderers.emplace_back([&runs] { runs.fetch_add(1); });
  std::atomic<bool> stop{false};
  std::thread looker{[&] {
    while (!stop.load()) {
      for (work& w : wanderers) static_cast<void>(w.running());
      wanderers[1].flush();
      static_cast<void>(rt->stats());
    }
  }};
  for (int i = rounds(2'000); i > 0; --i) {
    workqueue queue{rt, {.name = "dies", .ordered = i % 3 == 0, .unmanaged = i % 3 == 1}};
    for (work& w : wanderers) accepted += queue.queue(w) ? 1u : 0u;
    if (i % 4 == 0) queue.submit([] {});
  }
  stop.store(true);
  looker.join();
  EXPECT_EQ(runs.load(), accepted);
}

}  // namespace
}  // namespace wring
