// SPDX-License-Identifier: Apache-2.0
// What one item guarantees: queueing, pending, running, identity (WQ-1, WQ-40, WQ-60..64, WQ-69, WQ-70).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <vector>

namespace wring {
namespace {

using test::counter;
using test::eventually;
using test::gate;
using test::overlap;
using test::plug;
using test::test_runtime;

std::atomic<int> static_runs{0};
constinit work static_item{[](work&) { static_runs.fetch_add(1); }};
constinit delayed_work static_delayed{[] { static_runs.fetch_add(1); }};

// WQ-1. Method: the items are constant-initialised, or this does not compile. On the default runtime, because
// a static item outlives every other.
TEST(item, a_static_item_needs_no_constructor_at_run_time) {
  static_runs.store(0);
  workqueue queue{{.name = "static"}};
  EXPECT_TRUE(queue.queue(static_item));
  EXPECT_TRUE(queue.queue(static_delayed));
  queue.flush();
  EXPECT_EQ(static_runs.load(), 2);
}

// WQ-1: one line for state, links and callable.
TEST(item, a_work_is_one_cache_line) {
  static_assert(sizeof(work) == 64);
  static_assert(sizeof(delayed_work) == 112);
  static_assert(!std::is_copy_constructible_v<work> && !std::is_move_constructible_v<work>);
  static_assert(std::is_final_v<work>);
}

// WQ-1, WQ-40. Method: the items wait behind a plug while the heap is looked at. The sanitizers' heaps tell nothing.
TEST(item, a_thousand_that_are_queued_take_no_memory) {
  const auto heap_bytes = [] { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; };
  test_runtime rt;
  workqueue queue{rt, {.name = "heap", .max_active = 1}};
  counter ran;
  std::deque<work> items;
  for (int i = 0; i < 1'000; ++i) items.emplace_back([&ran] { ran.add(); });
  plug stopper{queue};
  const std::size_t before = heap_bytes();
  int accepted = 0;
  for (work& w : items) accepted += queue.queue(w) ? 1 : 0;
  const std::size_t after = heap_bytes();
  stopper.pull();
  queue.flush();
  EXPECT_EQ(accepted, 1'000);
  EXPECT_EQ(ran.value(), 1'000);
  EXPECT_LT(after, before + std::size_t{8} * 1'000) << "less than a pointer for each";
}

// WQ-40, WQ-70. Method: a plug holds the only place, so the item stays pending.
TEST(item, a_second_queue_while_pending_returns_false_and_changes_nothing) {
  test_runtime rt;
  workqueue queue{rt, {.name = "one", .max_active = 1}};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  EXPECT_FALSE(w.pending());
  {
    plug stopper{queue};
    EXPECT_TRUE(queue.queue(w));
    EXPECT_TRUE(w.pending());
    EXPECT_FALSE(w.running());
    EXPECT_FALSE(queue.queue(w));
    EXPECT_FALSE(queue.queue(w));
    stopper.pull();
    queue.flush();
  }
  EXPECT_EQ(runs.load(), 1);
  EXPECT_FALSE(w.pending());
  EXPECT_TRUE(queue.queue(w)) << "an item is reusable once it has run";
  queue.flush();
  EXPECT_EQ(runs.load(), 2);
}

// WQ-40: pending belongs to the item, not to the queue.
TEST(item, an_item_that_is_pending_on_one_queue_is_refused_by_another) {
  test_runtime rt;
  workqueue one{rt, {.name = "one", .max_active = 1}};
  workqueue two{rt, {.name = "two"}};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  plug stopper{one};
  EXPECT_TRUE(one.queue(w));
  EXPECT_FALSE(two.queue(w));
  stopper.pull();
  EXPECT_TRUE(one.flush());
  EXPECT_TRUE(two.queue(w));
  EXPECT_TRUE(two.flush());
  EXPECT_EQ(runs.load(), 2);
}

// WQ-62: pending is clear inside the callback, so it can be queued again there, for one more run.
TEST(item, queueing_inside_the_callback_returns_true_once_and_gives_one_more_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "again"}};
  std::atomic<int> runs{0};
  std::atomic<int> accepted{0};
  std::atomic<bool> pending_at_start{false};
  struct shared {
    workqueue& queue;
    std::atomic<int>& runs;
    std::atomic<int>& accepted;
    std::atomic<bool>& pending_at_start;
  } s{queue, runs, accepted, pending_at_start};
  work w{[&s](work& self) {
    if (self.pending()) s.pending_at_start.store(true);
    if (s.runs.fetch_add(1) == 0) {
      for (int i = 0; i < 3; ++i) s.accepted.fetch_add(s.queue.queue(self) ? 1 : 0);
    }
  }};
  queue.queue(w);
  queue.drain();
  EXPECT_EQ(accepted.load(), 1);
  EXPECT_EQ(runs.load(), 2);
  EXPECT_FALSE(pending_at_start.load());
}

struct racer {
  workqueue* queue = nullptr;
  overlap inside{};
  std::atomic<int> runs{0};
  std::atomic<int> accepted{0};
  int again = 0;  // how often the callback queues itself
  work item{[this](work& self) {
    inside.enter();
    const int run = runs.fetch_add(1);
    if (run < again && queue->queue(self)) accepted.fetch_add(1);
    for (int i = 0; i < 20; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    inside.leave();
  }};
};

// WQ-61, WQ-62. Method: it queues itself first thing, while other workers are free to take it.
TEST(item, an_item_that_queues_itself_never_runs_twice_at_once) {
  test_runtime rt;
  workqueue queue{rt, {.name = "self"}};
  racer r;
  r.queue = &queue;
  r.again = 20'000;
  ASSERT_TRUE(queue.queue(r.item));
  eventually([&] { return r.runs.load() == r.again + 1; });
  queue.flush();
  EXPECT_EQ(r.inside.most(), 1);
  EXPECT_EQ(r.runs.load(), r.accepted.load() + 1);
}

// WQ-60, WQ-61. Method: four threads queue the same item as fast as they can; each true is one run.
TEST(item, every_accepted_queue_call_is_one_run_and_runs_never_overlap) {
  test_runtime rt;
  workqueue queue{rt, {.name = "others"}};
  racer r;
  r.queue = &queue;
  std::atomic<int> accepted{0};
  test::together(4, [&](int) {
    for (int i = 0; i < 5'000; ++i) accepted.fetch_add(queue.queue(r.item) ? 1 : 0);
  });
  queue.flush();
  EXPECT_EQ(r.runs.load(), accepted.load());
  EXPECT_EQ(r.inside.most(), 1);
}

// WQ-61. Method: the item runs and waits at a gate; queued again, it may start only after that run.
TEST(item, an_item_queued_while_it_runs_starts_after_that_run_although_workers_are_free) {
  test_runtime rt;
  workqueue queue{rt, {.name = "busy"}};
  struct {
    counter entered;
    gate release;
    overlap inside;
  } s;
  work w{[&s] {
    s.inside.enter();
    s.entered.add();
    s.release.wait();
    s.inside.leave();
  }};
  queue.queue(w);
  s.entered.wait_for(1);
  EXPECT_TRUE(w.running());
  EXPECT_FALSE(w.pending());
  EXPECT_TRUE(queue.queue(w));
  EXPECT_TRUE(w.pending());
  // Other items of the queue are not held up meanwhile.
  gate other_ran;
  queue.submit([&] { other_ran.open(); });
  other_ran.wait();
  EXPECT_EQ(s.entered.value(), 1);
  s.release.open();
  queue.flush();
  EXPECT_EQ(s.entered.value(), 2);
  EXPECT_EQ(s.inside.most(), 1);
  EXPECT_FALSE(w.running());
}

// WQ-64. Method: two threads write, then queue; whichever call is refused, the last run sees both writes.
TEST(item, what_was_written_before_a_refused_queue_call_is_seen_by_the_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "fence"}};
  struct {
    std::array<std::atomic<int>, 2> written{};
    std::array<std::atomic<int>, 2> seen{};
  } s;
  work w{[&s] {
    for (std::size_t i = 0; i < 2; ++i) s.seen[i].store(s.written[i].load(std::memory_order_relaxed));
  }};
  for (int round = 1; round <= 300; ++round) {
    test::together(2, [&](int me) {
      s.written[static_cast<std::size_t>(me)].store(round, std::memory_order_relaxed);
      queue.queue(w);
    });
    queue.flush();
    ASSERT_EQ(s.seen[0].load(), round);
    ASSERT_EQ(s.seen[1].load(), round);
  }
}

// WQ-65 through flush. Method: plain data; the thread sanitizer objects if the order is missing.
TEST(item, what_the_callback_wrote_is_seen_after_the_flush) {
  test_runtime rt;
  workqueue queue{rt, {.name = "plain"}};
  int data = 0;
  work w{[&] { ++data; }};
  for (int i = 1; i <= 200; ++i) {
    queue.queue(w);
    if (i % 2 == 0) {
      w.flush();
    } else {
      queue.flush();
    }
    ASSERT_EQ(data, i);
  }
}

// WQ-63. Method: the object that holds the item is freed in the middle of the callback; the address
// sanitizer objects to whoever touches it later.
TEST(item, the_callback_may_free_the_object_that_holds_the_item) {
  test_runtime rt;
  workqueue queue{rt, {.name = "free"}};
  counter freed;
  struct object {
    counter& freed;
    work item{[this] {
      counter& f = freed;
      delete this;
      f.add();
    }};
  };
  constexpr int objects = 2'000;
  for (int i = 0; i < objects; ++i) queue.queue((new object{freed})->item);
  queue.flush();
  EXPECT_EQ(freed.value(), objects);
}

// WQ-63, where no sanitizer looks. Method: the callback fills the place of its item, which nobody may change after it.
TEST(item, the_place_of_an_item_is_not_written_after_its_callback) {
  test_runtime rt;
  workqueue queue{rt, {.name = "untouched"}};
  struct place {
    alignas(work) std::array<unsigned char, sizeof(work)> bytes;
  };
  std::vector<place> places(100);
  for (place& p : places) {
    queue.queue(*::new (static_cast<void*>(p.bytes.data())) work{[&p](work& self) {
      place& mine = p;  // the reference lies in the item
      self.~work();
      std::memset(mine.bytes.data(), 0xa5, sizeof(work));
    }});
  }
  queue.flush();
  for (const place& p : places) EXPECT_EQ(std::ranges::count(p.bytes, 0xa5), std::ptrdiff_t{sizeof(work)});
}

// WQ-62, WQ-63: as before, after it queued itself again: its destructor takes it back.
TEST(item, an_item_destroyed_in_its_own_callback_after_queueing_itself_does_not_run_again) {
  test_runtime rt;
  workqueue queue{rt, {.name = "free again"}};
  struct object {
    workqueue& queue;
    counter& runs;
    work item{[this](work& self) {
      queue.queue(self);
      counter& r = runs;
      delete this;
      r.add();
    }};
  };
  counter runs;
  for (int i = 0; i < 200; ++i) queue.queue((new object{queue, runs})->item);
  queue.flush();
  EXPECT_EQ(runs.value(), 200);
}

// WQ-63: the item that runs is (address, life), not the address. Method: the callback destroys its item and
// makes another in the same storage, runs that, and destroys it: this time the destructor has to wait.
TEST(item, a_new_item_at_the_address_of_one_destroyed_by_its_callback_is_not_taken_for_it) {
  test_runtime rt;
  workqueue queue{rt, {.name = "reuse"}};
  struct {
    alignas(work) unsigned char storage[sizeof(work)];
    workqueue* queue;
    gate done;
    gate second_entered;
    gate second_may_end;
    std::atomic<bool> second_ended{false};
    std::atomic<bool> ended_before_destructor_returned{false};
    std::atomic<bool> current_was_null{false};
  } s;
  s.queue = &queue;
  auto* const first = ::new (static_cast<void*>(s.storage)) work{[&s](work& self) {
    self.~work();
    s.current_was_null.store(current_work() == nullptr);
    auto* const second = ::new (static_cast<void*>(s.storage)) work{[&s] {
      s.second_entered.open();
      s.second_may_end.wait();
      s.second_ended.store(true);
    }};
    s.queue->queue(*second);
    s.second_entered.wait();
    std::thread opener{[&s] { s.second_may_end.open(); }};
    second->~work();
    s.ended_before_destructor_returned.store(s.second_ended.load());
    opener.join();
    s.done.open();
  }};
  queue.queue(*first);
  s.done.wait();
  queue.flush();
  EXPECT_TRUE(s.ended_before_destructor_returned.load());
  EXPECT_TRUE(s.current_was_null.load()) << "the item is gone";
}

// WQ-69.
TEST(item, current_work_is_the_item_inside_its_callback_and_null_elsewhere) {
  test_runtime rt;
  workqueue queue{rt, {.name = "current"}};
  EXPECT_EQ(current_work(), nullptr);
  std::atomic<work*> seen{nullptr};
  work w{[&] { seen.store(current_work()); }};
  queue.queue(w);
  queue.flush();
  EXPECT_EQ(seen.load(), &w);
  std::atomic<work*> in_closure{&w};
  queue.submit([&] { in_closure.store(current_work()); });
  queue.flush();
  EXPECT_EQ(in_closure.load(), nullptr) << "a closure is no work";
}

// WQ-69. Method: the worker waits inside of the item while its statistics are read.
TEST(item, a_worker_shows_its_description_up_to_31_characters_until_the_item_ends) {
  test_runtime rt;
  workqueue queue{rt, {.name = "shown"}};
  const auto description = [&]() -> std::string {
    for (const worker_stats& w : rt->stats().workers) {
      if (!w.description.empty()) return w.description;
    }
    return {};
  };
  set_worker_description("outside of a callback nothing happens");
  struct {
    gate entered;
    gate describe;
    gate described;
    gate end;
  } s;
  queue.submit([&s] {
    s.entered.open();
    s.describe.wait();
    set_worker_description("0123456789012345678901234567890123456789");
    s.described.open();
    s.end.wait();
  });
  s.entered.wait();
  EXPECT_EQ(description(), "shown") << "by default the name of the queue";
  s.describe.open();
  s.described.wait();
  EXPECT_EQ(description(), "0123456789012345678901234567890");
  EXPECT_NE(rt->describe().find("0123456789012345678901234567890"), std::string::npos);
  s.end.open();
  queue.flush();
  plug next{queue};
  EXPECT_EQ(description(), "shown");
}

// WQ-63, WQ-96. Method: items on the stack of a thread that leaves its scope while they are pending or running.
TEST(item, destroying_an_item_takes_it_back_or_waits_for_its_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "scoped"}};
  for (int i = 0; i < 2'000; ++i) {
    std::atomic<bool> inside{false};
    {
      work w{[&] {
        inside.store(true);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        inside.store(false);
      }};
      queue.queue(w);
    }
    ASSERT_FALSE(inside.load());
  }
  queue.flush();
}

// A callable that counts its lives; empty, so that a work need not store it.
std::atomic<int> alive{0};
struct counted_callable {
  counted_callable() { alive.fetch_add(1); }
  counted_callable(const counted_callable&) noexcept { alive.fetch_add(1); }
  counted_callable(counted_callable&&) noexcept { alive.fetch_add(1); }
  ~counted_callable() { alive.fetch_sub(1); }
  void operator()() const {}
};

TEST(item, a_callable_is_constructed_and_destroyed_equally_often) {
  test_runtime rt;
  workqueue queue{rt, {.name = "counted"}};
  {
    work w{counted_callable{}};
    queue.queue(w);
    queue.flush();
    EXPECT_EQ(alive.load(), 1);
  }
  EXPECT_EQ(alive.load(), 0);
  auto shared = std::make_shared<int>(1);
  {
    work w{[shared] { ++*shared; }};
    queue.queue(w);
    queue.flush();
    EXPECT_EQ(shared.use_count(), 2);
  }
  EXPECT_EQ(shared.use_count(), 1);
  EXPECT_EQ(*shared, 2);
}

void bare_function() { static_runs.fetch_add(1); }
void function_with_work(work&) { static_runs.fetch_add(1); }
constinit work bare_item{bare_function};
constinit work item_with_work{function_with_work};

TEST(item, plain_functions_with_and_without_an_argument_are_callbacks) {
  static_runs.store(0);
  workqueue queue{{.name = "functions"}};
  queue.queue(bare_item);
  queue.queue(item_with_work);
  queue.flush();
  EXPECT_EQ(static_runs.load(), 2);
}

}  // namespace
}  // namespace wring
