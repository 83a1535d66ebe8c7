// SPDX-License-Identifier: Apache-2.0
// wq_stop: a cancellation asks a callback that runs to stop, by its std::stop_token.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include <stop_token>

namespace {

namespace sim = wring::sim;
using sim::test::world;

// WQ-156: the callback ends when it is asked to. Who cancels it while it begins asks it all the same, so the wait ends.
TEST(wq_stop, who_is_cancelled_while_it_begins_is_asked_to_stop) {
  const auto report = sim::explore({.seeds = 2000}, [] {
    world w{{.cpus = 1, .max_workers = 4}};
    wring::workqueue queue{w, {.name = "q"}};
    wring::work item{[](const std::stop_token& stop) {
      sim::gate asked;
      const std::stop_callback told{stop, [&asked] { asked.open(); }};
      sim::count("it ran");
      asked.pass();
    }};
    queue.queue(item);
    item.cancel_sync();
    sim::check(!item.pending() && !item.running(), "the item is idle");
    w->audit();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "it ran", 0.1);
}

}  // namespace
