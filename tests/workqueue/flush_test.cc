// SPDX-License-Identifier: Apache-2.0
// Waiting: flush of an item and of a queue, drain (WQ-46, WQ-65, WQ-82, WQ-84, WQ-85, WQ-87, WQ-90, WQ-91, WQ-155).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <string>
#include <thread>

namespace wring {
namespace {

using test::counter;
using test::eventually;
using test::gate;
using test::plug;
using test::test_runtime;

// WQ-82.
TEST(flush, of_an_idle_item_returns_false_at_once) {
  test_runtime rt;
  workqueue queue{rt, {.name = "idle"}};
  work w{[] {}};
  EXPECT_FALSE(w.flush()) << "never queued";
  queue.queue(w);
  queue.flush();
  EXPECT_FALSE(w.flush()) << "it has run";
}

// WQ-82. Method: the item waits behind a plug; the flush returns only when it has run.
TEST(flush, of_a_pending_item_waits_for_its_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "pending", .max_active = 1}};
  std::atomic<bool> ran{false};
  work w{[&] { ran.store(true); }};
  plug stopper{queue};
  queue.queue(w);
  gate flushed;
  std::thread flusher{[&] {
    w.flush();  // false if this thread comes so late that the run is over
    EXPECT_TRUE(ran.load());
    flushed.open();
  }};
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_FALSE(flushed.is_open());
  stopper.pull();
  flusher.join();
}

// WQ-82: pending and running at once: the flush waits for the run that was asked for last.
TEST(flush, of_an_item_that_runs_and_is_pending_waits_for_the_second_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "both"}};
  struct {
    std::atomic<int> ended{0};
    counter entered;
    std::array<gate, 2> release;
  } s;
  work w{[&s] {
    const int run = s.ended.load();
    s.entered.add();
    s.release[static_cast<std::size_t>(run)].wait();
    s.ended.fetch_add(1);
  }};
  queue.queue(w);
  s.entered.wait_for(1);
  queue.queue(w);
  gate flushed;
  std::thread flusher{[&] {
    w.flush();  // false if this thread comes so late that both runs are over
    EXPECT_EQ(s.ended.load(), 2);
    flushed.open();
  }};
  s.release[0].open();
  s.entered.wait_for(2);
  EXPECT_FALSE(flushed.is_open());
  s.release[1].open();
  flusher.join();
}

// WQ-82. Method: later items of the queue are stuck at a gate that opens only after the flush.
TEST(flush, of_an_item_does_not_wait_for_items_behind_it) {
  test_runtime rt;
  workqueue queue{rt, {.name = "behind", .max_active = 1}};
  work w{[] {}};
  gate end;
  {
    plug stopper{queue};
    queue.queue(w);
    queue.submit([&] {
      const blocking_scope scope;
      end.wait();
    });
    std::thread puller{[&] { stopper.pull(); }};
    w.flush();
    puller.join();
  }
  EXPECT_FALSE(w.pending());
  end.open();
  queue.flush();
}

// WQ-82, WQ-88. Method: several threads flush the same pending item, which then is cancelled or runs.
TEST(flush, every_flusher_of_an_item_returns_when_it_runs_or_is_cancelled) {
  test_runtime rt;
  workqueue queue{rt, {.name = "crowd", .max_active = 1}};
  for (const bool cancelled : {false, true, false, true}) {
    std::atomic<int> runs{0};
    work w{[&] { runs.fetch_add(1); }};
    plug stopper{queue};
    queue.queue(w);
    std::atomic<int> arrived{0};
    std::deque<std::thread> flushers;
    for (int i = 0; i < 5; ++i) {
      flushers.emplace_back([&] {
        arrived.fetch_add(1);
        w.flush();
      });
    }
    eventually([&] { return arrived.load() == 5; });
    for (int i = 0; i < 50; ++i) std::this_thread::yield();
    if (cancelled) {
      EXPECT_TRUE(w.cancel());
    }
    if (!cancelled) stopper.pull();
    for (std::thread& t : flushers) t.join();
    EXPECT_EQ(runs.load(), cancelled ? 0 : 1);
  }
}

// WQ-87.
TEST(flush, of_another_item_of_the_own_queue_from_a_callback_works_while_places_remain) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "own", .max_active = 2}};
  std::atomic<bool> ran{false};
  std::atomic<bool> seen{false};
  work other{[&] { ran.store(true); }};
  queue.submit([&] {
    queue.queue(other);
    other.flush();
    seen.store(ran.load());
  });
  queue.flush();
  EXPECT_TRUE(seen.load());
}

// WQ-84. Method: more items than workers, some of them blocking; plain counts, ordered by the flush (WQ-65).
TEST(flush, of_a_queue_waits_for_everything_queued_before) {
  test_runtime rt;
  workqueue queue{rt, {.name = "all"}};
  for (int round = 0; round < 50; ++round) {
    std::array<int, 100> ran{};
    for (int& slot : ran) {
      queue.submit([&slot, round] {
        if ((round & 7) == 0) {
          const blocking_scope scope;
          std::this_thread::yield();
        }
        slot = 1;
      });
    }
    ASSERT_TRUE(queue.flush());
    for (const int slot : ran) ASSERT_EQ(slot, 1);
  }
  EXPECT_TRUE(queue.flush()) << "an idle queue";
}

// WQ-84. Method: what was queued after the call is held back until the flush has returned.
TEST(flush, of_a_queue_does_not_wait_for_what_is_queued_later) {
  test_runtime rt;
  workqueue queue{rt, {.name = "later"}};
  gate first_may_end;
  gate later_may_end;
  gate first_entered;
  queue.submit([&] {
    first_entered.open();
    const blocking_scope scope;
    first_may_end.wait();
  });
  first_entered.wait();
  gate flushed;
  std::thread flusher{[&] {
    queue.flush();
    flushed.open();
  }};
  eventually([&] { return rt->describe().find(", 1 flushes") != std::string::npos; });
  gate later_entered;
  queue.submit([&] {
    later_entered.open();
    const blocking_scope scope;
    later_may_end.wait();
  });
  later_entered.wait();
  EXPECT_FALSE(flushed.is_open());
  first_may_end.open();
  flusher.join();
  later_may_end.open();
  queue.flush();
}

// WQ-84, WQ-155.
TEST(flush, of_a_queue_returns_although_a_producer_never_stops) {
  test_runtime rt;
  workqueue queue{rt, {.name = "producer"}};
  std::atomic<bool> stop{false};
  std::atomic<int> waiting{0};
  std::thread producer{[&] {
    while (!stop.load()) {
      if (waiting.load() > 1'000) {
        std::this_thread::yield();
        continue;
      }
      waiting.fetch_add(1);
      queue.submit([&] { waiting.fetch_sub(1); });
    }
  }};
  for (int i = 0; i < 200; ++i) queue.flush();
  stop.store(true);
  producer.join();
  queue.flush();
  EXPECT_EQ(waiting.load(), 0);
}

// WQ-84, WQ-67. Method: the item queues itself first thing, so that other workers meet it while it runs.
TEST(flush, of_a_queue_returns_although_an_item_queues_itself_for_ever) {
  for (const unsigned cpus : {1u, 2u, 4u}) {
    test_runtime rt{{.cpus = cpus}};
    workqueue queue{rt, {.name = "forever"}};
    std::atomic<bool> stop{false};
    work forever{[&](work& self) {
      if (!stop.load()) queue.queue(self);
      for (int i = 0; i < 2'000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    }};
    queue.queue(forever);
    for (int i = 0; i < 50; ++i) queue.flush();
    for (int i = 0; i < 50; ++i) forever.flush();
    stop.store(true);
    queue.drain();
  }
}

// WQ-85, WQ-155. Method: each flusher queues an item of its own before, so that 40 colours are asked for. The first 15
// come one after the other, or those who come together would share a marker; the plugs keep all of them until no colour
// is left and the others have come.
TEST(flush, forty_flushers_at_once_all_return_each_after_its_own_item) {
  test_runtime rt;
  for (const unsigned places : {1u, 2u, 8u}) {
    workqueue queue{rt, {.name = "forty", .max_active = places}};
    std::deque<plug> stoppers;
    for (unsigned i = 0; i < places; ++i) stoppers.emplace_back(queue);
    std::atomic<int> returned{0};
    counter admitted;
    const auto described = [&rt](const std::string& text) {
      eventually([&] { return rt->describe().find(text) != std::string::npos; });
    };
    std::thread puller{[&] {
      for (int n = 1; n <= 15; ++n) {
        admitted.add();
        described(", " + std::to_string(n) + " flushes");
      }
      admitted.add(25);
      described(", 40 waiting");
      EXPECT_EQ(returned.load(), 0);
      for (plug& p : stoppers) p.pull();
    }};
    test::together(40, [&](int index) {
      admitted.wait_for(index + 1);
      for (int round = 0; round < 5; ++round) {
        std::atomic<bool> ran{false};
        queue.submit([&] { ran.store(true); });
        EXPECT_TRUE(queue.flush());
        EXPECT_TRUE(ran.load());
        returned.fetch_add(1);
      }
    });
    puller.join();
  }
}

// WQ-85: flushes end in order. Method: what came between the two has ended, and the item before both has not.
TEST(flush, that_began_later_does_not_end_earlier) {
  test_runtime rt;
  workqueue queue{rt, {.name = "order"}};
  const auto flushes = [&rt](const char* n) {
    return rt->describe().find(std::string{", "} + n + " flushes") != std::string::npos;
  };
  plug before{queue};
  std::thread first{[&] { queue.flush(); }};
  eventually([&] { return flushes("1"); });
  gate between;
  work w{[&] { between.open(); }};
  queue.queue(w);
  between.wait();
  eventually([&] { return !w.running(); });
  std::atomic<bool> returned{false};
  std::thread second{[&] {
    queue.flush();
    returned.store(true);
  }};
  eventually([&] { return flushes("2") || returned.load(); });
  EXPECT_FALSE(returned.load());
  before.pull();
  first.join();
  second.join();
}

// WQ-90: chained items are part of it.
TEST(flush, drain_waits_for_chains_of_items) {
  test_runtime rt;
  workqueue queue{rt, {.name = "chain"}};
  std::atomic<int> runs{0};
  work link{[&](work& self) {
    if (runs.fetch_add(1) < 500) queue.queue(self);
  }};
  struct {
    workqueue& queue;
    std::atomic<int> closures{0};
    void next(int depth) {
      closures.fetch_add(1);
      if (depth > 0) {
        EXPECT_TRUE(queue.submit([this, depth] { next(depth - 1); }));
      }
    }
  } s{queue};
  queue.queue(link);
  queue.submit([&s] { s.next(500); });
  EXPECT_TRUE(queue.drain());
  EXPECT_EQ(runs.load(), 501);
  EXPECT_EQ(s.closures.load(), 501);
  rt.warnings.ignore();  // of many rounds, maybe
}

// WQ-90. Method: no link ends before a flush waits for it, and it has queued the next one by then.
TEST(flush, drain_goes_on_until_a_chain_has_ended) {
  test_runtime rt;
  workqueue queue{rt, {.name = "rounds"}};
  std::atomic<int> runs{0};
  work link{[&](work& self) {
    eventually([&] { return rt->describe().find(", 1 flushes") != std::string::npos; });
    if (runs.fetch_add(1) < 5) {
      EXPECT_TRUE(queue.queue(self));
    }
  }};
  queue.queue(link);
  EXPECT_TRUE(queue.drain());
  EXPECT_EQ(runs.load(), 6);
}

// WQ-46, WQ-90. Method: the drain is under way as soon as one call from outside is refused.
TEST(flush, drain_refuses_items_from_outside_with_one_warning_and_accepts_them_afterwards) {
  test_runtime rt;
  workqueue queue{rt, {.name = "draining"}};
  plug stopper{queue};
  std::thread drainer{[&] { EXPECT_TRUE(queue.drain()); }};
  work w{[] {}};
  eventually([&] {
    const bool refused = !queue.queue(w);
    if (!refused) w.cancel_sync();
    return refused;
  });
  EXPECT_FALSE(w.pending()) << "a refused item stays idle";
  EXPECT_FALSE(queue.submit([] { ADD_FAILURE(); }));
  EXPECT_FALSE(queue.queue(w));
  delayed_work d{[] { ADD_FAILURE(); }};
  EXPECT_FALSE(queue.queue_delayed(d, std::chrono::hours{1}));
  EXPECT_FALSE(d.pending());
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("draining"), std::string::npos);
  EXPECT_GE(queue.stats().rejected, 4u);
  stopper.pull();
  drainer.join();
  EXPECT_TRUE(queue.queue(w)) << "a drained queue is open again";
  queue.flush();
}

// WQ-90: nested drains are counted.
TEST(flush, several_drains_at_once_all_return_and_leave_the_queue_open) {
  test_runtime rt;
  workqueue queue{rt, {.name = "drains"}};
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 20; ++i) queue.submit([] {});
    test::together(4, [&](int) { queue.drain(); });
    ASSERT_TRUE(queue.submit([] {}));
  }
  queue.flush();
}

// WQ-90, WQ-91: a long chain is told about.
TEST(flush, a_drain_of_many_rounds_warns) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "long chain", .max_active = 1}};
  struct {
    workqueue& queue;
    test_runtime& rt;
    std::atomic<int> left{1'000'000};
  } s{queue, rt};
  work link{[&s](work& self) {
    s.queue.queue(self);
    if (s.rt.warnings.count("rounds") != 0 || s.left.fetch_sub(1) <= 0) self.cancel();
  }};
  queue.queue(link);
  queue.drain();
  EXPECT_GE(rt.warnings.count("long chain"), 1u);
  rt.warnings.ignore();
}

}  // namespace
}  // namespace wring
