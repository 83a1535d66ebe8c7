// SPDX-License-Identifier: Apache-2.0
// wq_limit: max_active that changes while items run and wait.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include <array>

namespace {

namespace sim = wring::sim;
using sim::test::world;

// WQ-127, WQ-151: with three items inside, the limit becomes one. What waits starts when all three have ended, and then
// one at a time.
TEST(wq_limit, a_lowered_limit_holds_back_what_waits_until_enough_have_ended) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000}, [] {
    world w{{.cpus = 3, .max_workers = 8}};
    std::array<sim::gate, 3> ends;
    sim::gate all_inside;
    int inside = 0;
    int ran = 0;
    {
      wring::workqueue queue{w, {.name = "q", .max_active = 3}};
      for (sim::gate& end : ends) {
        queue.submit([&] {
          const wring::blocking_scope scope;  // so that a worker is made for the others, sooner or later
          if (++inside == 3) all_inside.open();
          end.pass();
          --inside;
        });
      }
      all_inside.pass();
      for (int i = 0; i < 4; ++i) {
        queue.submit([&] {
          sim::check(++inside == 1, "nobody else is inside", inside);
          sim::point();
          ++ran;
          --inside;
        });
      }
      sim::check(queue.set_max_active(1), "this queue's limit may change");
      for (sim::gate& end : ends) end.open();
      queue.flush();
    }
    sim::check(ran == 4, "all ran", ran);
    w->audit();
  }));
}

}  // namespace
