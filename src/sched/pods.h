// SPDX-License-Identifier: Apache-2.0
// pods: how a scope divides the CPUs (WQ-116).
#pragma once

#include "base/topology.h"

#include <wring/attributes.h>

#include <vector>

namespace wring::sched {

// The CPUs of each pod, ascending; pods in the order of their first CPU. Each CPU that exists is in one of them.
// `scope` is not by_default. Shards of a cache have about `shard_cores` cores, differ by one at most, and split none.
std::vector<std::vector<unsigned>> pods(const base::topology& machine, affinity_scope scope, unsigned shard_cores);

}  // namespace wring::sched
