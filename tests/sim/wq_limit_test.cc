// SPDX-License-Identifier: Apache-2.0
// wq_limit: max_active that changes while items run and wait.
#include "support/sim_test.h"
#include "support/wq_world.h"

namespace {

namespace sim = wring::sim;
using sim::test::world;

// WQ-127, WQ-151: one item lasts, and another worker leads the short ones behind it, when the limit becomes one. That
// worker starts none any more, but for one it may have taken already, until the long one has ended.
TEST(wq_limit, a_leader_stops_when_the_limit_is_lowered_below_those_who_are_inside) {
  constexpr int many = 60;
  const auto report = sim::explore({.seeds = 1000}, [] {
    world w{{.cpus = 2, .max_workers = 8}};
    const int enough = 1 + static_cast<int>(sim::choose(many));
    sim::gate far_enough;
    sim::gate end;
    bool lasts = false;
    bool lowered = false;
    int begun_since = 0;
    int ran = 0;
    {
      wring::workqueue queue{w, {.name = "q", .max_active = 2}};
      queue.submit([&] {
        lasts = true;
        end.pass();
        lasts = false;
      });
      for (int i = 0; i < many; ++i) {
        queue.submit([&] {
          if (++ran == enough) far_enough.open();
          if (!lowered || !lasts) return;
          sim::check(++begun_since <= 1, "no item begins beyond the limit", begun_since);
        });
      }
      far_enough.pass();
      sim::check(queue.set_max_active(1), "this queue's limit may change");
      lowered = true;
      if (lasts && ran < many - 1) sim::count("lowered in the middle");
      for (int i = 0; i < 50; ++i) sim::point();
      end.open();
      queue.flush();
    }
    sim::check(ran == many, "all ran", ran);
    w->audit();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "lowered in the middle", 0.1);
}

}  // namespace
