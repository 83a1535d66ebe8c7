// SPDX-License-Identifier: Apache-2.0
// wq_exhaustive: every schedule of the smallest cases, up to a number of preemptions that grows until the bound
// of the test. What a test claims it prints: "complete at bound n".
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "base/bias.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/parker.h"
#include "sched/timekeeper.h"

#include <array>
#include <cstdio>
#include <functional>

namespace {

namespace sim = wring::sim;
namespace base = wring::base;
using namespace std::chrono_literals;
using base::checked;
using base::order;
using sim::test::world;

struct limit {
  std::uint32_t preemptions;
  std::uint32_t stale_loads = 0;
  bool timers = false;  // may fire early, which counts as a preemption
};

void expect_complete(limit most, const std::function<void()>& body) {
  for (std::uint32_t n = 0; n <= most.preemptions; ++n) {
    const auto report = sim::exhaust(
        {.preemptions = n,
         .stale_loads = most.stale_loads,
         .with = {.faults = sim::profile::none, .weak_memory = most.stale_loads != 0, .timers = most.timers}},
        body);
    EXPECT_SIM_OK(report);
    if (report.failed) return;
    EXPECT_TRUE(report.complete) << "at bound " << n << " after " << report.seeds << " runs";
    std::printf("  complete at bound %u, %u stale loads: %llu runs\n", n, most.stale_loads,
                static_cast<unsigned long long>(report.seeds));
  }
}

// ---- park and wake ----------------------------------------------------------------------------------------

void park_and_wake_twice() {
  base::parker p;
  checked<int> message{0};
  sim::thread waker{[&] {
    message.set(1);
    p.unpark();
  }};
  p.park();
  sim::check(message.get() == 1, "what the waker did before is seen");
  p.unpark();
  p.park();
  waker.join();
}

TEST(wq_exhaustive, a_wake_before_during_or_after_park_is_not_lost) {
  expect_complete({.preemptions = 4}, park_and_wake_twice);
  expect_complete({.preemptions = 2, .stale_loads = 2}, park_and_wake_twice);
}

TEST(wq_exhaustive, a_wake_that_meets_a_timeout_is_not_lost) {
  expect_complete({.preemptions = 4, .timers = true}, [] {
    base::parker p;
    sim::thread waker{[&] { p.unpark(); }};
    const bool woken = p.park(base::clock::now() + 1us);
    waker.join();
    if (!woken) sim::check(p.park(), "the wake-up is still there");
  });
}

TEST(wq_exhaustive, a_completion_may_die_as_soon_as_it_is_completed) {
  expect_complete({.preemptions = 3, .stale_loads = 1}, [] {
    auto done = std::make_unique<base::completion>();
    checked<int> message{0};
    sim::thread completer{[&, c = done.get()] {
      message.set(1);
      c->complete();
    }};
    done->wait();
    sim::check(message.get() == 1, "what was done before is seen");
    done.reset();
    completer.join();
  });
}

// ---- publish and take -------------------------------------------------------------------------------------

TEST(wq_exhaustive, what_two_publishers_push_is_grabbed_once_and_whole) {
  struct element {
    element* next = nullptr;
    element* prev = nullptr;
    checked<int> payload{0};
  };
  const auto body = [] {
    std::array<element, 2> elements;
    base::push_stack<element> stack;
    int taken = 0;
    const auto take = [&] {
      for (element* e = stack.grab(); e != nullptr; e = e->next) taken += e->payload.get();
    };
    std::array publishers{sim::thread{[&] {
                            elements[0].payload.set(1);
                            stack.push(elements[0]);
                          }},
                          sim::thread{[&] {
                            elements[1].payload.set(10);
                            stack.push(elements[1]);
                          }}};
    take();
    for (auto& p : publishers) p.join();
    take();
    sim::check(taken == 11 && stack.empty(), "each is taken once", taken);
  };
  expect_complete({.preemptions = 4}, body);
  expect_complete({.preemptions = 2, .stale_loads = 2}, body);
}

// Runtime, queue, worker: everything from submit() to the worker's park, with one worker and no spare.
TEST(wq_exhaustive, an_item_published_while_the_worker_parks_is_run) {
  const auto body = [] {
    world w{{.cpus = 1, .max_workers = 1}};
    wring::workqueue q{w, {.name = "q"}};
    base::completion ran;
    q.submit([&] { ran.complete(); });
    ran.wait();
    int second = 0;
    q.submit([&] { ++second; });
    q.flush();
    sim::check(second == 1, "the second ran", second);
  };
  expect_complete({.preemptions = 1}, body);
  expect_complete({.preemptions = 1, .stale_loads = 1}, body);
}

// ---- the leader and its visitors --------------------------------------------------------------------------

TEST(wq_exhaustive, an_owner_and_a_visitor_are_never_inside_together) {
  const auto body = [] {
    base::bias b;
    base::mutex mu{base::rank::queue};
    checked<int> guarded{0};
    sim::thread visitor{[&] {
      const base::lock_guard lock{mu};
      b.exclude();
      guarded.set(guarded.get() + 1);
      b.readmit();
    }};
    for (int i = 0; i < 2; ++i) {
      if (b.enter()) {
        guarded.set(guarded.get() + 1);
        b.leave();
      } else {
        const base::lock_guard lock{mu};
        guarded.set(guarded.get() + 1);
      }
    }
    visitor.join();
    sim::check(guarded.get() == 3, "nothing is lost", guarded.get());
  };
  expect_complete({.preemptions = 4}, body);
  expect_complete({.preemptions = 2, .stale_loads = 2}, body);
}

// ---- arm and cancel ---------------------------------------------------------------------------------------

TEST(wq_exhaustive, a_timer_is_fired_or_disarmed_never_both) {
  const auto body = [] {
    struct probe {
      base::timer timer;
      int fired = 0;
    };
    probe p;
    const wring::runtime_options defaults;
    wring::sched::reporter report{defaults};
    const wring::sched::place home = wring::sched::place::here();
    wring::sched::timekeeper keeper{2, 0, report, home};
    sim::check(keeper.start() == 0, "it starts");
    p.timer.cookie = reinterpret_cast<std::uintptr_t>(&p);
    p.timer.fire = [](base::timer& t) { ++reinterpret_cast<probe*>(t.cookie)->fired; };
    keeper.arm(p.timer, base::clock::now() + 1ms);
    sim::stall(1'000'000);
    const bool disarmed = keeper.disarm(p.timer);
    keeper.stop();
    sim::check(p.fired + (disarmed ? 1 : 0) <= 1, "not both", p.fired, disarmed);
    keeper.audit();
  };
  expect_complete({.preemptions = 2, .timers = true}, body);
}

// The canceller finds the item on its way into the timer of another CPU's shard (WQ-95).
TEST(wq_exhaustive, a_delayed_item_cancelled_while_it_is_armed_stays_whole) {
  expect_complete({.preemptions = 1}, [] {
    world w{{.cpus = 2, .max_workers = 1}};
    wring::workqueue q{w, {.name = "q"}};
    int runs = 0;
    wring::delayed_work item{[&] { ++runs; }};
    q.queue_delayed(item, 1h);
    sim::check(item.cancel(), "it was pending");
    bool cancelled = false;
    sim::thread other{[&] { cancelled = item.cancel(); }};
    q.queue_delayed(item, 1h);
    other.join();
    sim::check(item.pending() == !cancelled, "cancelled or pending");
    w->audit();
    sim::check(item.cancel() == !cancelled, "it can still be cancelled");
  });
}

// ---- flush and finish -------------------------------------------------------------------------------------

TEST(wq_exhaustive, a_flush_meets_the_end_of_the_last_item) {
  expect_complete({.preemptions = 2}, [] {
    world w{{.cpus = 1, .max_workers = 1}};
    wring::workqueue q{w, {.name = "q"}};
    int ran = 0;
    q.submit([&] { ++ran; });
    q.flush();
    sim::check(ran == 1, "it has run", ran);
  });
}

TEST(wq_exhaustive, a_flush_waits_for_both_workers) {
  expect_complete({.preemptions = 1}, [] {
    world w{{.cpus = 2, .max_workers = 2}};
    wring::workqueue q{w, {.name = "q"}};
    int ran = 0;
    for (int i = 0; i < 2; ++i) {
      q.submit([&] {
        sim::point();
        ++ran;
      });
    }
    q.flush();
    sim::check(ran == 2, "both have run", ran);
  });
}

TEST(wq_exhaustive, an_item_is_cancelled_or_runs) {
  expect_complete({.preemptions = 2}, [] {
    world w{{.cpus = 1, .max_workers = 1}};
    wring::workqueue q{w, {.name = "q"}};
    int ran = 0;
    wring::work item{[&] { ++ran; }};
    q.queue(item);
    const bool cancelled = item.cancel_sync();
    sim::check(ran == (cancelled ? 0 : 1), "one of the two", ran, cancelled);
    sim::check(!item.pending() && !item.running(), "and then it is idle");
  });
}

}  // namespace
