// SPDX-License-Identifier: Apache-2.0
// pods and masks: how scopes divide CPUs, and which of them unbound queues use.
#include "sched/pods.h"
#include "sched/cpu_masks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace wring::sched {
namespace {

using cpus = std::vector<unsigned>;

base::topology machine(const std::string& description) { return base::topology::synthetic(description).value(); }

// WQ-116.
TEST(pods, of_each_scope_are_what_its_cpus_share) {
  const base::topology t = machine("node:2 l3:2 core:4 pu:2");
  const std::map<affinity_scope, std::size_t> expected{{affinity_scope::cpu, 32},  {affinity_scope::smt, 16},
                                                       {affinity_scope::cache, 4}, {affinity_scope::cache_shard, 8},
                                                       {affinity_scope::numa, 2},  {affinity_scope::system, 1}};
  for (const auto& [scope, count] : expected) {
    const auto all = pods(t, scope, 2);
    EXPECT_EQ(all.size(), count);
    cpus seen;
    for (const cpus& pod : all) {
      EXPECT_EQ(pod.size(), 32 / count);
      EXPECT_TRUE(std::ranges::is_sorted(pod));
      seen.insert(seen.end(), pod.begin(), pod.end());
    }
    std::ranges::sort(seen);
    EXPECT_EQ(seen.size(), 32u) << "each CPU is in one pod";
    EXPECT_TRUE(std::ranges::adjacent_find(seen) == seen.end());
  }
  EXPECT_EQ(pods(t, affinity_scope::smt, 8)[1], (cpus{2, 3}));
  EXPECT_EQ(pods(t, affinity_scope::numa, 8)[1].front(), 16u);
}

// WQ-116: about 8 cores each, which differ by one at most, and no core is split.
TEST(pods, of_a_large_cache_are_shards_of_like_size) {
  for (const unsigned cores : {1U, 7U, 8U, 11U, 12U, 13U, 20U, 31U, 64U}) {
    const base::topology t = machine("core:" + std::to_string(cores) + " pu:2");
    const auto shards = pods(t, affinity_scope::cache_shard, 8);
    EXPECT_EQ(shards.size(), std::max(1U, (cores + 4) / 8)) << cores;
    std::set<std::size_t> sizes;
    for (const cpus& shard : shards) {
      sizes.insert(shard.size() / 2);
      for (const unsigned cpu : shard) EXPECT_TRUE(has(shard, cpu ^ 1U)) << "both CPUs of a core";
    }
    EXPECT_LE(*sizes.rbegin() - *sizes.begin(), 1u) << cores;
    EXPECT_LE(*sizes.rbegin(), 12u) << cores;
  }
}

// CPUs that may not be used now are in pods, too, since they may be later.
TEST(pods, know_the_cpus_that_may_not_be_used) {
  const base::topology t{{{.id = 1, .core = 1, .cache = 1, .node = 0}},
                         {{.id = 0, .core = 0, .cache = 1, .node = 0}, {.id = 2, .core = 2, .cache = 2, .node = 1}}};
  EXPECT_EQ(pods(t, affinity_scope::cache, 8), (std::vector<cpus>{{0, 1}, {2}}));
  EXPECT_EQ(pods(t, affinity_scope::numa, 8), (std::vector<cpus>{{0, 1}, {2}}));
}

TEST(cpu_list, is_read_and_written_as_the_kernel_does) {
  for (const char* const same : {"", "0", "0-3", "0-3,8", "1,3,5-6"}) {
    ASSERT_TRUE(cpu_list_of(same).has_value()) << same;
    EXPECT_EQ(text_of(*cpu_list_of(same)), same);
  }
  EXPECT_EQ(text_of(cpu_list_of("3,1-2,2\n").value()), "1-3");
  for (const char* const wrong : {"a", "1-", "-1", "3-1", "1,,2", "1,", "1 2", "0-99999999", "0x3", "1-2-3"}) {
    EXPECT_FALSE(cpu_list_of(wrong).has_value()) << wrong;
  }
}

// WQ-119.
TEST(cpu_masks, of_unbound_queues_are_never_empty) {
  cpu_masks m{{0, 1, 2, 3}, {3}, {}};
  EXPECT_EQ(m.unbound(), (cpus{0, 1, 2})) << "all but the isolated ones";
  m.request({2, 3});
  EXPECT_EQ(m.unbound(), (cpus{2, 3})) << "the operator may want isolated ones";
  EXPECT_EQ(m.requested(), (cpus{2, 3}));
  m.isolate({2});
  EXPECT_EQ(m.unbound(), (cpus{3})) << "what is isolated later counts";
  m.isolate({2, 3});
  EXPECT_EQ(m.unbound(), (cpus{2, 3})) << "but for all of the requested ones";
  m.use({0, 1});
  EXPECT_EQ(m.unbound(), (cpus{0, 1})) << "none of the requested ones may be used";
  m.use({1, 2});
  EXPECT_EQ(m.unbound(), (cpus{2}));
  const cpu_masks restricted{{0, 1, 2, 3}, {}, {1, 7}};
  EXPECT_EQ(restricted.unbound(), (cpus{1}));
}

}  // namespace
}  // namespace wring::sched
