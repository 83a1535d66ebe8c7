// SPDX-License-Identifier: Apache-2.0
// attributes: on which CPUs, and with which priority, the items of an unbound queue run (WQ-10).
#pragma once

#include <wring/version.h>

#include <cstdint>
#include <vector>

namespace wring {

// How the CPUs are divided into pods; each pod has a worker pool of its own, and an item goes to that of the CPU it is
// queued on. From small to large (WQ-116).
enum class affinity_scope : std::uint8_t {
  // What runtime::default_scope() says if nothing bounds the queue but the default of max_active and all CPUs of the
  // process are planned for; else `system`, so that max_active and the order of starting are of the queue as a whole.
  by_default,
  cpu,          // each CPU
  smt,          // each core
  cache,        // the CPUs below one last-level cache
  cache_shard,  // these, where they are many in shards of about runtime_options::cache_shard_size cores
  numa,         // each NUMA node
  system,       // all in one
};

struct workqueue_attributes {
  affinity_scope scope = affinity_scope::by_default;
  // False: a worker begins in its pod, and the system may move it to any CPU of the queue when the pod is busy. True:
  // it stays in its pod (WQ-117).
  bool strict = false;
  // Of the workers, -20 (first) to 19 (last); 0 is that of the program. What the system refuses is said once, and the
  // workers run like the others (WQ-U6).
  int nice = 0;
  // The CPUs the queue may use, by number; none: all. Those outside of runtime::unbound_cpus() are left out, and if
  // that leaves none, the queue uses all of these (WQ-114).
  std::vector<unsigned> cpus = {};

  friend bool operator==(const workqueue_attributes&, const workqueue_attributes&) = default;
};

// The CPUs of unbound queues (WQ-119), ascending.
struct unbound_cpus {
  std::vector<unsigned> requested;  // by runtime::set_unbound_cpus(), at first all but the isolated ones
  std::vector<unsigned> isolated;   // that the system, or runtime::set_isolated_cpus(), keeps for others
  std::vector<unsigned> used;       // the requested ones that the process may use now; if none, all it may use
};

}  // namespace wring
