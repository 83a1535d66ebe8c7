// SPDX-License-Identifier: Apache-2.0
// wq_shutdown: queues that feed each other while their runtime ends.
#include "support/sim_test.h"
#include "support/wq_world.h"

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;

// WQ-46: whoever sees that a queue is closed by a shutdown, sees the shutdown. So what a callback queues
// meanwhile on another queue is taken, and has run.
TEST(wq_shutdown, what_callbacks_queue_elsewhere_meanwhile_is_never_refused) {
  const auto report = sim::explore({.seeds = 3000}, [] {
    world w{{.cpus = 1, .max_workers = 4}};
    wring::workqueue fed{w, {.name = "fed"}};
    wring::workqueue feeder{w, {.name = "feeder"}};
    int ran = 0;
    feeder.submit([&] {
      for (int i = 0; i < 6; ++i) sim::check(fed.submit([&] { ++ran; }), "it is taken", i);
      sim::count("it was fed");
    });
    sim::check(w->shutdown(1h).complete, "all has ended");
    sim::check(ran == 6, "all ran", ran);
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "it was fed", 0.9);
}

}  // namespace
