// SPDX-License-Identifier: Apache-2.0
// Items after a grace period of RCU (WQ-4, WQ-54).
//
// Method: a reader holds up each grace period that begins while it reads, so "does not run yet" is certain.
#include "rcu/reader.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/rcu.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::eventually;
using test::gate;
using test::overlap;
using test::plug;
using test::rcu_callback;
using test::reader;
using test::test_runtime;

static_assert(!std::is_copy_constructible_v<rcu_work> && !std::is_move_constructible_v<rcu_work>);
static_assert(!std::is_constructible_v<rcu_work, int> && !std::is_constructible_v<rcu_work, void (*)(work&)>);
constinit rcu_work constant_initialised{[] {}};

// One begins and ends.
void another_grace_period() { ::urcu_bp_synchronize_rcu(); }

// What would come true soon if it were wrong.
template <class Condition>
void stays(const Condition& condition) {
  for (int i = 0; i < 2'000; ++i) {
    std::this_thread::yield();
    ASSERT_TRUE(condition());
  }
}

struct counted {
  std::atomic<int> runs{0};
  counter ran;
  rcu_work item{[this] {
    runs.fetch_add(1);
    ran.add();
  }};
};

// WQ-4, WQ-54. Method: the grace period cannot end while a reader of before the call reads; a later one has begun and
// ended once the item ran.
TEST(rcu_work, an_item_runs_only_after_a_grace_period) {
  test_runtime rt;
  workqueue queue{rt, {.name = "rcu"}};
  counted c;
  for (int i = 1; i <= 20; ++i) {
    reader before;
    EXPECT_TRUE(queue_rcu(queue, c.item));
    EXPECT_TRUE(c.item.pending());
    EXPECT_TRUE(queue.flush()) << "the queue does not know it yet";
    EXPECT_TRUE(queue.drain());
    stays([&] { return c.runs.load() == i - 1; });
    before.leave();
    c.ran.wait_for(i);
    EXPECT_FALSE(c.item.pending());
  }
}

// WQ-4. Method: the classic use: readers look at a value behind a pointer, the writer replaces it and leaves the old
// one to an item, which marks it dead. No reader may ever see a dead one.
TEST(rcu_work, no_reader_sees_what_the_item_has_taken_away) {
  test_runtime rt;
  workqueue queue{rt, {.name = "replace"}};
  struct value {
    std::atomic<bool> dead{false};
    rcu_work bury{[this] { dead.store(true); }};
  };
  std::deque<value> values(400);
  std::atomic<value*> current{&values.front()};
  std::atomic<bool> done{false};
  std::atomic<int> seen_dead{0};
  test::together(3, [&](int me) {
    if (me == 0) {
      for (std::size_t i = 1; i < values.size(); ++i) {
        value* const old = current.exchange(&values[i]);
        EXPECT_TRUE(queue_rcu(queue, old->bury));
        if (i % 8 == 0) old->bury.flush();
      }
      done.store(true);
      return;
    }
    while (!done.load()) {
      ::urcu_bp_read_lock();
      const value* const v = current.load();
      for (int look = 0; look < 20; ++look) seen_dead.fetch_add(v->dead.load() ? 1 : 0);
      ::urcu_bp_read_unlock();
    }
  });
  for (std::size_t i = 0; i + 1 < values.size(); ++i) values[i].bury.flush();
  EXPECT_EQ(seen_dead.load(), 0);
  for (std::size_t i = 0; i + 1 < values.size(); ++i) EXPECT_TRUE(values[i].dead.load());
}

// WQ-54. Method: what docs/reference/rcu.md shows.
TEST(rcu_work, a_writer_leaves_the_old_value_to_an_item) {
  test_runtime rt;
  workqueue queue{rt, {.name = "settings"}};
  counter freed;
  // [rcu]
  struct settings {
    int limit;
    counter& freed;
    wring::rcu_work retire{[this] {
      counter& told = freed;
      delete this;  // no reader can have it any more, and nobody waits here for readers
      told.add();
    }};
  };
  std::atomic<settings*> current{new settings{10, freed}};

  const auto read = [&current] {
    urcu_bp_read_lock();
    const int limit = current.load(std::memory_order_acquire)->limit;
    urcu_bp_read_unlock();
    return limit;
  };
  const auto replace = [&](int limit) {
    settings* const old = current.exchange(new settings{limit, freed}, std::memory_order_acq_rel);
    wring::queue_rcu(queue, old->retire);
  };
  // [/rcu]
  EXPECT_EQ(read(), 10);
  replace(20);
  EXPECT_EQ(read(), 20);
  freed.wait_for(1);
  EXPECT_TRUE(queue.flush());
  delete current.load();
}

// WQ-54, WQ-60, WQ-64. Method: during the grace period, and while it waits in a queue that is full.
TEST(rcu_work, queueing_a_pending_item_is_false_and_adds_no_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "pending", .max_active = 1}};
  int written = 0;  // plain: the run sees it though the last call was refused
  int seen = 0;
  rcu_work item{[&] { seen = written; }};
  std::optional<plug> stopper{queue};
  {
    const reader holds;
    EXPECT_TRUE(queue_rcu(queue, item));
    EXPECT_FALSE(queue_rcu(queue, item)) << "during the grace period";
  }
  ::urcu_bp_barrier();
  EXPECT_TRUE(item.pending()) << "it is over, and the queue is full";
  written = 7;
  EXPECT_FALSE(queue_rcu(queue, item)) << "while it waits in its queue";
  stopper.reset();
  EXPECT_TRUE(queue.flush());
  EXPECT_EQ(seen, 7);
  EXPECT_EQ(queue.stats().items_started, 2u) << "the plug, and the item once";
}

// WQ-54, WQ-73, WQ-82. Method: a worker flushes, which counts as blocked while it waits.
TEST(rcu_work, flush_waits_for_the_grace_period_and_for_the_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "flush"}};
  counted c;
  EXPECT_FALSE(c.item.flush()) << "never queued";
  std::optional<reader> holds{std::in_place};
  EXPECT_TRUE(queue_rcu(queue, c.item));
  std::atomic<bool> returned{false};
  work flusher{[&] {
    EXPECT_TRUE(c.item.flush());
    EXPECT_EQ(c.runs.load(), 1);
    returned.store(true);
  }};
  EXPECT_TRUE(queue.queue(flusher));
  eventually([&] { return rt.pool().blocked == 1; });
  stays([&] { return !returned.load(); });
  holds.reset();
  flusher.flush();
  EXPECT_TRUE(returned.load());
  EXPECT_FALSE(c.item.flush()) << "nothing to wait for";
}

// WQ-82. Method: the item waits in its queue, then runs until the test lets it go.
TEST(rcu_work, flush_waits_for_an_item_that_waits_in_its_queue_or_runs) {
  test_runtime rt;
  workqueue queue{rt, {.name = "later", .max_active = 1}};
  gate entered;
  gate released;
  std::atomic<bool> ended{false};
  rcu_work item{[&] {
    entered.open();
    const blocking_scope scope;
    released.wait();
    ended.store(true);
  }};
  std::optional<plug> stopper{queue};
  EXPECT_TRUE(queue_rcu(queue, item));
  ::urcu_bp_barrier();
  test::together(3, [&](int me) {
    if (me == 0) {
      stopper.reset();
      entered.wait();
      released.open();
    } else {
      if (me == 2) entered.wait();
      EXPECT_TRUE(item.flush() || ended.load());
      EXPECT_TRUE(ended.load());
    }
  });
}

// WQ-61, WQ-62. Method: the item queues itself again, and is queued by others, all the time.
TEST(rcu_work, an_item_is_free_in_its_callback_and_never_meets_itself) {
  test_runtime rt;
  workqueue queue{rt, {.name = "again"}};
  constexpr int rounds = 200;
  struct chain {
    workqueue& queue;
    overlap inside{};
    std::atomic<int> accepted{0};
    std::atomic<int> runs{0};
    rcu_work item{[this](rcu_work& self) {
      inside.enter();
      EXPECT_EQ(&self, &item);
      const int n = runs.fetch_add(1) + 1;
      if (n < rounds) accepted.fetch_add(queue_rcu(queue, self) ? 1 : 0);
      std::this_thread::yield();
      inside.leave();
    }};
  } c{queue};
  test::together(3, [&](int) {
    while (c.runs.load() < rounds) {
      c.accepted.fetch_add(queue_rcu(queue, c.item) ? 1 : 0);
      std::this_thread::yield();
    }
  });
  c.item.flush();
  EXPECT_EQ(c.runs.load(), c.accepted.load());
  EXPECT_EQ(c.inside.most(), 1);
}

// WQ-54, WQ-62. Method: the callback queues its own item and then goes on; the new run needs a grace period of its own.
TEST(rcu_work, an_item_queued_by_its_own_callback_waits_for_another_grace_period) {
  test_runtime rt;
  workqueue queue{rt, {.name = "own"}};
  std::optional<reader> holds;
  std::atomic<int> runs{0};
  gate first;
  const auto body = [&](rcu_work& self) {
    if (runs.fetch_add(1) != 0) return;
    EXPECT_FALSE(self.pending());
    holds.emplace();
    EXPECT_TRUE(queue_rcu(queue, self));
    EXPECT_FALSE(queue_rcu(queue, self));
    first.open();
  };
  rcu_work item{[&body](rcu_work& self) { body(self); }};
  EXPECT_TRUE(queue_rcu(queue, item));
  first.wait();
  EXPECT_TRUE(queue.flush());
  stays([&] { return runs.load() == 1; });
  EXPECT_TRUE(item.pending());
  holds.reset();
  item.flush();
  EXPECT_EQ(runs.load(), 2);
}

// WQ-63. Method: the callback frees its item, in whose grace period it may not be any more.
TEST(rcu_work, a_callback_may_free_its_item) {
  test_runtime rt;
  workqueue queue{rt, {.name = "free"}};
  counter freed;
  struct node {
    counter& freed;
    rcu_work item{[this] {
      counter& told = freed;
      delete this;
      told.add();
    }};
  };
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(queue_rcu(queue, (new node{freed})->item));
  freed.wait_for(300);
  EXPECT_TRUE(queue.flush());
}

// WQ-60. Method: many items over several queues, each several times.
TEST(rcu_work, many_items_run_once_for_each_time_they_were_queued) {
  test_runtime rt;
  workqueue plain{rt, {.name = "plain"}};
  workqueue ordered{rt, {.name = "ordered", .ordered = true}};
  workqueue divided{rt, {.name = "divided", .per_cpu = true}};
  std::deque<counted> items(600);
  std::deque<workqueue*> queues{&plain, &ordered, &divided};
  for (int round = 1; round <= 3; ++round) {
    test::together(3, [&](int me) {
      for (std::size_t i = static_cast<std::size_t>(me); i < items.size(); i += 3) {
        EXPECT_TRUE(queue_rcu(*queues[i % 3], items[i].item));
      }
    });
    for (counted& c : items) c.item.flush();
    for (counted& c : items) ASSERT_EQ(c.runs.load(), round);
  }
}

// WQ-95. Method: once during the grace period, once while it waits in its queue.
TEST(rcu_work, cancel_takes_a_pending_item_back) {
  test_runtime rt;
  workqueue queue{rt, {.name = "cancel", .max_active = 1}};
  counted c;
  EXPECT_FALSE(c.item.cancel()) << "never queued";
  {
    const reader holds;
    EXPECT_TRUE(queue_rcu(queue, c.item));
    EXPECT_TRUE(c.item.cancel());
    EXPECT_FALSE(c.item.pending());
    EXPECT_FALSE(c.item.cancel());
    EXPECT_FALSE(c.item.flush());
  }
  ::urcu_bp_barrier();
  std::optional<plug> stopper{queue};
  EXPECT_TRUE(queue_rcu(queue, c.item));
  ::urcu_bp_barrier();
  EXPECT_TRUE(c.item.cancel_sync());
  EXPECT_FALSE(c.item.pending());
  stopper.reset();
  EXPECT_TRUE(queue.flush());
  EXPECT_EQ(c.runs.load(), 0);
  EXPECT_TRUE(queue_rcu(queue, c.item)) << "it can be used again";
  c.item.flush();
  EXPECT_EQ(c.runs.load(), 1);
}

// WQ-54. Method: liburcu still has the item when it is queued again; the grace period that runs then began too early
// for this call. A second reader comes when that one has begun, so it ends without it; until it does, the test tries
// again.
TEST(rcu_work, an_item_queued_after_a_cancel_waits_for_a_whole_grace_period) {
  test_runtime rt;
  workqueue queue{rt, {.name = "whole"}};
  int patience = 100;
  eventually([&] {
    patience *= 2;
    counted c;
    std::optional<reader> first{std::in_place};
    EXPECT_TRUE(queue_rcu(queue, c.item));
    std::atomic<bool> over{false};
    const rcu_callback behind{[&] { over.store(true); }};  // called after the item is
    EXPECT_TRUE(c.item.cancel());
    for (int i = 0; i < patience; ++i) std::this_thread::yield();
    reader second;
    EXPECT_TRUE(queue_rcu(queue, c.item));
    EXPECT_FALSE(queue_rcu(queue, c.item));
    EXPECT_TRUE(c.item.pending());
    first.reset();
    for (int i = 0; i < patience && !over.load(); ++i) std::this_thread::yield();
    const bool ended_without_the_second = over.load();
    if (ended_without_the_second) {
      EXPECT_TRUE(queue.flush());
      EXPECT_EQ(c.runs.load(), 0);
      EXPECT_TRUE(c.item.pending());
    }
    second.leave();
    c.item.flush();
    EXPECT_EQ(c.runs.load(), 1);
    return ended_without_the_second;
  });
}

// WQ-96. Method: the item runs until the test lets it go, and another thread is inside of cancel_sync() meanwhile.
TEST(rcu_work, cancel_sync_waits_for_the_run_and_refuses_meanwhile) {
  test_runtime rt;
  workqueue queue{rt, {.name = "sync"}};
  gate entered;
  gate released;
  std::atomic<bool> ended{false};
  std::atomic<int> refused{0};
  const auto body = [&](rcu_work& self) {
    entered.open();
    {
      const blocking_scope scope;
      released.wait();
    }
    if (!queue_rcu(queue, self)) refused.fetch_add(1);
    ended.store(true);
  };
  rcu_work item{[&body](rcu_work& self) { body(self); }};
  EXPECT_TRUE(queue_rcu(queue, item));
  entered.wait();
  std::thread canceller{[&] {
    item.cancel_sync();  // perhaps of what we queue below
    EXPECT_TRUE(ended.load());
  }};
  eventually([&] {
    if (!queue_rcu(queue, item)) return true;
    item.cancel();
    return false;
  });
  EXPECT_FALSE(item.pending());
  released.open();
  canceller.join();
  EXPECT_EQ(refused.load(), 1);
  const reader holds;
  EXPECT_TRUE(queue_rcu(queue, item)) << "accepted again";
  EXPECT_TRUE(item.cancel_sync());
}

// WQ-60. Method: everything at once, and the books are balanced at the end.
TEST(rcu_work, runs_and_cancels_add_up) {
  test_runtime rt;
  workqueue queue{rt, {.name = "books"}};
  counted c;
  std::atomic<int> accepted{0};
  std::atomic<int> cancelled{0};
  overlap inside;
  rcu_work item{[&] {
    inside.enter();
    c.runs.fetch_add(1);
    inside.leave();
  }};
  test::together(4, [&](int me) {
    for (int i = 0; i < 1'500; ++i) {
      if (me == 0 && i % 8 == 0) {
        cancelled.fetch_add(item.cancel() ? 1 : 0);
      } else if (me == 1 && i % 32 == 0) {
        cancelled.fetch_add(item.cancel_sync() ? 1 : 0);
      } else if (me == 2 && i % 100 == 0) {
        item.flush();
      } else {
        accepted.fetch_add(queue_rcu(queue, item) ? 1 : 0);
      }
      if (i % 16 == 0) std::this_thread::yield();
      if (i % 200 == 0) another_grace_period();
    }
  });
  item.flush();
  EXPECT_FALSE(item.pending());
  EXPECT_EQ(c.runs.load() + cancelled.load(), accepted.load());
  EXPECT_EQ(inside.most(), 1);
}

// WQ-1. Method: the item is destroyed during its grace period; its memory is used again at once, and liburcu must not
// come back to it.
TEST(rcu_work, the_destructor_waits_until_liburcu_has_given_the_item_back) {
  test_runtime rt;
  workqueue queue{rt, {.name = "destroy"}};
  std::optional<reader> holds{std::in_place};
  auto item = std::make_unique<rcu_work>([] { ADD_FAILURE() << "it was cancelled"; });
  EXPECT_TRUE(queue_rcu(queue, *item));
  std::atomic<bool> destroyed{false};
  std::thread destroyer{[&] {
    item.reset();
    destroyed.store(true);
  }};
  stays([&] { return !destroyed.load(); });
  holds.reset();
  destroyer.join();
  for (int i = 0; i < 50; ++i) {
    rcu_work scoped{[] {}};
    EXPECT_TRUE(queue_rcu(queue, scoped));
  }
}

// WQ-35, WQ-54. Method: the queue is destroyed during the grace period, and its memory is another queue's when that
// ends.
TEST(rcu_work, a_grace_period_that_ends_after_its_queue_is_reported_and_the_item_dropped) {
  test_runtime rt;
  rcu_work orphan{[] { ADD_FAILURE(); }};
  std::optional<reader> holds{std::in_place};
  {
    workqueue queue{rt, {.name = "gone"}};
    EXPECT_TRUE(queue_rcu(queue, orphan));
  }
  workqueue next{rt, {.name = "next"}};
  holds.reset();
  orphan.flush();
  EXPECT_FALSE(orphan.pending());
  EXPECT_EQ(rt.warnings.count("an rcu_work came due for a queue that was destroyed"), 1U);
  rt.warnings.ignore();
  EXPECT_EQ(next.stats().items_started, 0u);
  {
    const reader again;
    EXPECT_TRUE(queue_rcu(next, orphan)) << "the item can be used again";
    EXPECT_TRUE(orphan.cancel());
  }
}

// WQ-46. Method: a drain waits for the plug; an item that is queued meanwhile, and one that comes due, are refused.
TEST(rcu_work, a_queue_that_is_drained_refuses_items) {
  test_runtime rt;
  workqueue queue{rt, {.name = "drained"}};
  counted before;
  counted meanwhile;
  std::optional<reader> holds{std::in_place};
  EXPECT_TRUE(queue_rcu(queue, before.item));
  plug stopper{queue};
  std::thread drainer{[&] { queue.drain(); }};
  work probe{[] {}};
  eventually([&] { return !queue.queue(probe) && !probe.pending(); });
  EXPECT_FALSE(queue_rcu(queue, meanwhile.item));
  EXPECT_FALSE(meanwhile.item.pending());
  holds.reset();
  before.item.flush();
  EXPECT_FALSE(before.item.pending());
  stopper.pull();
  drainer.join();
  EXPECT_EQ(before.runs.load() + meanwhile.runs.load(), 0);
  rt.warnings.ignore();
  EXPECT_TRUE(queue_rcu(queue, meanwhile.item)) << "accepted again";
  meanwhile.item.flush();
}

// WQ-86. Method: each wait that would hold itself up, with a handler that returns.
TEST(rcu_work, waiting_for_oneself_is_misuse) {
  test_runtime rt;
  workqueue queue{rt, {.name = "oneself"}};
  counted c;
  {
    ::urcu_bp_read_lock();
    EXPECT_TRUE(queue_rcu(queue, c.item)) << "a reader may queue";
    EXPECT_FALSE(c.item.flush()) << "but not wait for itself";
    ::urcu_bp_read_unlock();
  }
  EXPECT_EQ(rt.misuses.count("from a reader"), 1U);
  c.item.flush();
  {
    const reader holds;
    EXPECT_TRUE(queue_rcu(queue, c.item));
  }
  c.item.flush();
  {
    const rcu_callback in_liburcu{[&] {
      EXPECT_TRUE(queue_rcu(queue, c.item));
      EXPECT_FALSE(c.item.flush());
    }};
  }
  EXPECT_EQ(rt.misuses.count("from a reader"), 2U);
  c.item.flush();
  rcu_work own{[&](rcu_work& self) {
    EXPECT_FALSE(self.flush());
    EXPECT_FALSE(self.cancel_sync());
    EXPECT_TRUE(self.running());
  }};
  EXPECT_TRUE(queue_rcu(queue, own));
  own.flush();
  EXPECT_EQ(rt.misuses.count("from its own callback"), 2U);
  static_cast<void>(rt.misuses.take());
}

// WQ-86. Method: in a process of its own, with a handler that returns; going on would leave the item's memory to
// liburcu.
TEST(rcu_work_death, a_reader_that_destroys_an_item_in_its_grace_period_ends_the_process) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer allows a forked child no threads";
#endif
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto as_reader = [] {
    runtime_options quiet;
    quiet.on_misuse = [](const char* text, void*) { std::fprintf(stderr, "said: %s\n", text); };
    runtime rt{quiet};
    workqueue queue{rt, {.name = "held"}};
    ::urcu_bp_read_lock();
    rcu_work item{[] {}};
    queue_rcu(queue, item);
  };
  EXPECT_DEATH(as_reader(), "said: an rcu_work was destroyed during its grace period by a reader");
}

}  // namespace
}  // namespace wring
