// SPDX-License-Identifier: Apache-2.0
// mapping: which pools the items of a queue go to, by the CPU they are queued on (WQ-114..119).
#pragma once

#include "sched/core.h"
#include "sched/cpu_masks.h"

#include <wring/attributes.h>

#include <vector>

namespace wring::detail {

// What a queue was asked to be like.
struct queue_settings {
  workqueue_attributes attributes{};
  bool limited = false;     // its max_active was given, and bounds the queue as a whole
  unsigned max_active = 1;  // in progress at once
  unsigned min_active = 8;  // of these, so many in each pool at least (WQ-23)
  bool ordered = false;
  bool unmanaged = false;
  bool per_cpu = false;
  bool bh = false;
  bool high_priority = false;
};

// A pool that a queue uses, for the items of some CPUs.
struct part {
  sched::worker_pool* pool;
  unsigned max_active;  // in progress there at once
  sched::cpu_list cpus{};
};

// Pools that were joined are left with it, but those that were kept.
class mapping {
 public:
  // Throws std::system_error (EINVAL) or std::bad_alloc. The topology is known, if the queue is to be divided.
  static mapping of(core& where, const queue_settings& s);

  mapping(mapping&& other) noexcept = default;
  mapping& operator=(mapping&&) = delete;
  ~mapping();

  // One whose `cpus` are empty is the only one, for all CPUs.
  [[nodiscard]] const std::vector<part>& parts() const noexcept { return parts_; }
  [[nodiscard]] bool divided() const noexcept { return !parts_.front().cpus.empty(); }
  // They are the queue's from now on, which leaves each at the end.
  void keep() noexcept { parts_.clear(); }

 private:
  explicit mapping(sched::pools& where) : where_{&where}, masks_{where.masks()} {}
  void map_per_cpu(const queue_settings& s);
  void map_unbound(const queue_settings& s, affinity_scope scope, unsigned shard_cores);
  void join(const queue_settings& s, const sched::cpu_list& pod, const sched::cpu_list& all, sched::cpu_list cpus);

  sched::pools* where_;
  sched::cpu_masks masks_;  // as they are now
  std::vector<part> parts_;
};

// Throws std::system_error (EINVAL), naming the value.
void check(core& where, const workqueue_attributes& a);

}  // namespace wring::detail
