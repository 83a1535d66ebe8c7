// SPDX-License-Identifier: Apache-2.0
// wq_remap: queues that change their pools, and CPUs that come and go, while items are queued and run.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "base/sync.h"

#include <array>
#include <deque>
#include <functional>
#include <system_error>
#include <vector>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;
using wring::base::checked;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

// Sets other attributes so many times, with time between. It fails while no worker of a new pool can be created.
void move_about(wring::workqueue& q, int times) {
  for (int i = 1; i <= times; ++i) {
    try {
      q.set_attributes({.nice = i % 3});
    } catch (const std::system_error&) {
      sim::count("a queue could not move");
    }
    if (sim::choose(2) != 0) sim::spend(30 * us);
  }
}

// An ordered queue whose items were queued by two threads, one after the other, while a third one moves it.
void order_across_pools() {
  world w{{.cpus = 2, .max_workers = 6}};
  {
    wring::workqueue q{w, {.name = "ordered", .ordered = true}};
    checked<int> next{0};
    bool inside = false;
    const auto callback = [&](int n) {
      sim::check(!inside, "one at a time", n);
      inside = true;
      sim::check(next.get() == n, "in the order of queueing", n, next.get());
      if (n % 3 == 1) sim::stall(20 * us);
      next.set(n + 1);
      inside = false;
    };
    sim::thread mover{[&] { move_about(q, 4); }};
    constexpr int items = 8;
    for (int n = 0; n < items; ++n) {
      if (n % 2 == 0) {
        q.submit([&callback, n] { callback(n); });
      } else {
        sim::thread other{[&] { q.submit([&callback, n] { callback(n); }); }};
        other.join();
      }
    }
    mover.join();
    q.flush();
    sim::check(next.get() == items, "all have run", next.get());
  }
}

// WQ-32, WQ-115, WQ-154.
TEST(wq_remap, an_ordered_queue_keeps_its_order) {
  const auto report =
      sim::explore({.seeds = 1'500, .faults = sim::profile::usual, .timers = false}, order_across_pools);
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "an item met a pool that its queue had left", 0.05);
  EXPECT_SIM_EVENT(report, "the next pool of an ordered queue began", 0.5);
}

// WQ-61, WQ-60, WQ-115: two threads queue one item over and over.
TEST(wq_remap, an_item_never_runs_twice_at_once) {
  const auto report = sim::explore({.seeds = 1'500, .faults = sim::profile::usual, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    wring::workqueue q{w, {.name = "moves"}};
    bool inside = false;
    int ran = 0;
    wring::work item{[&] {
      sim::check(!inside, "never twice at once");
      inside = true;
      sim::stall(10 * us);
      inside = false;
      ++ran;
    }};
    std::array<int, 2> accepted{};
    const auto produce = [&](std::size_t self) {
      for (int i = 0; i < 6; ++i) accepted[self] += q.queue(item) ? 1 : 0;
    };
    sim::thread mover{[&] { move_about(q, 4); }};
    sim::thread other{[&] { produce(1); }};
    produce(0);
    other.join();
    mover.join();
    q.flush();
    sim::check(ran == accepted[0] + accepted[1], "as often as it was accepted", ran);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "an item met a pool that its queue had left", 0.02);
}

// WQ-82, WQ-88: an item that runs is queued again, in the next pool of its ordered queue or on another queue, and that
// one is cancelled before it begins. A flush of the item that waits for it waits for the run then, which is elsewhere.
TEST(wq_remap, the_barrier_of_a_cancelled_item_waits_for_its_run_elsewhere) {
  const auto report = sim::explore({.seeds = 1'500, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    sim::gate began;
    sim::gate cancelled;
    wring::workqueue q{w, {.name = "moves", .ordered = true}};
    wring::workqueue other{w, {.name = "other", .ordered = true}};
    other.submit([&] { cancelled.pass(); });
    bool running = false;
    wring::work item{[&] {
      running = true;
      began.open();
      cancelled.pass();
      sim::spend(10 * us);
      running = false;
    }};
    q.queue(item);
    began.pass();
    const bool moved = sim::choose(2) == 0;
    if (moved) {
      const sim::calm its_worker_is_made;
      q.set_attributes({.nice = 1});
    }
    sim::check((moved ? q : other).queue(item), "it is queued again");
    sim::thread flusher{[&] {
      if (item.flush()) sim::count("the flush waited");
      sim::check(!running, "its run is over");
    }};
    sim::check(item.cancel(), "it has not begun");
    cancelled.open();
    flusher.join();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "the flush waited", 0.3);
  EXPECT_SIM_EVENT(report, "a cancelled item's barrier waits elsewhere", 0.1);
}

// WQ-84, WQ-107, WQ-34: a flush waits for what was queued before it, in whatever pool that is; pools that nobody used
// for a while have workers again; the queue ends with items in several.
TEST(wq_remap, flush_and_the_end_of_a_queue_wait_for_all_its_pools) {
  const auto report = sim::explore({.seeds = 1'000, .faults = sim::profile::usual, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    int ran = 0;
    int accepted = 0;
    {
      wring::workqueue q{w, {.name = "moves", .max_active = 2}};
      sim::thread mover{[&] { move_about(q, 5); }};
      for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 3; ++i) {
          ++accepted;
          q.submit([&ran] {
            sim::stall(5 * us);
            ++ran;
          });
        }
        if (round % 2 == 0) {
          q.flush();
          sim::check(ran == accepted, "all before the flush have run", ran, accepted);
        }
      }
      mover.join();
    }
    sim::check(ran == accepted, "and all before the end", ran, accepted);
  });
  EXPECT_SIM_OK(report);
}

// Groups that callbacks wait for end, although their queue goes elsewhere and comes back meanwhile.
TEST(wq_remap, groups_end_whatever_pools_their_queue_uses) {
  const auto report = sim::explore({.seeds = 800, .faults = sim::profile::usual, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8}};
    wring::workqueue q{w, {.name = "groups", .max_active = 1 + sim::choose(2)}};
    int ran = 0;
    const std::function<void(int)> family = [&](int depth) {
      wring::task_group group{q};
      for (int i = 0; i < 2; ++i) {
        group.run([&, depth] {
          if (depth > 1) family(depth - 1);
          ++ran;
        });
      }
      group.wait();
    };
    sim::thread mover{[&] { move_about(q, 5); }};
    q.submit([&] { family(2); });
    q.submit([&] { family(2); });
    mover.join();
    q.flush();
    sim::check(ran == 12, "all children", ran);
  });
  EXPECT_SIM_OK(report);
}

// WQ-90, WQ-46.
TEST(wq_remap, a_drain_closes_all_pools) {
  const auto report = sim::explore({.seeds = 800, .faults = sim::profile::usual, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    wring::workqueue q{w, {.name = "drained", .ordered = sim::choose(2) != 0}};
    int ran = 0;
    int accepted = 0;
    sim::thread mover{[&] { move_about(q, 4); }};
    sim::thread drainer{[&] { q.drain(); }};
    for (int i = 0; i < 8; ++i) accepted += q.submit([&ran] { ++ran; }) ? 1 : 0;
    drainer.join();
    sim::check(q.submit([&ran] { ++ran; }), "open again");
    mover.join();
    q.drain();
    sim::check(ran == accepted + 1, "what was accepted has run", ran, accepted);
  });
  EXPECT_SIM_OK(report);
}

// WQ-130, WQ-131: nothing is lost or runs twice while a CPU leaves and comes back.
TEST(wq_remap, cpus_come_and_go) {
  const auto report = sim::explore({.seeds = 800, .faults = sim::profile::usual, .cpus = 2, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    std::deque<wring::workqueue> queues;
    {
      const sim::calm the_first_workers_are_made;
      queues.emplace_back(w, wring::workqueue_options{.name = "bound", .per_cpu = true});
      queues.emplace_back(
          w, wring::workqueue_options{.name = "plain", .attributes = {.scope = wring::affinity_scope::cpu}});
      queues.emplace_back(w, wring::workqueue_options{.name = "ordered", .ordered = true, .attributes = {.cpus = {1}}});
    }
    wring::workqueue& bound = queues[0];
    wring::workqueue& plain = queues[1];
    wring::workqueue& ordered = queues[2];
    std::array<int, 3> ran{};
    int next = 0;
    sim::thread operating{[&] {
      for (int i = 0; i < 3; ++i) {
        try {
          w->replan(i % 2 == 0 ? std::vector<unsigned>{0} : std::vector<unsigned>{0, 1});
        } catch (const std::system_error&) {
          sim::count("CPUs could not change");
        }
        sim::spend(30 * us);
      }
    }};
    constexpr int items = 6;
    for (int i = 0; i < items; ++i) {
      const auto cpu = static_cast<unsigned>(i % 2);
      sim::check(bound.submit_on(cpu, [&] { ++ran[0]; }), "accepted");
      sim::check(plain.submit_on(cpu, [&] { ++ran[1]; }), "accepted");
      sim::check(ordered.submit([&, i] {
        sim::check(next == i, "in order", next, i);
        ++next;
        ++ran[2];
      }),
                 "accepted");
    }
    operating.join();
    for (wring::workqueue& q : queues) q.flush();
    for (const int n : ran) sim::check(n == items, "each once", n);
  });
  EXPECT_SIM_OK(report);
}

// ---- planted faults -----------------------------------------------------------------------------------------

void expect_found(const char* plant, const std::function<void()>& body) {
  const sim::options how{.seeds = 5'000,
                         .faults = sim::profile::usual,
                         .plants = {plant},
                         .step_limit = 500'000,
                         .timers = false,
                         .explain = false};
  EXPECT_SIM_FINDS(sim::explore(how, body), "");
}

// WQ-154, WQ-115.
TEST(wq_remap, a_new_pool_that_begins_before_the_old_one_is_empty_is_found) {
  expect_found("heir_not_held_back", order_across_pools);
}

// WQ-154, WQ-115.
TEST(wq_remap, an_old_pool_that_stays_open_is_found) { expect_found("retired_stays_open", order_across_pools); }

}  // namespace
