// SPDX-License-Identifier: Apache-2.0
// Synthetic topologies. Built for the machine, where hwloc makes them, and for the simulator, which has its own.
#include "base/topology.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wring::base {
namespace {

// Method: machines from 1 to 512 CPUs, whose CPUs are numbered so that every group is a range of them.
TEST(synthetic_topology, groups_cpus_by_core_cache_and_node) {
  const struct {
    const char* description;
    unsigned cpus, per_core, per_cache, per_node;
  } cases[] = {{"pu:1", 1, 1, 1, 1},
               {"core:1 pu:1", 1, 1, 1, 1},
               {"core:1 pu:2", 2, 2, 2, 2},
               {"node:2 core:1 pu:1", 2, 1, 1, 1},
               {"l3:2 core:2 pu:2", 8, 2, 4, 8},
               {"node:2 core:2 pu:2", 8, 2, 4, 4},
               {"node:2 l3:2 core:2 pu:1", 8, 1, 2, 4},
               {"node:2 l3:2 l2:2 core:1 pu:1", 8, 1, 2, 4},
               {"package:2 l3:4 core:4 pu:2", 64, 2, 8, 64},
               {"package:1 node:4 l3:2 core:8 pu:1", 64, 1, 8, 16},
               {"node:8 l3:4 core:8 pu:2", 512, 2, 16, 64}};
  for (const auto& c : cases) {
    const auto t = topology::synthetic(c.description);
    ASSERT_TRUE(t) << c.description;
    ASSERT_EQ(t->cpus().size(), c.cpus) << c.description;
    EXPECT_EQ(t->possible(), c.cpus);
    EXPECT_EQ(t->nodes().size(), c.cpus / c.per_node) << c.description;
    for (unsigned id = 0; id < c.cpus; ++id) {
      const topology::cpu wanted{id, id / c.per_core, id / c.per_cache, id / c.per_node};
      const topology::cpu& found = t->cpus()[id];
      EXPECT_EQ(found, wanted) << c.description << ": CPU " << id << " has id " << found.id << ", core " << found.core
                               << ", cache " << found.cache << ", node " << found.node;
      EXPECT_TRUE(t->exists(id));
    }
    EXPECT_FALSE(t->exists(c.cpus));
    for (const unsigned node : t->nodes()) {
      const std::vector<unsigned> cpus = t->cpus_of_node(node);
      ASSERT_EQ(cpus.size(), c.per_node);
      EXPECT_EQ(cpus.front(), node * c.per_node);
      EXPECT_EQ(cpus.back(), (node + 1) * c.per_node - 1);
    }
    EXPECT_TRUE(t->cpus_of_node(c.cpus).empty());
  }
}

TEST(synthetic_topology, is_refused_if_it_makes_no_sense) {
  for (const char* const text : {"", " ", "pu", "pu:", "pu:0", "pu:x", "core:2", "pu:2 core:2", "nonsense:2 pu:1",
                                 "core:-1 pu:1", "core:2 core:2 pu:2 pu:2"}) {
    EXPECT_FALSE(topology::synthetic(text)) << text;
  }
}

}  // namespace
}  // namespace wring::base
