// SPDX-License-Identifier: Apache-2.0
// reporter: what is printed for people who set no handler. Time is virtual, so a second is exactly one.
#include "sched/reporter.h"

#include "support/sim_test.h"

#include <string>

namespace {

namespace sim = wring::sim;

constexpr std::uint64_t second_ns = 1'000'000'000;

// Method: thirteen warnings within one second, one after the next has begun, and one more.
TEST(reporter, the_default_handler_prints_ten_lines_a_second_and_then_how_many_it_kept_back) {
  std::string printed;
  const auto report = sim::explore({.seeds = 20, .faults = sim::profile::none, .timers = false}, [&] {
    testing::internal::CaptureStderr();
    wring::sched::reporter r{wring::runtime_options{}};
    for (int i = 1; i <= 13; ++i) r.warn("line " + std::to_string(i));
    sim::stall(second_ns);
    r.warn("line 14");
    r.warn("line 15");
    printed = testing::internal::GetCapturedStderr();
    sim::check(r.warnings() == 15, "all are counted", r.warnings());
  });
  EXPECT_SIM_OK(report);
  std::string expected;
  for (int i = 1; i <= 10; ++i) expected += "wring: line " + std::to_string(i) + '\n';
  EXPECT_EQ(printed, expected + "wring: (3 warnings not shown)\nwring: line 14\nwring: line 15\n");
}

}  // namespace
