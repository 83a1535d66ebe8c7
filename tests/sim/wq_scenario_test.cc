// SPDX-License-Identifier: Apache-2.0
// wq_scenario: situations that users get into, each with many schedules.
#include "support/sim_test.h"
#include "support/wq_model.h"
#include "support/wq_world.h"

#include "base/parker.h"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace {

namespace sim = wring::sim;
namespace base = wring::base;
using namespace std::chrono_literals;
using base::order;
using sim::test::model_item;
using sim::test::model_queue;
using sim::test::world;

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;
constexpr std::uint64_t second = 1'000 * ms;

// ---- threads cannot be had --------------------------------------------------------------------------------

// WQ-103, WQ-157, WQ-159: one worker does it all, and people are told once.
TEST(wq_scenario, with_no_second_thread_ever_everything_finishes_and_is_reported_once) {
  const auto report = sim::explore({.seeds = 600, .faults = sim::profile::creation_never_works}, [] {
    world w{{.cpus = 2, .max_workers = 8, .creation_retry = 10ms}};
    int ran = 0;
    {
      wring::workqueue many{w, {.name = "many"}};
      wring::workqueue ordered{w, {.name = "ordered", .ordered = true}};
      wring::delayed_work later{[&] { ++ran; }};
      many.queue_delayed(later, 5ms);
      for (int i = 0; i < 3; ++i) {
        many.submit([&] {
          const wring::blocking_scope scope;
          sim::stall(20 * ms);
          ++ran;
        });
        ordered.submit([&] {
          wring::task_group group{many};
          group.run([&] { ++ran; });
          group.wait();
          ++ran;
        });
      }
      later.flush();
      ordered.flush();
    }
    sim::check(ran == 10, "all ran", ran);
    const unsigned told = w.warnings_with("could not be created");
    sim::check(told <= 1, "told once", told);
    if (told == 1) sim::count("refusal reported");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "refusal reported", 0.9);
}

// WQ-106: after a crowd has come and gone, the surplus leaves and two stay.
TEST(wq_scenario, workers_that_nobody_needs_any_more_leave) {
  EXPECT_SIM_OK(sim::explore({.seeds = 300, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8, .idle_timeout = 1'000ms, .creation_retry = 1ms}};
    wring::workqueue q{w, {.name = "crowd"}};
    for (int i = 0; i < 6; ++i) {
      q.submit([] {
        const wring::blocking_scope scope;
        sim::stall(5 * ms);
      });
    }
    q.flush();
    sim::stall(5 * second);
    const wring::pool_stats s = w->stats().pools[0];
    sim::check(s.workers <= 3 && s.idle == s.workers, "few are left, and all are idle", s.workers, s.idle);
    int ran = 0;
    q.submit([&] { ++ran; });
    q.flush();
    sim::check(ran == 1, "and they still work");
  }));
}

// An idle process makes no wake-ups: with everybody asleep no timer is left that could end it.
void expect_idle_for_good(sim::options how, const wring::runtime_options& options,
                          const std::function<void(world&)>& use) {
  how.seeds = 1;
  for (how.first_seed = 0; how.first_seed < 100; ++how.first_seed) {
    const auto report = sim::explore(how, [&] {
      world w{options};
      use(w);
      base::completion never_completed;
      never_completed.wait();
    });
    EXPECT_SIM_FINDS(report, "stuck: nobody can go on and no timer is armed");
  }
}

TEST(wq_scenario, an_idle_runtime_takes_no_step_and_has_no_timer) {
  expect_idle_for_good({.faults = sim::profile::none, .explain = false}, {.cpus = 2, .max_workers = 8}, [](world& w) {
    wring::workqueue q{w, {.name = "busy, then idle"}};
    for (int i = 0; i < 5; ++i) q.submit([] { sim::spend(3 * us); });
    q.flush();
  });
}

// WQ-106. Nor when looks were necessary: they end, and the surplus leaves.
TEST(wq_scenario, a_runtime_whose_callbacks_have_blocked_without_a_word_is_as_idle) {
  const auto use = [](world& w) {
    wring::workqueue q{w, {.name = "blocked, then idle"}};
    for (int i = 0; i < 6; ++i) q.submit([] { sim::stall(50 * ms); });
    q.flush();
    sim::stall(5 * second);
    const wring::pool_stats s = w->stats().pools[0];
    sim::check(s.blocks_seen != 0, "they were seen to wait");
    sim::check(s.workers_max > 3, "and replaced", s.workers_max);
    sim::check(s.workers == 2 && s.idle == 2, "two are left", s.workers, s.idle);
  };
  for (const wring::detection kind : {wring::detection::cpu_clock, wring::detection::stat, wring::detection::perf}) {
    expect_idle_for_good({.faults = sim::profile::none, .timers = false, .explain = false},
                         {.cpus = 1, .max_workers = 8, .idle_timeout = 1'000ms, .stall_floor = 0ms, .detect = kind},
                         use);
  }
}

// ---- flush ------------------------------------------------------------------------------------------------

// WQ-85, WQ-155: more flushes at once than there are colours; each sees what was queued before it done.
TEST(wq_scenario, fifty_flushes_at_once_all_return) {
  const auto report = sim::explore({.seeds = 150, .step_limit = 1'000'000}, [] {
    constexpr unsigned flushers = 18;
    world w{{.cpus = 1, .max_workers = 2, .creation_retry = 1ms}};
    model_queue q{w, {.name = "flushed", .max_active = 1}};
    sim::gate closed;
    unsigned there = 0;
    q.submit(0, [&] { closed.pass(); });
    {
      std::vector<sim::thread> threads;
      for (unsigned t = 1; t <= flushers; ++t) {
        threads.emplace_back([&, t] {
          q.submit(t, [] {});
          ++there;
          q.flush();
          for (int i = 0; i < 2; ++i) {
            q.submit(t, [] {});
            q.flush();
          }
        });
      }
      while (there != flushers) sim::stall(10 * us);
      sim::stall(10 * us);
      closed.open();
      for (auto& t : threads) t.join();
    }
    w->audit();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "flush waits for a colour", 0.2);
}

// WQ-84, WQ-155
TEST(wq_scenario, a_flush_returns_although_a_producer_never_stops) {
  for (const unsigned max_active : {1u, 2u, 0u}) {
    EXPECT_SIM_OK(sim::explore({.seeds = 150, .step_limit = 3'000'000}, [max_active] {
      world w{{.cpus = 2, .max_workers = 4, .creation_retry = 1ms}};
      model_queue q{w, {.name = "endless", .max_active = max_active}};
      bool flushed = false;
      sim::thread producer{[&] {
        while (!flushed) q.submit(1, [] {});
      }};
      q.submit(0, [] {});
      q.flush();
      flushed = true;
      producer.join();
    }));
  }
}

// WQ-46, WQ-90, WQ-91: chains run to their end, outsiders are refused with one warning.
TEST(wq_scenario, a_drain_lets_chains_finish_and_refuses_outsiders) {
  const auto report = sim::explore({.seeds = 600}, [] {
    world w;
    wring::workqueue q{w, {.name = "drained"}};
    int left = 5;
    int accepted = 0;
    int ran = 0;
    wring::work chain{[&](wring::work& self) {
      if (--left != 0) sim::check(q.queue(self), "a chained item is accepted");
    }};
    q.queue(chain);
    sim::thread outsider{[&] {
      for (int i = 0; i < 4; ++i) accepted += q.submit([&] { ++ran; }) ? 1 : 0;
    }};
    q.drain();
    sim::check(left == 0, "the chain has ended", left);
    outsider.join();
    q.flush();
    sim::check(ran == accepted, "what was accepted ran", ran, accepted);
    sim::check(w.warnings_with("refused") <= 1, "one warning at most");
    if (accepted < 4) sim::count("outsider refused");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "outsider refused", 0.2);
}

// WQ-46, WQ-92: a delay that ends while its queue is drained ends in a refusal.
TEST(wq_scenario, a_delay_that_ends_during_a_drain_leaves_its_item_idle) {
  EXPECT_SIM_OK(sim::explore({.seeds = 300, .timers = false}, [] {
    world w;
    wring::workqueue q{w, {.name = "drained", .max_active = 1}};
    int runs = 0;
    wring::delayed_work later{[&] { ++runs; }};
    q.submit([] { sim::stall(20 * ms); });
    q.queue_delayed(later, 5ms);
    q.drain();
    sim::check(runs == 0 && w.warnings_with("refused") == 1, "it was refused, and that was said", runs);
    sim::check(q.queue_delayed(later, 1ms), "it is idle, and accepted again");
    later.flush();
    sim::check(runs == 1, "and runs", runs);
  }));
}

// ---- one item, several threads ----------------------------------------------------------------------------

// WQ-60, 61, 95, 96, 153
TEST(wq_scenario, two_threads_queue_and_cancel_one_item) {
  const auto report = sim::explore({.seeds = 2000}, [] {
    world w;
    model_queue q{w, {.name = "contended"}};
    model_item<wring::work> item{q, [] {
                                   if (sim::choose(3) == 0) sim::spend(2 * us);
                                   if (sim::choose(8) == 0) {
                                     const wring::blocking_scope scope;
                                     sim::stall(3 * us);
                                   }
                                 }};
    const auto play = [&] {
      for (int i = 0; i < 10; ++i) {
        switch (sim::choose(6)) {
          case 3: item.cancel(); break;
          case 4: item.cancel_sync(); break;
          case 5: item.flush(); break;
          default: item.queue();
        }
      }
    };
    sim::thread other{play};
    play();
    other.join();
    q.drain();
    item.check_quiet();
    q.check_quiet();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "cancel met an item on its way", 0.05);
  EXPECT_SIM_EVENT(report, "item handed to the worker that runs it", 0.05);
  EXPECT_SIM_EVENT(report, "cancel_sync while it ran", 0.02);
}

// WQ-50, 52, 83, 95: timers of two CPUs' shards, moved and stopped by both.
TEST(wq_scenario, two_threads_delay_modify_and_cancel_one_item) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000}, [] {
    world w;
    model_queue q{w, {.name = "delayed"}};
    model_item<wring::delayed_work> item{q, [] {}};
    const auto play = [&] {
      for (int i = 0; i < 8; ++i) {
        const std::uint64_t delay = sim::choose(3) * 400 * us;
        switch (sim::choose(5)) {
          case 0: item.queue_delayed(delay); break;
          case 1:
          case 2: item.modify(delay); break;
          default: item.cancel();
        }
      }
    };
    sim::thread other{play};
    play();
    other.join();
    item.flush();
    q.drain();
    item.check_quiet();
    w->audit();
  }));
}

// WQ-96: an item that queues itself again for ever is stopped all the same.
TEST(wq_scenario, cancel_sync_wins_against_an_item_that_always_queues_itself) {
  for (const unsigned max_active : {1u, 2u}) {
    EXPECT_SIM_OK(sim::explore({.seeds = 500}, [max_active] {
      world w;
      wring::workqueue q{w, {.name = "again", .max_active = max_active}};
      int runs = 0;
      int asked = 0;
      wring::work item{[&](wring::work& self) {
        ++runs;
        if (q.queue(self)) ++asked;
      }};
      if (q.queue(item)) ++asked;
      sim::stall(sim::choose(4) * us);
      const int cancelled = item.cancel_sync() ? 1 : 0;
      sim::check(!item.pending() && !item.running(), "it has stopped");
      sim::check(runs + cancelled == asked, "runs + cancels = queue calls", runs, cancelled, asked);
    }));
  }
}

// WQ-64: also the queue call that returns false hands over what the caller has written.
TEST(wq_scenario, what_was_written_before_a_refused_queue_call_is_seen) {
  const auto report = sim::explore({.seeds = 2000}, [] {
    world w;
    base::atomic<int> written{0};
    int seen = 0;
    wring::workqueue q{w, {.name = "handover"}};
    wring::work item{[&] { seen = written.load(order::relaxed); }};
    sim::thread producer{[&] {
      for (int i = 1; i <= 6; ++i) {
        written.store(i, order::relaxed);
        if (!q.queue(item)) sim::count("refused, because pending");
      }
    }};
    producer.join();
    q.flush();
    sim::check(seen == 6, "the last run sees the last write", seen);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "refused, because pending", 0.3);
}

// WQ-64, WQ-95: who queues an item that somebody has just cancelled hands on what that one has written.
TEST(wq_scenario, what_was_written_before_a_cancellation_is_seen_by_who_runs_next) {
  const auto report = sim::explore({.seeds = 1000, .timers = false}, [] {
    world w;
    base::atomic<int> written{0};
    int seen = -1;
    wring::workqueue q{w, {.name = "handover"}};
    wring::delayed_work item{[&] { seen = written.load(order::relaxed); }};
    q.queue_delayed(item, std::chrono::hours{10'000});
    sim::thread canceller{[&] {
      written.store(1, order::relaxed);
      sim::check(item.cancel(), "it was pending");
    }};
    while (!q.queue_delayed(item, 0ms)) sim::point();
    item.flush();
    sim::check(seen == 1, "who queues it comes after who has cancelled it", seen);
    canceller.join();
  });
  EXPECT_SIM_OK(report);
}

// ---- queues come and go -----------------------------------------------------------------------------------

// Memory of queues is recycled; a canceller may still hold the old one's address.
TEST(wq_scenario, an_item_outlives_its_queues_and_is_asked_about_all_the_time) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1500}, [] {
    world w;
    bool over = false;
    int runs = 0;
    int asked = 0;
    int cancelled = 0;
    wring::work item{[&] { ++runs; }};
    sim::thread asker{[&] {
      while (!over) {
        if (item.cancel()) ++cancelled;
        static_cast<void>(item.running());
        sim::stall(500);
      }
    }};
    for (int i = 0; i < 4; ++i) {
      wring::workqueue q{w, {.name = i % 2 == 0 ? "even" : "odd", .ordered = i % 2 == 0}};
      if (q.queue(item)) ++asked;
      if (i % 2 != 0) item.flush();
    }
    over = true;
    asker.join();
    sim::check(runs + cancelled == asked, "runs + cancels = queue calls", runs, cancelled, asked);
  }));
}

// The last item's end races with the destruction that it allows.
TEST(wq_scenario, a_queue_may_be_destroyed_as_soon_as_its_last_item_has_said_so) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1500}, [] {
    world w;
    for (int i = 0; i < 3; ++i) {
      base::completion said;
      std::optional<wring::workqueue> q{std::in_place, w, wring::workqueue_options{.name = "short"}};
      q->submit([&] { said.complete(); });
      said.wait();
      q.reset();
      w->audit();
    }
  }));
}

// WQ-159. Method: a callback takes back what it has queued elsewhere, which leaves that queue scheduled with nothing to
// start, and feeds it again, while a shutdown looks whether it is at rest.
TEST(wq_scenario, a_shutdown_runs_what_queues_are_fed_while_it_looks_at_them) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000}, [] {
    world w;
    wring::workqueue fed{w, {.name = "fed"}};
    wring::workqueue feeder{w, {.name = "feeder"}};
    int asked = 0;
    int ran = 0;
    int cancelled = 0;
    wring::work item{[&] { ++ran; }};
    feeder.submit([&] {
      for (int i = 0; i < 12; ++i) {
        if (fed.queue(item)) ++asked;
        if (i % 3 != 2 && item.cancel()) ++cancelled;
      }
    });
    sim::check(w->shutdown(1h).complete, "all has ended");
    sim::check(ran + cancelled == asked, "runs + cancels = queue calls", ran, cancelled, asked);
  }));
}

// ---- waiting across queues -----------------------------------------------------------------------------------

// WQ-86. Method: each callback waits once, at no certain time, for a group that is empty.
TEST(wq_scenario, queues_that_wait_for_each_other_are_told_once_in_every_order) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000}, [] {
    world w{{.cpus = 2, .max_workers = 8, .deadlock_graph = true}};
    {
      wring::workqueue a{w, {.name = "a"}};
      wring::workqueue b{w, {.name = "b"}};
      for (int i = 0; i < 2; ++i) {
        a.submit([&] { wring::task_group{b}.wait(); });
        b.submit([&] { wring::task_group{a}.wait(); });
      }
      a.flush();
      b.flush();
    }
    const unsigned told = w.warnings_with("may hang");
    sim::check(told == 1, "told once", told);
  }));
}

// ---- waiting inside -----------------------------------------------------------------------------------------

int descend(wring::workqueue& q, int depth) {
  if (depth == 0) return 1;
  int below = 0;
  wring::task_group group{q};
  group.run([&] { below += descend(q, depth - 1); });
  group.wait();
  return below + 1;
}

// Groups nest deeper than one stack allows; with few slots the waiters' own slots must do.
TEST(wq_scenario, nested_groups_end_on_any_queue) {
  for (const unsigned max_active : {1u, 2u, 0u}) {
    const auto report = sim::explore({.seeds = 60, .step_limit = 2'000'000}, [max_active] {
      world w{{.cpus = 1, .max_workers = 18, .creation_retry = 1ms}};
      wring::workqueue q{w, {.name = "nest", .max_active = max_active}};
      int depth = 0;
      q.submit([&] { depth = descend(q, 150); });
      q.flush();
      sim::check(depth == 151, "all levels", depth);
    });
    EXPECT_SIM_OK(report);
  }
}

// The child that another worker was to start, since its waiter has no stack left, is the waiter's alone all of a
// sudden.
TEST(wq_scenario, nested_groups_end_though_the_limit_is_lowered_meanwhile) {
  const auto report = sim::explore({.seeds = 400, .step_limit = 2'000'000}, [] {
    world w{{.cpus = 1, .max_workers = 18, .creation_retry = 1ms}};
    wring::workqueue q{w, {.name = "nest", .max_active = 2}};
    int depth = 0;
    q.submit([&] { depth = descend(q, 150); });
    for (int change = 0; change < 20; ++change) {
      sim::stall(sim::choose(6) * us);
      q.set_max_active(2 - static_cast<unsigned>(change) % 2);
    }
    q.flush();
    sim::check(depth == 151, "all levels", depth);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "task_group needed another worker's stack", 0.1);
}

// Children come from anywhere while their group's waiter sleeps in the last slot there is: the other is taken by its
// first child, or, once the limit is lowered, there is no other.
TEST(wq_scenario, a_group_gets_children_while_its_waiter_sleeps_in_the_last_slot) {
  for (const bool lowered : {false, true}) {
    const auto report = sim::explore({.seeds = 1500}, [lowered] {
      world w;
      wring::workqueue q{w, {.name = "slots", .max_active = 2}};
      int ran = 0;
      wring::task_group group{q};
      base::completion there;
      base::completion added;
      q.submit([&] {
        group.run([&] {
          there.complete();
          {
            const wring::blocking_scope scope;
            added.wait();
          }
          group.run([&] { ++ran; });
          ++ran;
        });
        {
          const wring::blocking_scope scope;
          there.wait();  // so another worker has it
        }
        group.wait();
        sim::check(ran == 4, "all children ran", ran);
      });
      there.wait();
      group.run([&] { ++ran; });
      if (lowered) q.set_max_active(1);
      group.run([&] { ++ran; });
      added.complete();
      q.flush();
    });
    EXPECT_SIM_OK(report);
    EXPECT_SIM_EVENT(report, "a sleeper was called back to its task_group", 0.2);
  }
}

// The floor: with both CPUs stuck in items that said nothing, the third starts after 100 ms all the same.
TEST(wq_scenario, work_behind_stuck_workers_starts_after_the_floor) {
  const auto report =
      sim::explore({.seeds = 400, .faults = sim::profile::none, .timers = false, .threads_are_seen = false}, [] {
        world w;
        wring::workqueue q{w, {.name = "stuck"}};
        const std::uint64_t begin = sim::now_ns();
        std::uint64_t started = 0;
        for (int i = 0; i < 2; ++i) q.submit([] { sim::stall(3 * second); });
        q.submit([&] { started = sim::now_ns(); });
        q.flush();
        sim::check(started - begin < 300 * ms, "soon after the floor", started - begin);
      });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "stall floor raised", 0.9);
}

// WQ-73, WQ-U1: the same, seen. No floor, so nothing else can help.
TEST(wq_scenario, work_behind_workers_that_wait_starts_as_soon_as_they_are_seen) {
  for (const wring::detection kind : {wring::detection::cpu_clock, wring::detection::stat, wring::detection::perf}) {
    const auto report = sim::explore({.seeds = 200, .faults = sim::profile::none, .timers = false}, [kind] {
      world w{{.cpus = 2, .stall_floor = 0ms, .detect = kind}};
      wring::workqueue q{w, {.name = "silent"}};
      const std::uint64_t begin = sim::now_ns();
      std::uint64_t started = 0;
      for (int i = 0; i < 2; ++i) q.submit([] { sim::stall(3 * second); });
      q.submit([&] { started = sim::now_ns(); });
      q.flush();
      const std::uint64_t most = kind == wring::detection::cpu_clock ? 30 * ms : 2 * ms;
      sim::check(started - begin < most, "soon after they began to wait", started - begin);
    });
    EXPECT_SIM_OK(report);
    EXPECT_SIM_EVENT(report, "a worker was seen to wait", 0.9);
  }
}

// A worker that was seen to wait counts again once it runs, although its item is the same (WQ-73).
TEST(wq_scenario, a_worker_that_goes_on_counts_again) {
  const auto report =
      sim::explore({.seeds = 200, .faults = sim::profile::none, .step_limit = 2'000'000, .timers = false}, [] {
        world w{{.cpus = 1, .stall_floor = 0ms, .cpu_intensive_threshold = 0us}};
        wring::workqueue q{w, {.name = "on and off"}};
        base::atomic<bool> go_on{true};
        unsigned blocked = 0;
        q.submit([&] {
          sim::stall(10 * ms);
          while (go_on.load(order::relaxed)) sim::spend(20 * us);
        });
        for (int i = 0; i < 300; ++i) q.submit([] { sim::spend(100 * us); });
        q.submit([&] {
          blocked = w->stats().pools[0].blocked;
          go_on.store(false, order::relaxed);
        });
        q.flush();
        sim::check(blocked == 0, "it runs", blocked);
        w->audit();
      });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "a worker that was seen to wait goes on", 0.5);
}

// WQ-79: a callback that uses the CPU for longer than the threshold leaves the count; with one CPU, the next one starts
// then and not before. No floor.
TEST(wq_scenario, work_behind_a_callback_that_uses_the_cpu_starts_after_the_threshold) {
  const auto report =
      sim::explore({.seeds = 200, .faults = sim::profile::none, .step_limit = 2'000'000, .timers = false}, [] {
        world w{{.cpus = 1, .stall_floor = 0ms}};
        wring::workqueue q{w, {.name = "busy"}};
        const std::uint64_t begin = sim::now_ns();
        base::atomic<std::uint64_t> start{0};
        q.submit([&] {
          while (start.load(order::relaxed) == 0) sim::spend(5 * us);
        });
        q.submit([&] { start.store(sim::now_ns(), order::relaxed); });
        q.flush();
        const std::uint64_t started = start.load(order::relaxed);
        if (started - begin >= 10 * ms) sim::count("not before the threshold");
        sim::check(started - begin < 30 * ms, "soon after the threshold", started - begin);
      });
  EXPECT_SIM_OK(report);
  // Now and then the worker was seen to wait for a lock on its way, and had left the count before.
  EXPECT_SIM_EVENT(report, "not before the threshold", 0.9);
  EXPECT_SIM_EVENT(report, "a worker used much CPU time", 0.9);
}

// With a CPU free, what waits behind the stuck leader of a queue of short items waits a few looks at most.
TEST(wq_scenario, what_waits_behind_a_stuck_leader_is_handed_on) {
  const auto report = sim::explore({.seeds = 1000, .faults = sim::profile::none, .timers = false}, [] {
    world w;
    wring::workqueue q{w, {.name = "led"}};
    for (int i = 0; i < 30; ++i) q.submit([] {});
    q.flush();
    const std::uint64_t begin = sim::now_ns();
    std::uint64_t started = 0;
    q.submit([] { sim::stall(3 * second); });
    q.submit([&] { started = sim::now_ns(); });
    q.flush();
    sim::check(started - begin < 200 * ms, "soon", started - begin);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "stuck leader relieved", 0.2);
}

// The same, when no item lasts from one look to the next. Method: items of 2 us until looks come once in a millisecond,
// then 60 of 400 us, for which one worker needs 24 ms, and two half of that from when the second one is there.
TEST(wq_scenario, a_leader_whose_items_become_long_is_helped) {
  const auto report = sim::explore({.seeds = 200, .faults = sim::profile::none, .timers = false}, [] {
    world w{{.cpus = 2, .detect = wring::detection::announced}};
    wring::workqueue q{w, {.name = "led"}};
    for (int i = 0; i < 30; ++i) q.submit([] {});
    q.flush();
    std::uint64_t begin = 0;
    for (int i = 0; i < 2'000; ++i) q.submit([] { sim::spend(100); });
    q.submit([&] {
      sim::spend(3 * ms);
      begin = sim::now_ns();
    });
    for (int i = 0; i < 60; ++i) q.submit([] { sim::stall(400 * us); });
    q.flush();
    sim::check(sim::now_ns() - begin < 20 * ms, "both workers ran them", sim::now_ns() - begin);
  });
  EXPECT_SIM_OK(report);
}

// Who blocks is not short: one leader does, and from then on each worker takes one item at a time.
TEST(wq_scenario, only_one_leader_of_a_queue_blocks) {
  const auto report = sim::explore({.seeds = 200, .faults = sim::profile::none, .timers = false}, [] {
    world w{{.cpus = 2, .detect = wring::detection::announced}};
    wring::workqueue q{w, {.name = "led"}};
    for (int i = 0; i < 30; ++i) q.submit([] {});
    q.flush();
    for (int i = 0; i < 60; ++i) {
      q.submit([] {
        const wring::blocking_scope scope;
        sim::stall(2 * ms);
      });
    }
    q.flush();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "leader blocked and gave its queue back", 0.2);
  EXPECT_LE(report.event("leader blocked and gave its queue back").times, report.seeds);
}

// ---- limits that change -------------------------------------------------------------------------------------

// WQ-125, WQ-127, WQ-151, WQ-153. Method: producers of items that also block, and a thread that changes the limits.
// What starts after freeze_begin() has returned, and before the thaw, must have been about to: once nothing is busy,
// nothing starts.
void change_limits(const sim::options& how, const wring::workqueue_options& what) {
  const auto report = sim::explore(how, [what] {
    world w;
    wring::workqueue_options o = what;
    o.freezable = true;
    wring::workqueue q{w, o};
    constexpr int producers = 2;
    constexpr int items = 12;
    int ran = 0;
    int starts = 0;
    bool still = false;
    const auto produce = [&] {
      for (int i = 0; i < items; ++i) {
        q.submit([&] {
          ++starts;
          sim::check(!still, "nothing starts while it is frozen");
          if (sim::choose(4) == 0) {
            const wring::blocking_scope scope;
            sim::stall(20 * us);
          } else if (sim::choose(6) == 0) {
            sim::stall(300 * us);
          } else if (sim::choose(3) == 0) {
            wring::task_group group{q};
            int children = 0;
            group.run([&] {
              if (sim::choose(2) == 0) sim::stall(20 * us);
              ++children;
              group.run([&] { ++children; });
            });
            group.wait();
            sim::check(children == 2, "both children ran", children);
          } else {
            sim::spend(200);
          }
          ++ran;
        });
        if (sim::choose(5) == 0) sim::stall(30 * us);
      }
    };
    std::vector<std::unique_ptr<sim::thread>> threads;
    for (int t = 0; t < producers; ++t) threads.push_back(std::make_unique<sim::thread>(produce));
    for (int change = 0; change < 6; ++change) {
      sim::stall((1 + sim::choose(60)) * us);
      if (sim::choose(3) == 0) {
        sim::check(w->freeze_begin(), "it was not frozen");
        for (int looks = 0; w->freeze_busy() && looks < 400; ++looks) sim::stall(50 * us);
        if (!w->freeze_busy()) {
          still = true;
          const int before = starts;
          sim::stall(sim::choose(200) * us);
          sim::check(starts == before, "nothing has started", starts, before);
          still = false;
          sim::count("frozen and quiet");
        }
        w->thaw();
      } else if (!what.ordered) {
        q.set_max_active(1 + sim::choose(3));
      }
      w->audit();
    }
    for (auto& t : threads) t->join();
    q.flush();
    sim::check(ran == producers * items, "each ran once", ran);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "frozen and quiet", 0.5);
}

TEST(wq_scenario, limits_may_change_while_items_come_and_go) {
  change_limits({.seeds = 1500}, {.name = "changing", .max_active = 2});
}

TEST(wq_scenario, limits_may_change_while_items_come_and_go_and_nobody_looks) {
  change_limits({.seeds = 1000, .timers = false, .threads_are_seen = false}, {.name = "changing", .max_active = 1});
}

TEST(wq_scenario, an_ordered_queue_may_be_frozen_while_items_come_and_go) {
  change_limits({.seeds = 500}, {.name = "ordered", .ordered = true});
}

// WQ-96, WQ-98, WQ-156. Method: threads that queue, cancel and disable one item, which also queues itself. Between a
// thread's disable_sync() and its enable() the item does not run, whatever the others do; afterwards it can be queued.
TEST(wq_scenario, a_disabled_item_does_not_run_whatever_others_do) {
  const auto report = sim::explore({.seeds = 1500}, [] {
    world w;
    wring::workqueue q{w, {.name = "disabled", .max_active = 2}};
    int starts = 0;
    bool inside = false;
    {
      wring::work item{[&](wring::work& self) {
        sim::check(!inside, "never twice at once");
        inside = true;
        ++starts;
        if (sim::choose(3) == 0) sim::stall(20 * us);
        if (sim::choose(2) == 0) q.queue(self);
        inside = false;
      }};
      const auto meddle = [&] {
        for (int i = 0; i < 6; ++i) {
          switch (sim::choose(5)) {
            case 0: item.cancel(); break;
            case 1: item.cancel_sync(); break;
            case 2: item.cancel_sync_for(sim::choose(40) * 1us); break;
            case 3: {
              item.disable_sync();
              const int before = starts;
              sim::check(!inside, "it does not run");
              sim::check(!q.queue(item), "it is refused");
              sim::stall(sim::choose(60) * us);
              sim::check(starts == before && !inside, "it has not started", starts, before);
              item.enable();
              break;
            }
            default: q.queue(item);
          }
          sim::point();
        }
      };
      sim::thread other{meddle};
      meddle();
      other.join();
      item.cancel_sync();
      sim::check(!item.disabled(), "as often enabled as disabled");
      const int before = starts;
      sim::check(q.queue(item), "it can be queued");
      item.flush();
      sim::check(starts > before, "and runs");
    }
    q.flush();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "cancel_sync gave up", 0.005);
  EXPECT_SIM_EVENT(report, "cancel_sync met another", 0.1);
}

// WQ-156, with a limit. Method: nobody queues any more; when one canceller says that the item has ended, it does not
// run and does not start.
TEST(wq_scenario, a_bounded_cancel_sync_says_ended_only_of_an_item_that_does_not_start) {
  const auto report = sim::explore({.seeds = 4000}, [] {
    world w;
    wring::workqueue q{w, {.name = "bounded"}};
    int starts = 0;
    bool inside = false;
    {
      wring::work item{[&] {
        inside = true;
        ++starts;
        sim::stall(sim::choose(20) * us);
        inside = false;
      }};
      q.queue(item);
      sim::thread other{[&] { item.cancel_sync(); }};
      if (item.cancel_sync_for(sim::choose(4) * 1us).ended) {
        sim::check(!inside, "it does not run");
        const int before = starts;
        sim::stall(200 * us);
        sim::check(starts == before, "and has not started", starts, before);
        sim::count("it had ended");
      }
      other.join();
    }
    q.flush();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "it had ended", 0.2);
}

}  // namespace
