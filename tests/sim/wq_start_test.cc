// SPDX-License-Identifier: Apache-2.0
// wq_start: a runtime that starts later, while others queue, cancel and wait for time (WQ-145); src/sched/README.md, 4.
//
// Time is the witness, as in wq_supply: a run in which virtual time jumps is one in which a timer had to repair what
// start() has missed.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "base/parker.h"

#include <array>
#include <system_error>
#include <utility>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;

constexpr std::uint64_t second_ns = 1'000'000'000;

// Until the system lets it.
void start(world& w) {
  for (;;) {
    try {
      w->start();
      return;
    } catch (const std::system_error&) {
      sim::count("start was refused");
      sim::stall(200'000);
    }
  }
}

// Likewise: once the runtime has started, a queue needs the first threads of its own.
wring::workqueue made(world& w, const wring::workqueue_options& options) {
  for (;;) {
    auto q = wring::workqueue::create(w, options);
    if (q.has_value()) return std::move(q).value();
    sim::count("a queue was refused");
    sim::stall(200'000);
  }
}

// Queues on two pools, one of which is made meanwhile; a cancelled item runs or was cancelled.
void start_meets_everything(world& w, std::uint64_t patience_ns) {
  const std::uint64_t begin = sim::now_ns();
  std::array<int, 4> ran{};
  bool cancelled = false;
  {
    wring::workqueue one{w, {.name = "one"}};
    wring::work item{[&ran] { ++ran[2]; }};
    one.queue(item);
    sim::thread publisher{[&] {
      for (int i = 0; i < 2; ++i) one.submit([&ran] { ++ran[0]; });
      wring::workqueue other = made(w, {.name = "other", .high_priority = true});
      other.submit([&ran] { ++ran[1]; });
    }};
    sim::thread canceller{[&] { cancelled = item.cancel(); }};
    start(w);
    canceller.join();
    publisher.join();
    sim::check(one.flush(), "a flush waits after the start");
    if (patience_ns != 0) sim::check(sim::now_ns() - begin < patience_ns, "no timer was needed", sim::now_ns() - begin);
  }
  if (cancelled) sim::count("it was cancelled");
  sim::check(ran[0] == 2 && ran[1] == 1, "all ran", ran[0], ran[1]);
  sim::check(ran[2] == (cancelled ? 0 : 1), "an item runs or is cancelled", ran[2]);
}

TEST(wq_start, what_is_queued_while_the_runtime_starts_runs_at_once) {
  const auto report = sim::explore({.seeds = 4000, .faults = sim::profile::none, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 4, .start_later = true}};
    start_meets_everything(w, second_ns);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "it was cancelled", 0.1);
}

TEST(wq_start, a_start_that_is_refused_loses_nothing_and_may_be_repeated) {
  const auto report = sim::explore({.seeds = 2000}, [] {
    world w{{.cpus = 2, .max_workers = 4, .creation_retry = 1ms, .start_later = true}};
    start_meets_everything(w, 0);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "start was refused", 0.02);
}

// The delay is armed before the timekeeper exists, while it is made, or when it sleeps already. Method: a wrong sleep
// would last for ever, since nothing else wakes it.
TEST(wq_start, a_delay_that_is_armed_while_the_runtime_starts_comes_due) {
  const auto report = sim::explore({.seeds = 4000, .faults = sim::profile::none}, [] {
    world w{{.cpus = 2, .max_workers = 4, .start_later = true}};
    wring::workqueue q{w, {.name = "timed"}};
    wring::base::completion ran;
    wring::delayed_work item{[&ran] { ran.complete(); }};
    sim::thread timer{[&] { q.queue_delayed(item, 5ms); }};
    w->start();
    timer.join();
    ran.wait();
    item.cancel_sync();
  });
  EXPECT_SIM_OK(report);
}

// A queue that is made while the runtime starts has its pool's first worker, as if it had been made before or after.
// Method: nothing is queued, so nobody else asks for one.
TEST(wq_start, a_queue_that_is_made_meanwhile_has_its_first_worker) {
  EXPECT_SIM_OK(sim::explore({.seeds = 3000, .faults = sim::profile::none}, [] {
    world w{{.cpus = 2, .max_workers = 4, .start_later = true}};
    sim::thread starter{[&] { w->start(); }};
    {
      const wring::workqueue q{w, {.name = "other", .high_priority = true}};
      starter.join();
      sim::check(w->stats().pools[2].workers == 1, "its pool has a worker", w->stats().pools[2].workers);
    }
  }));
}

// Who ends a queue while another starts its runtime; both make the threads.
TEST(wq_start, the_end_of_a_queue_may_meet_the_start) {
  EXPECT_SIM_OK(sim::explore({.seeds = 3000}, [] {
    world w{{.cpus = 2, .max_workers = 4, .creation_retry = 1ms, .start_later = true}};
    int ran = 0;
    sim::thread starter{[&] { start(w); }};
    {
      wring::workqueue q = made(w, {.name = "ends", .rescuer = true});
      q.submit([&ran] { ++ran; });
    }
    sim::check(ran == 1, "it ran before the end", ran);
    starter.join();
  }));
}

}  // namespace
