// SPDX-License-Identifier: Apache-2.0
// topology: its numbering, and the machine itself.
#include "base/topology.h"

#include "base/crew.h"
#include "base/syscall.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

namespace wring::base {
namespace {

std::vector<unsigned> ids_of(const topology& t) {
  std::vector<unsigned> ids;
  for (const topology::cpu& c : t.cpus()) ids.push_back(c.id);
  return ids;
}

TEST(topology, sorts_cpus_and_numbers_cores_and_caches_from_0) {
  const topology t{{{.id = 9, .core = 70, .cache = 40, .node = 5},
                    {.id = 2, .core = 90, .cache = 80, .node = 1},
                    {.id = 8, .core = 70, .cache = 80, .node = 1},
                    {.id = 3, .core = 90, .cache = 80, .node = 1}},
                   {{.id = 11, .core = 70, .cache = 1, .node = 5}, {.id = 0, .core = 1, .cache = 40, .node = 7}}};
  const std::vector<topology::cpu> wanted{{2, 0, 0, 1}, {3, 0, 0, 1}, {8, 1, 0, 1}, {9, 1, 1, 5}};
  EXPECT_TRUE(std::equal(t.cpus().begin(), t.cpus().end(), wanted.begin(), wanted.end()));
  const std::vector<topology::cpu> others{{0, 2, 1, 7}, {11, 1, 2, 5}};
  EXPECT_TRUE(std::ranges::equal(t.all().subspan(4), others)) << "they may share what the allowed ones have";
  EXPECT_TRUE(std::ranges::equal(t.nodes(), std::array{1u, 5u}));
  EXPECT_EQ(t.cpus_of_node(1), (std::vector{2u, 3u, 8u}));
  EXPECT_EQ(t.possible(), 12u);
  std::vector<unsigned> existing;
  for (unsigned id = 0; id < 20; ++id) {
    if (t.exists(id)) existing.push_back(id);
  }
  EXPECT_EQ(existing, (std::vector{0u, 2u, 3u, 8u, 9u, 11u}));
  writer w;
  t.describe(w);
  EXPECT_EQ(w.text(), "topology: 4 CPUs allowed below 12, 2 cores, 2 last-level caches, node 1: 2-3,8, node 5: 9\n");
}

TEST(topology, of_the_machine_has_the_cpus_of_the_affinity_mask) {
  const std::vector<unsigned> mask = syscall::affinity();
  const topology t = topology::of_machine();
  EXPECT_EQ(ids_of(t), mask);
  EXPECT_GT(t.possible(), mask.back());
  std::size_t in_nodes = 0;
  for (const unsigned node : t.nodes()) in_nodes += t.cpus_of_node(node).size();
  EXPECT_EQ(in_nodes, mask.size());
  EXPECT_EQ(syscall::affinity(), mask) << "looking has moved nobody";
}

// Method: a thread with each mask of one CPU; the others still exist, and where a CPU is does not depend on the mask.
TEST(topology, of_a_confined_thread_has_its_cpus_only_and_still_knows_the_others) {
  const topology whole = topology::of_machine();
  test::run_crew<1>([&](std::size_t) {
    for (const topology::cpu& c : whole.cpus()) {
      ASSERT_EQ(syscall::set_affinity(std::array{c.id}), 0);
      const topology t = topology::of_machine();
      EXPECT_TRUE(std::ranges::equal(t.cpus(), std::array{topology::cpu{c.id, 0, 0, c.node}}));
      EXPECT_EQ(t.possible(), whole.possible());
      for (unsigned id = 0; id < whole.possible(); ++id) EXPECT_EQ(t.exists(id), whole.exists(id));
    }
  });
}

// hwloc can be told by the environment to describe a machine that is not this one.
TEST(topology, of_the_machine_does_not_believe_in_other_machines) {
  const topology honest = topology::of_machine();
  for (const char* const other : {"core:3 pu:1", "node:64 core:8 pu:2", "nonsense"}) {
    ::setenv("HWLOC_SYNTHETIC", other, 1);
    const topology t = topology::of_machine();
    ::unsetenv("HWLOC_SYNTHETIC");
    EXPECT_EQ(ids_of(t), ids_of(honest)) << other;
    EXPECT_LE(t.possible(), honest.possible()) << other;
  }
}

// CPUs may come after hwloc has looked, or hwloc may find nothing.
TEST(topology, of_a_machine_that_hwloc_does_not_know_still_has_every_allowed_cpu) {
  constexpr unsigned unheard_of = 7'777;
  const topology t = topology::of_machine({unheard_of});
  EXPECT_TRUE(std::ranges::equal(t.cpus(), std::array{topology::cpu{unheard_of, 0, 0, 0}}));
  ::setenv("HWLOC_SYNTHETIC", "core:3 pu:1", 1);
  const topology none = topology::of_machine({});
  ::unsetenv("HWLOC_SYNTHETIC");
  EXPECT_EQ(ids_of(none), std::vector{0u}) << "somewhere the caller runs";
}

}  // namespace
}  // namespace wring::base
