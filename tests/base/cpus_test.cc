// SPDX-License-Identifier: Apache-2.0
// cpus: the plan, its override, and what is said about an override that cannot be used.
#include "base/cpus.h"

#include "base/syscall.h"

#include <gtest/gtest.h>

namespace wring::base {
namespace {

TEST(cpus, without_an_override_the_affinity_mask_counts) {
  const auto mask = static_cast<unsigned>(syscall::affinity_count());
  for (const char* const text : {static_cast<const char*>(nullptr), ""}) {
    const cpu_plan plan = plan_cpus(text);
    EXPECT_EQ(plan.count, mask);
    EXPECT_EQ(plan.complaint, "");
  }
}

TEST(cpus, an_override_may_be_any_number_from_1_to_4096) {
  for (const unsigned count : {1u, 2u, 17u, 4096u}) {
    const cpu_plan plan = plan_cpus(std::to_string(count).c_str());
    EXPECT_EQ(plan.count, count);
    EXPECT_EQ(plan.complaint, "");
  }
}

TEST(cpus, any_other_override_is_named_and_ignored) {
  for (const char* const text : {"0", "4097", "-1", "two", "2 ", " 2", "2x", "99999999999999999999"}) {
    const cpu_plan plan = plan_cpus(text);
    EXPECT_EQ(plan.count, plan_cpus(nullptr).count) << text;
    EXPECT_NE(plan.complaint.find(text), std::string::npos) << plan.complaint;
  }
}

}  // namespace
}  // namespace wring::base
