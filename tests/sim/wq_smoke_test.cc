// SPDX-License-Identifier: Apache-2.0
// wq_smoke: the first things anybody does with a queue, under every fault profile.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include <array>

namespace {

namespace sim = wring::sim;
using sim::test::world;
using wring::base::checked;

class smoke : public testing::TestWithParam<sim::profile> {};

// WQ-40, WQ-65, WQ-84: what a flush waited for has run, and its writes are visible.
TEST_P(smoke, what_was_queued_before_a_flush_has_run_after_it) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .faults = GetParam()}, [] {
    world w;
    checked<int> closures{0};
    checked<int> runs{0};
    wring::workqueue queue{w, {.name = "smoke"}};
    wring::work item{[&] { runs.set(runs.get() + 1); }};
    sim::check(queue.queue(item), "an idle item can be queued");
    sim::check(queue.submit([&] { closures.set(1); }), "a closure is accepted");
    queue.flush();
    sim::check(runs.get() == 1, "the item ran once", runs.get());
    sim::check(closures.get() == 1, "the closure ran");
    sim::check(!item.pending() && !item.running(), "the item is idle");
    w->audit();
  }));
}

// WQ-34, WQ-90: destruction runs what is there.
TEST_P(smoke, destroying_a_queue_runs_what_is_in_it) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .faults = GetParam()}, [] {
    world w;
    int ran = 0;
    {
      wring::workqueue queue{w, {.name = "short-lived"}};
      for (int i = 0; i < 5; ++i) queue.submit([&] { ++ran; });
    }
    sim::check(ran == 5, "all five ran", ran);
  }));
}

// WQ-60: several producers, several queues, nothing is lost or doubled.
TEST_P(smoke, three_producers_on_two_queues_lose_nothing) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .faults = GetParam()}, [] {
    world w;
    std::array<int, 2> ran{};
    {
      std::array<wring::workqueue, 2> queues{wring::workqueue{w, {.name = "one"}},
                                             wring::workqueue{w, {.name = "two", .ordered = true}}};
      const auto produce = [&] {
        for (unsigned i = 0; i < 6; ++i) queues[i % 2].submit([&ran, i] { ++ran[i % 2]; });
      };
      sim::thread a{produce};
      sim::thread b{produce};
      produce();
      a.join();
      b.join();
      queues[0].flush();
      queues[1].drain();
      sim::check(ran[0] == 9 && ran[1] == 9, "all ran", ran[0], ran[1]);
    }
  }));
}

INSTANTIATE_TEST_SUITE_P(profiles, smoke,
                         testing::Values(sim::profile::none, sim::profile::usual, sim::profile::hostile,
                                         sim::profile::creation_never_works),
                         [](const auto& profile) -> std::string {
                           switch (profile.param) {
                             case sim::profile::none: return "none";
                             case sim::profile::usual: return "usual";
                             case sim::profile::hostile: return "hostile";
                             default: return "creation_never_works";
                           }
                         });

}  // namespace
