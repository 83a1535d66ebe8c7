// SPDX-License-Identifier: Apache-2.0
// slots: the pool_workqueues of a queue that has several, one for each CPU or one for each NUMA node, and which of them
// an item goes to (WQ-6, WQ-41..44).
//
// The queue's handle holds the first one; each knows its slots. A queue of one pool_workqueue has none.
// Threads: any; constant during the queue's life, but for the round robin.
#pragma once

#include "base/sync.h"
#include "base/topology.h"

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace wring::detail {

class pool_workqueue;
struct item;

class slots {
 public:
  enum class kind : std::uint8_t { per_cpu, per_node };

  // `queues` are in the order of machine.cpus() or machine.nodes().
  slots(kind k, const base::topology& machine, std::vector<pool_workqueue*> queues, bool round_robin);

  [[nodiscard]] std::span<pool_workqueue* const> all() const noexcept { return queues_; }
  [[nodiscard]] std::span<const base::topology::cpu> cpus() const noexcept { return machine_.cpus(); }
  [[nodiscard]] bool cpu_exists(unsigned cpu) const noexcept { return machine_.exists(cpu); }
  [[nodiscard]] kind divided() const noexcept { return kind_; }
  // How many items may be in progress in the pool_workqueue at that position of all(): on each CPU, or, on all nodes
  // together in proportion to their CPUs, but at least `min_active` on each, enough for a chain of dependent items
  // (WQ-23).
  struct limits {
    unsigned max_active;
    unsigned min_active = 8;
  };
  [[nodiscard]] unsigned share(std::size_t position, const limits& l) const noexcept;
  limits asked{};  // guarded by the registry's lock

  // Of the pool the caller is inside of, else of its CPU; if that is none of the queue's, the next in turn (WQ-41).
  [[nodiscard]] pool_workqueue& here() noexcept;
  // Of that CPU; if it is none of the queue's, the next in turn (WQ-43).
  [[nodiscard]] pool_workqueue& of_cpu(unsigned cpu) noexcept;
  // Of the caller's CPU if it is on that node, else of the node's first one, else as here() (WQ-42).
  [[nodiscard]] pool_workqueue& near(unsigned node) noexcept;

 private:
  [[nodiscard]] pool_workqueue& in_turn() noexcept;

  const kind kind_;
  const bool round_robin_;
  const base::topology& machine_;  // the runtime's
  const std::vector<pool_workqueue*> queues_;
  std::vector<pool_workqueue*> by_cpu_;  // by number; null: no CPU of the queue's
  std::vector<unsigned> node_of_cpu_;    // likewise; ~0 for none
  std::map<unsigned, unsigned> first_of_node_;
  base::atomic<std::uint32_t> turn_{0};
};

// The pool_workqueue of this queue that the caller's items go to; `q`: any of them.
pool_workqueue& home_of(pool_workqueue& q) noexcept;

// Where a pending item that its queue sends to `chosen` has to go: there, unless a worker of another pool of the same
// queue still runs it; that one then gets it (WQ-61). The caller owns `pending`, so it cannot start meanwhile.
pool_workqueue& without_overlap(pool_workqueue& chosen, item& it) noexcept;

}  // namespace wring::detail
