// SPDX-License-Identifier: Apache-2.0
// wq_supply: threads are refused or used up, and nothing is lost or late (WQ-102, WQ-103, WQ-159).
//
// Time is the witness: where no timer may be needed, a run in which virtual time jumps is a run in which a
// timer had to repair what somebody forgot.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include <array>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;

constexpr std::uint64_t second_ns = 1'000'000'000;

// Two producers on two queues, each flushed often, so that workers park and are woken all the time.
void chatter(world& w) {
  const std::uint64_t begin = sim::now_ns();
  std::array<int, 2> ran{};
  {
    std::array<wring::workqueue, 2> queues{wring::workqueue{w, {.name = "one"}}, wring::workqueue{w, {.name = "two"}}};
    const auto produce = [&](std::size_t q) {
      for (int i = 0; i < 4; ++i) {
        queues[q].submit([&ran, q] { ++ran[q]; });
        queues[q].flush();
        sim::check(sim::now_ns() - begin < second_ns, "no timer was needed", sim::now_ns() - begin);
      }
    };
    sim::thread other{[&] { produce(1); }};
    produce(0);
    other.join();
  }
  sim::check(ran[0] == 4 && ran[1] == 4, "all ran", ran[0], ran[1]);
}

// A publisher that claims a slot and finds no worker gives it back; a worker that parks meanwhile must not
// rely on that claim.
TEST(wq_supply, a_claim_without_a_worker_hides_nobody_at_the_limit) {
  EXPECT_SIM_OK(sim::explore({.seeds = 6000, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 1}};
    chatter(w);
  }));
}

TEST(wq_supply, a_claim_without_a_worker_hides_nobody_after_a_refusal) {
  EXPECT_SIM_OK(sim::explore({.seeds = 6000, .faults = sim::profile::creation_never_works, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8, .creation_retry = 3'600'000ms}};
    chatter(w);
  }));
}

// WQ-130, without any detection: what was published while the pool could not start more starts when it may use another
// CPU, although a worker is stuck.
TEST(wq_supply, a_pool_that_grows_starts_what_waits) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .faults = sim::profile::none, .cpus = 2, .timers = false}, [] {
    world w{{.max_workers = 4, .stall_floor = 0ms, .detect = wring::detection::announced}};
    w->replan({0});
    sim::gate began;
    sim::gate end;
    wring::workqueue stuck{w, {.name = "stuck"}};
    wring::workqueue waits{w, {.name = "waits"}};
    stuck.submit([&] {
      began.open();
      end.pass();
    });
    began.pass();
    waits.submit([&] { end.open(); });
    w->replan({0, 1});
    stuck.flush();
  }));
}

// A worker may be told to leave while it parks; its last wake-up must not reach the worker that gets its place.
TEST(wq_supply, a_worker_that_leaves_takes_its_last_wakeup_with_it) {
  const auto report = sim::explore({.seeds = 3000}, [] {
    world w{{.cpus = 2, .max_workers = 4, .idle_timeout = 1ms, .idle_workers_kept = 1, .creation_retry = 1ms}};
    wring::workqueue q{w, {.name = "coming and going"}};
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < 3; ++i) {
        q.submit([] {
          const wring::blocking_scope scope;
          sim::stall(20'000);
        });
      }
      q.flush();
      w->audit();
      sim::stall(sim::choose(2) * 1'100'000);
    }
    if (w->stats().pools[0].workers_retired != 0) sim::count("workers retired");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "workers retired", 0.3);
}

// A queue that comes too late asks for its pool's first worker; that one is not left behind.
TEST(wq_supply, a_worker_that_is_made_while_the_runtime_ends_leaves_again) {
  const auto report = sim::explore({.seeds = 1000, .faults = sim::profile::none}, [] {
    world w;
    sim::thread maker{[&] {
      const auto late = wring::workqueue::create(w, {.name = "late", .unmanaged = true});
      if (late.has_value()) return;
      sim::check(late.error() == std::errc::operation_canceled, "refused as too late");
      sim::count("came too late");
    }};
    sim::check(w->shutdown(1h).complete, "nothing keeps it from ending");
    maker.join();
    for (const wring::pool_stats& p : w->stats().pools) sim::check(p.workers == 0, "no worker is left", p.workers);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "came too late", 0.2);
}

// WQ-U1: the report at the limit tells who waits for what. Method: two callbacks wait for a flush of another queue,
// whose items need the worker that none is left for, until a third one has waited for long enough.
TEST(wq_supply, the_limits_report_tells_what_everybody_waits_for) {
  const auto report = sim::explore({.seeds = 300, .faults = sim::profile::none, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 3, .stall_floor = 0ms, .detect = wring::detection::announced}};
    wring::workqueue waits{w, {.name = "waits"}};
    wring::workqueue needed{w, {.name = "needed"}};
    int entered = 0;
    waits.submit([&] {
      ++entered;
      const wring::blocking_scope scope;
      sim::stall(50'000'000);
    });
    for (int i = 0; i < 2; ++i) {
      waits.submit([&] {
        ++entered;
        while (entered != 3) sim::spend(1'000);
        needed.submit([] {});
        needed.flush();
      });
    }
    waits.flush();
    sim::check(w.warnings_with("limit of 3") <= 1 &&
                   w.warnings_with("limit of 3 workers (runtime_options::max_workers); "
                                   "work waits until one is free. They are: ") == w.warnings_with("limit of 3"),
               "once, with those who are there");
    // Else one of them had not come to wait yet.
    if (w.warnings_with("They are: 2 in code of 'waits', waiting in a flush of 'needed'; 1 in code of 'waits'") == 1)
      sim::count("all were told of");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "all were told of", 0.3);
}

// ---- the watchdog -------------------------------------------------------------------------------------------

constexpr std::uint64_t ms_ns = 1'000'000;

// WQ-135. Both workers that may exist wait for 3.5 s, and a third item for them. That is reported each second, or less
// often if the timekeeper is late; and not at all by one that is off.
TEST(wq_supply, a_pool_that_starts_nothing_is_reported_unless_the_watchdog_is_off) {
  for (const bool off : {false, true}) {
    const auto report = sim::explore({.seeds = 60, .faults = sim::profile::none, .step_limit = 3'000'000}, [off] {
      world w{{.cpus = 1, .max_workers = 2, .stall_floor = 0ms, .watchdog_threshold = off ? 0ms : 1'000ms}};
      wring::workqueue q{w, {.name = "stalled"}};
      bool third = false;
      for (int i = 0; i < 2; ++i) {
        q.submit([] {
          const wring::blocking_scope scope;
          sim::stall(3'500 * ms_ns);
        });
      }
      q.submit([&] { third = true; });
      q.flush();
      sim::check(third, "it ran");
      const unsigned told = w.warnings_with("has started nothing for");
      sim::check(off ? told == 0 : told <= 3, "each second", told);
      sim::check(told == w.warnings_with(" though work waits (runtime_options::watchdog_threshold)"),
                 "with the option");
      const std::uint64_t counted = w->stats().pools[0].stall_reports;
      sim::check(counted <= told + 1 && told <= counted + 1, "and counted, but for one that is on its way", told,
                 counted);
      if (told != 0) sim::count("a stall was reported");
    });
    EXPECT_SIM_OK(report);
    if (!off) {
      EXPECT_SIM_EVENT(report, "a stall was reported", 0.1);
    }
  }
}

// WQ-135. One after the other, each shorter than the threshold; time passes only while nobody could run.
TEST(wq_supply, a_pool_that_goes_on_slowly_is_not_reported) {
  const auto report =
      sim::explore({.seeds = 60, .faults = sim::profile::none, .step_limit = 3'000'000, .timers = false}, [] {
        world w{{.cpus = 1, .max_workers = 2, .stall_floor = 0ms, .watchdog_threshold = 4'000ms}};
        wring::workqueue q{w, {.name = "slow"}};
        for (int i = 0; i < 20; ++i) {
          q.submit([] {
            const wring::blocking_scope scope;
            sim::stall(1'000 * ms_ns);
          });
        }
        q.flush();
        sim::check(w.warnings_with("has started nothing for") == 0, "silent");
      });
  EXPECT_SIM_OK(report);
}

// WQ-135. Nobody is there to be woken while the system refuses threads: that is noticed, too.
TEST(wq_supply, work_that_waits_for_a_thread_that_is_refused_is_reported) {
  const auto report =
      sim::explore({.seeds = 60, .faults = sim::profile::creation_never_works, .step_limit = 3'000'000}, [] {
        world w{
            {.cpus = 2, .max_workers = 8, .creation_retry = 400ms, .stall_floor = 0ms, .watchdog_threshold = 1'000ms}};
        wring::workqueue q{w, {.name = "refused"}};
        for (int i = 0; i < 2; ++i) {
          q.submit([] {
            const wring::blocking_scope scope;
            sim::stall(2'500 * ms_ns);
          });
        }
        q.flush();
        if (w.warnings_with("has started nothing for") != 0) sim::count("a stall was reported");
      });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "a stall was reported", 0.1);
}

// ---- rescuers -----------------------------------------------------------------------------------------------

wring::workqueue with_rescuer(world& w, wring::workqueue_options o) {
  const sim::calm no_faults;  // its thread, or there is no queue
  o.rescuer = true;
  return wring::workqueue{w, o};
}

// Callbacks of one queue wait for items of another one, which has a rescuer; and two threads publish to both.
void rescue(const wring::runtime_options& o, const wring::workqueue_options& what, std::uint64_t patience_ns = ~0ULL) {
  world w{o};
  const std::uint64_t begin = sim::now_ns();
  int ran = 0;
  int waited = 0;
  {
    wring::workqueue vital = with_rescuer(w, what);
    wring::workqueue waiting{w, {.name = "waiting"}};
    const auto produce = [&] {
      for (int i = 0; i < 3; ++i) {
        waiting.submit([&] {
          wring::work needed{[&ran] { ++ran; }};
          vital.queue(needed);
          needed.flush();
          ++waited;
        });
        vital.submit([&] {
          if (wring::current_is_rescuer()) sim::count("rescued");
          ++ran;
        });
        sim::stall(sim::choose(3) * 5 * ms_ns);
      }
    };
    sim::thread other{produce};
    produce();
    other.join();
    waiting.flush();
    w->audit();
  }
  sim::check(ran == 12 && waited == 6, "all ran", ran, waited);
  sim::check(sim::now_ns() - begin < patience_ns, "in time", sim::now_ns() - begin);
}

// WQ-110..112, WQ-157. Method: threads are refused, or a single worker may exist; the next try is an hour away.
TEST(wq_supply, a_rescuer_runs_what_all_workers_wait_for_while_threads_are_refused) {
  for (const bool ordered : {false, true}) {
    const auto report = sim::explore({.seeds = 600, .faults = sim::profile::creation_never_works}, [ordered] {
      rescue({.cpus = 2, .max_workers = 8, .creation_retry = 3'600'000ms}, {.name = "vital", .ordered = ordered});
    });
    EXPECT_SIM_OK(report);
    EXPECT_SIM_EVENT(report, "rescued", 0.2);
  }
}

// WQ-110. Method: timers fire when they are due, so if an hour has passed, then nobody called a rescuer on behalf of
// those who relied on a thread that was being made when the system refused it.
TEST(wq_supply, a_rescuer_is_called_also_for_who_relied_on_a_thread_that_is_refused) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .faults = sim::profile::creation_never_works, .timers = false}, [] {
    rescue({.cpus = 2, .max_workers = 8, .creation_retry = 3'600'000ms}, {.name = "vital"}, 600 * second_ns);
  }));
}

// WQ-110: the worker is refused once, then all is well, but the next try is far away, and the one worker there is only
// seems to run.
TEST(wq_supply, a_rescuer_is_called_also_for_who_relied_on_a_thread_that_was_refused_once) {
  const auto report = sim::explore({.seeds = 2000, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8, .creation_retry = 3'600'000ms}};
    const std::uint64_t begin = sim::now_ns();
    sim::gate end;
    {
      wring::workqueue blocks{w, {.name = "blocks"}};
      wring::workqueue vital = with_rescuer(w, {.name = "vital"});
      blocks.submit([&] { end.pass(); });
      vital.submit([] {});
      vital.flush();
      sim::check(sim::now_ns() - begin < 600 * second_ns, "nobody waited for the next try", sim::now_ns() - begin);
      end.open();
    }
    if (w->stats().pools[0].creation_failures != 0) sim::count("workers refused");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "workers refused", 0.05);
}

TEST(wq_supply, a_rescuer_runs_what_all_workers_wait_for_at_the_limit) {
  for (const unsigned workers : {1U, 2U}) {
    const auto report =
        sim::explore({.seeds = 600}, [workers] { rescue({.cpus = 2, .max_workers = workers}, {.name = "vital"}); });
    EXPECT_SIM_OK(report);
    EXPECT_SIM_EVENT(report, "rescued", 0.2);
  }
}

// WQ-110. Nobody has announced anything, and nobody can see it: all workers count, and start nothing.
TEST(wq_supply, a_rescuer_is_called_when_the_workers_only_seem_to_run) {
  const auto report = sim::explore({.seeds = 300, .step_limit = 500'000}, [] {
    world w{{.cpus = 2, .max_workers = 2, .stall_floor = 0ms, .detect = wring::detection::announced}};
    wring::workqueue vital = with_rescuer(w, {.name = "vital"});
    wring::workqueue other{w, {.name = "other"}};
    bool done = false;
    for (int i = 0; i < 2; ++i) {
      other.submit([&] {
        while (!done) sim::stall(50 * ms_ns);
      });
    }
    sim::stall(1 * ms_ns);
    vital.submit([&] { done = true; });
    vital.flush();
    other.flush();
  });
  EXPECT_SIM_OK(report);
}

}  // namespace
