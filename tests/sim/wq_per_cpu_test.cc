// SPDX-License-Identifier: Apache-2.0
// wq_per_cpu: queues with a pool for each CPU. Time is virtual, so the kernel's timelines can be checked to the
// millisecond.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "sched/core.h"
#include "sched/worker_pool.h"

#include <array>
#include <deque>
#include <optional>
#include <string>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;

constexpr std::uint64_t ms = 1'000'000;

// A callback that uses the CPU, then sleeps, then uses it again; and when it began and ended, in milliseconds.
class timed_work {
 public:
  timed_work(std::uint64_t origin_ns, std::array<std::uint64_t, 3> burn_sleep_burn) noexcept
      : origin_ns_{origin_ns}, steps_{burn_sleep_burn} {}

  wring::work& item() noexcept { return work_; }
  [[nodiscard]] std::uint64_t began_ms() const noexcept { return began_ms_; }
  [[nodiscard]] std::uint64_t ended_ms() const noexcept { return ended_ms_; }

 private:
  [[nodiscard]] std::uint64_t now_ms() const noexcept { return (sim::now_ns() - origin_ns_ + ms / 4) / ms; }
  void run() {
    began_ms_ = now_ms();
    if (steps_[0] != 0) sim::stall(steps_[0] * ms);
    if (steps_[1] != 0) {
      const wring::blocking_scope scope;
      sim::stall(steps_[1] * ms);
    }
    if (steps_[2] != 0) sim::stall(steps_[2] * ms);
    ended_ms_ = now_ms();
  }

  std::uint64_t origin_ns_;
  std::array<std::uint64_t, 3> steps_;
  std::uint64_t began_ms_ = 0;
  std::uint64_t ended_ms_ = 0;
  wring::work work_{[this] { run(); }};
};

struct timeline {
  std::array<std::uint64_t, 3> begins;
  std::array<std::uint64_t, 3> ends;
};

// WQ-81's three callbacks on one CPU: w0 uses 5 ms, sleeps 10, uses 5; w1 and w2 use 5 and sleep 10.
timeline run_timeline(wring::runtime& where, wring::workqueue_options of_first, wring::workqueue_options of_others) {
  wring::workqueue first{where, of_first};
  std::optional<wring::workqueue> second;
  if (of_others.cpu_intensive) second.emplace(where, of_others);
  wring::workqueue& others = second ? *second : first;

  const std::uint64_t origin = sim::now_ns();
  timed_work w0{origin, {5, 10, 5}};
  timed_work w1{origin, {5, 10, 0}};
  timed_work w2{origin, {5, 10, 0}};
  first.queue_on(0, w0.item());
  others.queue_on(0, w1.item());
  others.queue_on(0, w2.item());
  first.flush();
  others.flush();
  return {{w0.began_ms(), w1.began_ms(), w2.began_ms()}, {w0.ended_ms(), w1.ended_ms(), w2.ended_ms()}};
}

void expect_timeline(const char* what, const timeline& seen, const timeline& expected) {
  for (std::size_t i = 0; i < 3; ++i) {
    sim::check(seen.begins[i] == expected.begins[i], what, "callback", i, "began at", seen.begins[i]);
    sim::check(seen.ends[i] == expected.ends[i], what, "callback", i, "ended at", seen.ends[i]);
  }
}

// A per-CPU queue is made with a worker for each CPU, or not at all.
wring::workqueue made(wring::runtime& where, wring::workqueue_options options) {
  const sim::calm no_faults;
  return wring::workqueue{where, options};
}

// Here a stall stands for the use of a CPU: nobody is to see that the thread waits.
const sim::options calm_machine{
    .seeds = 300, .faults = sim::profile::none, .cpus = 1, .timers = false, .threads_are_seen = false};

// WQ-81, WQ-72..75, WQ-77: as soon as the running callback sleeps, the next one starts.
TEST(wq_per_cpu, a_callback_that_sleeps_lets_the_next_one_start) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 8}};
    expect_timeline("three slots", run_timeline(w, {.name = "bound", .max_active = 3, .per_cpu = true}, {}),
                    {{0, 5, 10}, {20, 20, 25}});
  }));
}

// WQ-81: with two slots the third waits for the end of another.
TEST(wq_per_cpu, max_active_of_two_holds_back_the_third) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 8}};
    expect_timeline("two slots", run_timeline(w, {.name = "bound", .max_active = 2, .per_cpu = true}, {}),
                    {{0, 5, 20}, {20, 20, 35}});
  }));
}

// WQ-81: with one thread nothing overlaps.
TEST(wq_per_cpu, one_thread_runs_one_after_the_other) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 1}};
    expect_timeline("one thread", run_timeline(w, {.name = "bound", .per_cpu = true}, {}), {{0, 20, 35}, {20, 35, 50}});
  }));
}

// WQ-26, WQ-78, WQ-81: callbacks that use much CPU time are not counted, and do not hold up each other.
TEST(wq_per_cpu, cpu_intensive_callbacks_start_together_once_the_first_sleeps) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 8}};
    const timeline seen =
        run_timeline(w, {.name = "bound", .per_cpu = true}, {.name = "crunch", .per_cpu = true, .cpu_intensive = true});
    expect_timeline("cpu_intensive", seen, {{0, 5, 5}, {20, 20, 20}});
  }));
}

// WQ-75: callbacks that do not block run one at a time on each CPU, whatever their queue, and the CPUs do not wait for
// each other.
TEST(wq_per_cpu, on_each_cpu_one_callback_runs_at_a_time) {
  const auto report = sim::explore(
      {.seeds = 1000, .faults = sim::profile::usual, .cpus = 2, .timers = false, .threads_are_seen = false}, [] {
        world w{{.cpus = 2, .max_workers = 8, .stall_floor = 0ms}};
        wring::workqueue one = made(w, {.name = "one", .per_cpu = true});
        wring::workqueue other = made(w, {.name = "other", .per_cpu = true});
        std::array<int, 2> inside{};
        for (unsigned i = 0; i < 12; ++i) {
          (i % 3 == 0 ? one : other).submit_on(i % 2, [&inside, cpu = i % 2] {
            sim::check(++inside[cpu] == 1, "alone on its CPU", inside[cpu]);
            if (inside[1 - cpu] != 0) sim::count("both CPUs busy");
            sim::stall(100'000);
            --inside[cpu];
          });
        }
        one.flush();
        other.flush();
      });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "both CPUs busy", 0.9);
}

// WQ-41, WQ-43, WQ-61: wherever it is queued, an item runs in a worker of that CPU, but never twice at once.
TEST(wq_per_cpu, an_item_that_wanders_over_cpus_never_overlaps_itself) {
  const auto report = sim::explore({.seeds = 3000, .cpus = 3}, [] {
    world w{{.cpus = 3, .max_workers = 8}};
    wring::workqueue q = made(w, {.name = "wander", .per_cpu = true});
    int inside = 0;
    int runs = 0;
    std::string last;
    wring::work item{[&] {
      sim::check(++inside == 1, "never twice at once");
      const std::string here = wring::sched::worker::current()->pool.name();
      if (!last.empty() && last != here) sim::count("ran on another CPU than before");
      last = here;
      if (sim::choose(2) != 0) {
        const wring::blocking_scope scope;
        sim::stall(sim::choose(3) * 1'000);
      }
      ++runs;
      --inside;
    }};
    int accepted = 0;
    const auto wander = [&] {
      for (int i = 0; i < 6; ++i) {
        accepted += q.queue_on(sim::choose(3), item) ? 1 : 0;
        if (sim::choose(4) == 0) item.flush();
      }
    };
    sim::thread a{wander};
    sim::thread b{wander};
    wander();
    a.join();
    b.join();
    const int cancelled = item.cancel_sync() ? 1 : 0;
    sim::check(runs + cancelled == accepted, "each accepted call ran once", runs, cancelled, accepted);
    q.flush();
    w->audit();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "ran on another CPU than before", 0.2);
}

// WQ-84, WQ-90: flush and drain cover all CPUs, also items that move from one to the next.
TEST(wq_per_cpu, a_drain_follows_a_chain_over_all_cpus) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .cpus = 3}, [] {
    world w{{.cpus = 3, .max_workers = 8}};
    int steps = 0;
    std::optional<wring::workqueue> q;
    wring::work item{[&](wring::work& self) {
      if (++steps < 7) sim::check(q->queue_on(static_cast<unsigned>(steps) % 3, self), "a chained item enters");
    }};
    q.emplace(made(w, {.name = "chain", .per_cpu = true}));
    q->queue_on(2, item);
    q->drain();
    sim::check(steps == 7, "the chain has ended", steps);
    steps = 5;
    q->queue_on(1, item);
    q.reset();
    sim::check(steps == 7, "so it has when the queue is destroyed", steps);
  }));
}

// WQ-84: what was queued on any CPU before the flush has run; a producer on another CPU does not keep it.
TEST(wq_per_cpu, a_flush_covers_every_cpu) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .cpus = 3}, [] {
    world w{{.cpus = 3, .max_workers = 8}};
    wring::workqueue q = made(w, {.name = "all", .per_cpu = true});
    std::array<wring::base::checked<int>, 3> ran{wring::base::checked<int>{0}, wring::base::checked<int>{0},
                                                 wring::base::checked<int>{0}};
    for (unsigned cpu = 0; cpu < 3; ++cpu) {
      q.submit_on(cpu, [&ran, cpu] { ran[cpu].set(1); });
    }
    sim::thread other{[&] { q.flush(); }};
    q.flush();
    for (const auto& r : ran) sim::check(r.get() == 1, "it ran before the flush returned");
    other.join();
  }));
}

// WQ-47, WQ-49: a function runs on the CPU asked for, and its value comes back.
TEST(wq_per_cpu, a_function_runs_on_each_cpu_and_returns_its_value) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .cpus = 3}, [] {
    world w{{.cpus = 3, .max_workers = 8}};
    wring::workqueue q = made(w, {.name = "call", .per_cpu = true});
    const auto here = [] { return wring::sched::worker::current()->pool.name(); };
    sim::check(q.run_on(2, here) == "2", "it ran on CPU 2");
    std::array<int, 3> runs{};
    q.run_on_each_cpu([&](unsigned cpu) {
      sim::check(here() == std::to_string(cpu), "on its own CPU");
      ++runs[cpu];
    });
    sim::check(runs == std::array{1, 1, 1}, "once each", runs[0], runs[1], runs[2]);
  }));
}

// WQ-25: a busy normal pool does not hold up one of high priority.
TEST(wq_per_cpu, high_priority_does_not_wait_for_normal_work) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms}};
    wring::workqueue normal{w, {.name = "normal", .per_cpu = true}};
    wring::workqueue high{w, {.name = "high", .per_cpu = true, .high_priority = true}};
    sim::gate end;
    normal.submit_on(0, [&] { end.pass(); });
    int ran = 0;
    high.submit_on(0, [&] { ++ran; });
    high.flush();
    sim::check(ran == 1, "it ran beside the normal one");
    end.open();
  }));
}

// WQ-42: items for a node run in its workers; without the node, in some.
TEST(wq_per_cpu, near_a_node_means_in_its_pool) {
  EXPECT_SIM_OK(sim::explore({.seeds = 500, .faults = sim::profile::none, .cpus = 4}, [] {
    world w{{.cpus = 4, .topology = "node:2 core:2 pu:1", .max_workers = 8}};
    wring::workqueue q{w, {.name = "nodes", .attributes = {.scope = wring::affinity_scope::numa, .strict = true}}};
    std::array<std::string, 2> pool;
    std::deque<wring::work> items;
    for (unsigned node = 0; node < 2; ++node) {
      q.queue_near(node,
                   items.emplace_back([&pool, node] { pool[node] = wring::sched::worker::current()->pool.name(); }));
    }
    q.flush();
    sim::check(!pool[0].empty() && !pool[1].empty() && pool[0] != pool[1], "two pools", pool[0], pool[1]);
    bool ran = false;
    wring::work lost{[&] { ran = true; }};
    sim::check(q.queue_near(17, lost), "a node that is not there is no error");
    q.flush();
    sim::check(ran, "it ran somewhere");
  }));
}

// WQ-101, WQ-72: who was woken for one that blocked, and comes when that one goes on again, starts nothing more.
// Between its look and its start the other may still go on, as in the kernel (WQ-73).
TEST(wq_per_cpu, a_woken_worker_looks_again_whether_it_is_needed) {
  const auto report =
      sim::explore({.seeds = 3000, .faults = sim::profile::none, .cpus = 1, .threads_are_seen = false}, [] {
        world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms}};
        wring::workqueue q = made(w, {.name = "brief", .max_active = 8, .per_cpu = true});
        bool alone = false;
        q.submit_on(0, [&] {
          {
            const wring::blocking_scope scope;
            sim::stall(1'000);
          }
          const wring::sched::worker_pool& pool = wring::sched::worker::current()->pool;
          alone = pool.more() && pool.counts().searching != 0;  // who was woken has not taken what waits
          if (alone) sim::count("went on before the woken worker began");
          sim::stall(1'000'000);
          alone = false;
        });
        q.submit_on(0, [&] {
          if (alone) sim::count("began beside the other one");
        });
        q.flush();
      });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "a woken worker was not needed any more", 0.01);
  EXPECT_SIM_EVENT(report, "went on before the woken worker began", 0.05);
  EXPECT_LT(3 * report.share("began beside the other one"), report.share("went on before the woken worker began"));
}

// WQ-74: leaders of ordered callbacks stop, too, while two are awake on one CPU.
TEST(wq_per_cpu, leaders_of_one_cpu_do_not_go_on_side_by_side) {
  EXPECT_SIM_OK(sim::explore(calm_machine, [] {
    world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms}};
    wring::workqueue a = made(w, {.name = "a", .max_active = 1, .per_cpu = true});
    wring::workqueue b = made(w, {.name = "b", .max_active = 1, .per_cpu = true});
    int inside = 0;
    int together = 0;
    sim::gate other;
    const auto body = [&] {
      if (++inside > 1) ++together;
      sim::stall(1'000'000);
      --inside;
    };
    a.submit_on(0, [&] {
      const wring::blocking_scope scope;
      other.pass();
    });
    b.submit_on(0, [&] { other.open(); });
    for (int i = 0; i < 20; ++i) {
      a.submit_on(0, body);
      b.submit_on(0, body);
    }
    a.flush();
    b.flush();
    sim::check(together <= 2, "one at a time, but for the moment after blocking", together);
  }));
}

// The floor works for the pools of CPUs from the first moment, also if two threads ask for them at once.
TEST(wq_per_cpu, pools_are_looked_after_before_anybody_uses_them) {
  EXPECT_SIM_OK(sim::explore({.seeds = 4000, .faults = sim::profile::none, .cpus = 1, .timers = false}, [] {
    world w{{.cpus = 1, .max_workers = 8}};
    sim::thread other{[&] { made(w, {.name = "other", .per_cpu = true}); }};
    wring::workqueue q = made(w, {.name = "mine", .per_cpu = true});
    sim::gate g;
    q.submit_on(0, [&] { g.pass(); });
    q.submit_on(0, [&] { g.open(); });
    q.flush();
    other.join();
  }));
}

// WQ-41: turns are for who is outside of the queue; a callback's children stay where it can run them.
TEST(wq_per_cpu, a_group_in_a_callback_ends_also_with_forced_turns) {
  EXPECT_SIM_OK(sim::explore({.seeds = 300, .faults = sim::profile::none, .cpus = 2, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8, .force_round_robin = true}};
    wring::workqueue q = made(w, {.name = "turns", .max_active = 1, .per_cpu = true});
    int ran = 0;
    q.submit_on(0, [&] {
      wring::task_group g{q};
      g.run([&] { ++ran; });
      g.wait();
    });
    q.flush();
    sim::check(ran == 1, "the child ran");
  }));
}

// A queue whose first workers are refused is refused, also while the pool waits before it tries again.
TEST(wq_per_cpu, a_queue_without_workers_is_refused_each_time) {
  EXPECT_SIM_OK(sim::explore({.seeds = 50, .faults = sim::profile::creation_never_works, .cpus = 2}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    for (int i = 0; i < 3; ++i) {
      const auto q = wring::workqueue::create(w, {.per_cpu = true});
      sim::check(q.error() == std::errc::resource_unavailable_try_again, "EAGAIN", i);
    }
  }));
}

// WQ-71, WQ-152: whatever the reasons why workers were out of the count, at the end nothing of them is left.
TEST(wq_per_cpu, nothing_of_the_count_is_left_over) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .faults = sim::profile::usual, .cpus = 2}, [] {
    world w{{.cpus = 2, .max_workers = 6, .stall_floor = 1ms}};
    std::deque<wring::work> items;
    {
      wring::workqueue crunch = made(w, {.name = "crunch", .max_active = 3, .per_cpu = true, .cpu_intensive = true});
      wring::workqueue plain = made(w, {.name = "plain", .max_active = 3, .per_cpu = true});
      std::array<int, 3> inside{};
      std::array<int, 3> again{3, 3, 3};
      const auto body = [&](std::size_t i, wring::work& self) {
        sim::check(++inside[i] == 1, "never twice at once");
        wring::workqueue& own = i == 2 ? plain : crunch;
        if (again[i]-- > 0) own.queue_on(sim::choose(2), self);
        if (sim::choose(3) == 0) {
          const wring::blocking_scope scope;
          sim::stall(sim::choose(3) * ms);
        } else {
          sim::stall(sim::choose(4) * ms);
        }
        --inside[i];
      };
      for (std::size_t i = 0; i < 3; ++i) {
        items.emplace_back([&body, i](wring::work& self) { body(i, self); });
      }
      sim::thread other{[&] {
        for (int i = 0; i < 5; ++i) crunch.queue_on(sim::choose(2), items[sim::choose(2)]);
      }};
      for (int i = 0; i < 5; ++i) {
        plain.queue_on(sim::choose(2), items[2]);
        if (sim::choose(3) == 0) items[sim::choose(3)].cancel_sync();
        if (sim::choose(3) == 0) items[sim::choose(3)].flush();
      }
      other.join();
    }
    const auto counted = [&] {
      std::uint32_t sum = 0;
      for (unsigned i = 0; auto* const pool = w->core().pools().at(i); ++i) sum += pool->counts().awake;
      return sum;
    };
    for (int tries = 0; counted() != 0; ++tries) {  // until the last worker has parked
      sim::check(tries < 100, "in the end nobody is counted", counted());
      sim::stall(ms);
    }
    for (const wring::pool_stats& p : w->stats().pools) {
      sim::check(p.running == 0 && p.blocked == 0 && p.cpu_intensive == 0, "no reason is left", p.name);
    }
  }));
}

// WQ-50..53, WQ-61: a delayed item that wanders over CPUs keeps its books and never overlaps itself.
TEST(wq_per_cpu, a_delayed_item_that_wanders_keeps_its_books) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2500, .cpus = 2}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    wring::workqueue q = made(w, {.name = "delayed", .per_cpu = true});
    int inside = 0;
    int runs = 0;
    wring::delayed_work item{[&] {
      sim::check(++inside == 1, "never twice at once");
      if (sim::choose(2) != 0) {
        const wring::blocking_scope scope;
        sim::stall(sim::choose(3) * ms / 2);
      }
      ++runs;
      --inside;
    }};
    int accepted = 0;
    int cancelled = 0;
    const auto wander = [&] {
      for (int i = 0; i < 5; ++i) {
        const std::chrono::nanoseconds delay{sim::choose(3) * ms / 2};
        switch (sim::choose(4)) {
          case 0: accepted += q.modify(item, delay) ? 0 : 1; break;
          case 1: cancelled += item.cancel() ? 1 : 0; break;
          case 2: item.flush(); break;
          default: accepted += q.queue_delayed_on(sim::choose(2), item, delay) ? 1 : 0;
        }
      }
    };
    sim::thread other{wander};
    wander();
    other.join();
    cancelled += item.cancel_sync() ? 1 : 0;
    sim::check(inside == 0, "it does not run after cancel_sync()");
    sim::check(runs + cancelled == accepted, "each accepted call ran or was cancelled", runs, cancelled, accepted);
  }));
}

}  // namespace
