// SPDX-License-Identifier: Apache-2.0
// cpus: the plan, its override, and what is said about an override that cannot be used.
#include "base/cpus.h"

#include "base/cgroup.h"
#include "base/crew.h"
#include "base/fake_root.h"
#include "base/syscall.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace wring::base {
namespace {

using bound = cpu_plan::bound;

unsigned cpus_of_the_mask() { return static_cast<unsigned>(syscall::affinity().size()); }

// A process in a group with this quota, in microseconds of each 100 ms.
test::fake_root limited(unsigned quota_us) {
  test::fake_root root = test::v2_root();
  root.file("sys/fs/cgroup/a/cpu.max", std::to_string(quota_us) + " 100000\n");
  return root;
}

TEST(cpus, without_a_quota_and_an_override_the_affinity_mask_counts) {
  const test::temporary_folder nothing;
  for (const char* const text : {static_cast<const char*>(nullptr), ""}) {
    const cpu_plan plan = plan_cpus(text, nothing.path(""));
    EXPECT_EQ(plan.count, cpus_of_the_mask());
    EXPECT_EQ(plan.by, bound::affinity);
    EXPECT_NE(plan.why.find("no cgroup quota is known (cannot read "), std::string::npos) << plan.why;
    EXPECT_EQ(plan.complaint, "");
  }
}

TEST(cpus, of_mask_and_quota_the_lesser_counts) {
  for (const unsigned worth : {1u, cpus_of_the_mask() - 1, cpus_of_the_mask(), cpus_of_the_mask() + 1, 10'000u}) {
    if (worth == 0) continue;
    const test::fake_root root = limited(worth * 100'000 - 50'000);
    const cpu_plan plan = plan_cpus(nullptr, root.path());
    EXPECT_EQ(plan.count, std::min(worth, cpus_of_the_mask()));
    EXPECT_EQ(plan.by, worth < cpus_of_the_mask() ? bound::quota : bound::affinity);
    EXPECT_NE(plan.why.find("the cgroup quota is worth " + std::to_string(worth) + " ("), std::string::npos)
        << plan.why;
  }
}

TEST(cpus, the_mask_is_that_of_the_calling_thread) {
  const test::temporary_folder nothing;
  const unsigned one = syscall::affinity().front();
  test::run_crew<1>([&](std::size_t) {
    ASSERT_EQ(syscall::set_affinity(std::array{one}), 0);
    EXPECT_EQ(plan_cpus(nullptr, nothing.path("")).count, 1u);
  });
}

TEST(cpus, a_tiny_quota_is_still_one_cpu) { EXPECT_EQ(plan_cpus(nullptr, limited(1).path()).count, 1u); }

// Method: the group's limit changes between two plans, as that of a container may.
TEST(cpus, each_plan_is_made_from_what_holds_then) {
  test::fake_root root = limited(1);
  EXPECT_EQ(plan_cpus(nullptr, root.path()).count, 1u);
  root.file("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(plan_cpus(nullptr, root.path()).count, cpus_of_the_mask());
}

TEST(cpus, an_override_may_be_any_number_from_1_to_4096_and_beats_a_quota) {
  for (const unsigned count : {1u, 2u, 17u, 4096u}) {
    const cpu_plan plan = plan_cpus(std::to_string(count).c_str(), limited(50'000).path());
    EXPECT_EQ(plan.count, count);
    EXPECT_EQ(plan.by, bound::environment);
    EXPECT_EQ(plan.complaint, "");
  }
}

TEST(cpus, any_other_override_is_named_and_ignored) {
  for (const char* const text : {"0", "4097", "-1", "two", "2 ", " 2", "2x", "1.5", "99999999999999999999"}) {
    const cpu_plan plan = plan_cpus(text, limited(50'000).path());
    EXPECT_EQ(plan.count, 1u) << text;
    EXPECT_NE(plan.by, bound::environment);
    EXPECT_NE(plan.complaint.find(std::string{"WRING_CPUS="} + text), std::string::npos) << plan.complaint;
    EXPECT_NE(plan.complaint.find("planning for 1 CPU: the affinity mask has "), std::string::npos) << plan.complaint;
  }
}

TEST(cpus, the_machine_is_looked_at_by_default) {
  const unsigned quota = read_cpu_quota().cpus.value_or(cpu_plan::most);
  EXPECT_EQ(plan_cpus(nullptr).count, std::min(cpus_of_the_mask(), quota));
}

// WQ-29. The kernel's file holds a list, "(null)", or nothing; older ones have none.
TEST(cpus, without_a_tick_are_found) {
  EXPECT_FALSE(some_cpus_have_no_tick(test::v2_root().path()));
  for (const auto& [text, some] :
       {std::pair{"2-7\n", true}, {"0\n", true}, {"(null)\n", false}, {"\n", false}, {"", false}}) {
    test::fake_root root = test::v2_root();
    root.file("sys/devices/system/cpu/nohz_full", text);
    EXPECT_EQ(some_cpus_have_no_tick(root.path()), some) << text;
  }
}

}  // namespace
}  // namespace wring::base
