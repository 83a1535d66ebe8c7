// SPDX-License-Identifier: Apache-2.0
// pools: the worker pools of a runtime. Four for unbound queues, whose workers run anywhere: managed or not, of normal
// or high priority. And once somebody asks for the topology: four for each CPU (WQ-11), two of which run to completion
// (WQ-31), and two for each NUMA node.
//
// Pools are never removed. A pool has an index for life, by which items name who ran them last.
// Threads: any. Locks: mu_ (rank runtime) while the topology is read.
#pragma once

#include "base/mutex.h"
#include "base/topology.h"
#include "sched/worker_pool.h"

#include <array>
#include <memory>
#include <vector>

namespace wring::sched {

enum class urgency : std::uint8_t { normal, high };

class pools {
 public:
  static constexpr unsigned unbound_count = 4;           // pools that always exist; their indices come first
  static constexpr unsigned index_max = (1U << 14) - 2;  // of a pool

  explicit pools(const pool_services& services);
  ~pools();
  pools(const pools&) = delete;
  pools& operator=(const pools&) = delete;

  [[nodiscard]] worker_pool& managed(urgency u) noexcept { return unbound_[u == urgency::high ? 2 : 0]; }
  // Without workers until the first queue is mapped to it (worker_pool::start).
  [[nodiscard]] worker_pool& unmanaged(urgency u) noexcept { return unbound_[u == urgency::high ? 3 : 1]; }

  // Of the machine, or what the options say; read at the first call. Throws std::system_error (EINVAL): the
  // description is not valid.
  const base::topology& topology() { return asked_machine().topology; }
  // Of the CPU at that position of topology().cpus(), of the node at that position of topology().nodes().
  worker_pool& of_cpu(std::size_t position, urgency u) { return *asked_machine().pools[2 * position + rank_of(u)]; }
  worker_pool& of_node(std::size_t position, urgency u) {
    machine& m = asked_machine();
    return *m.pools[2 * (m.topology.cpus().size() + position) + rank_of(u)];
  }
  // The one of that CPU that runs to completion.
  worker_pool& bh_of_cpu(std::size_t position, urgency u) {
    machine& m = asked_machine();
    return *m.pools[2 * (m.topology.cpus().size() + m.topology.nodes().size() + position) + rank_of(u)];
  }

  // Null: there is no such pool (yet).
  [[nodiscard]] worker_pool* at(std::size_t index) noexcept;
  // Calls it for each pool that exists.
  template <class F>
  void for_each(const F& call) const {
    for (const worker_pool& p : unbound_) call(p);
    if (const machine* const m = machine_.load(base::order::acquire)) {  // pairs with asked_machine()
      for (const auto& p : m->pools) call(*p);
    }
  }
  template <class F>
  void for_each(const F& call) {
    std::as_const(*this).for_each([&](const worker_pool& p) { call(const_cast<worker_pool&>(p)); });
  }

  // Around a fork; in the child all pools are without threads.
  void lock_for_fork() noexcept { mu_.lock_for_fork(); }
  void unlock_after_fork() noexcept { mu_.unlock_after_fork(); }

 private:
  struct machine {
    base::topology topology;
    std::vector<std::unique_ptr<worker_pool>> pools;  // normal and high, of each CPU, of each node, BH of each CPU
  };
  static std::size_t rank_of(urgency u) noexcept { return u == urgency::high ? 1 : 0; }
  machine& asked_machine();
  [[nodiscard]] std::unique_ptr<machine> read_machine() const;

  const pool_services services_;
  std::array<worker_pool, unbound_count> unbound_;
  base::atomic<machine*> machine_{nullptr};
  base::mutex mu_{base::rank::runtime};
};

}  // namespace wring::sched
