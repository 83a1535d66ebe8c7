// SPDX-License-Identifier: Apache-2.0
// pools: how many there can be.
#include "sched/core.h"
#include "support/test_runtime.h"

#include <gtest/gtest.h>

namespace wring::sched {
namespace {

// WQ-11: each CPU has three, and the last that there can be is made like all others; one more is refused, and the
// refusal names the limit.
TEST(pools, there_can_be_16383) {
  test::test_runtime rt{{.cpus = 1, .topology = "core:5600 pu:1"}};
  sched::pools& all = static_cast<runtime&>(rt).core().pools();
  std::size_t made = 0;
  std::string refusal;
  try {
    for (unsigned cpu = 0; cpu < 5'600; ++cpu) {
      for (const urgency u : {urgency::normal, urgency::high}) {
        static_cast<void>(all.of_cpu(cpu, u));
        ++made;
      }
      static_cast<void>(all.bh_of_cpu(cpu, urgency::normal));
      ++made;
    }
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::invalid_argument);
    refusal = e.what();
  }
  EXPECT_EQ(made, pools::index_max + 1 - 4) << "and four that are there from the beginning";
  EXPECT_NE(refusal.find("one more than the 16383 pools"), std::string::npos) << refusal;
}

}  // namespace
}  // namespace wring::sched
