// SPDX-License-Identifier: Apache-2.0
// pools: the worker pools of a runtime, and which CPUs they use. Four for unbound queues that are not divided, whose
// workers run anywhere: managed or not, of normal or high priority. The others are made when a queue asks for them:
// four for a CPU (WQ-11), two of which run to completion (WQ-31); and one for each key of attributes (WQ-10).
//
// Pools are never removed. A pool has an index for life, by which items name who ran them last.
// Threads: any. Locks: mu_ (rank pools), also while the topology is read.
#pragma once

#include "base/mutex.h"
#include "base/topology.h"
#include "sched/cpu_masks.h"
#include "sched/worker_pool.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace wring::sched {

enum class urgency : std::uint8_t { normal, high };

// Queues with the same key share a pool (WQ-10). Lists of CPUs are ascending.
struct pool_key {
  bool managed = true;
  int nice = 0;
  cpu_list pod{};   // where its workers begin, or stay
  cpu_list cpus{};  // where they may be moved to; empty: they are bound to the pod (strict)

  friend auto operator<=>(const pool_key&, const pool_key&) = default;
};

class pools {
 public:
  static constexpr unsigned unbound_count = 4;           // pools that always exist; their indices come first
  static constexpr unsigned index_max = (1U << 14) - 2;  // of a pool

  pools(const pool_services& services, cpu_masks masks);
  ~pools();
  pools(const pools&) = delete;
  pools& operator=(const pools&) = delete;

  [[nodiscard]] worker_pool& managed(urgency u) noexcept { return unbound_[u == urgency::high ? 2 : 0]; }
  // Without workers until the first queue is mapped to it (worker_pool::start).
  [[nodiscard]] worker_pool& unmanaged(urgency u) noexcept { return unbound_[u == urgency::high ? 3 : 1]; }

  // Of the machine, or what the options say; read at the first call. Throws std::system_error (EINVAL): the
  // description is not valid.
  const base::topology& topology();
  [[nodiscard]] bool topology_is_known() const noexcept {
    return topology_is_known_.load(base::order::acquire);  // pairs with topology()
  }

  // These are made at the first call. Throws std::system_error (EINVAL): so many pools there cannot be.
  // Of that CPU, which exists; and the one that runs to completion.
  worker_pool& of_cpu(unsigned cpu, urgency u) { return of_cpu(cpu, u, false); }
  worker_pool& bh_of_cpu(unsigned cpu, urgency u) { return of_cpu(cpu, u, true); }
  // Of that key; it has one user more, until leave().
  worker_pool& join(const pool_key& key);
  void leave(worker_pool& pool) noexcept;

  // So many CPUs are planned for, out of those, or, if none is named, out of the same as before; targets and placements
  // of all pools follow.
  void plan(unsigned cpus, cpu_list usable);
  // The caller has seen to it that masks() are not changed meanwhile, but by topology().
  void restrict(const cpu_masks& masks);
  [[nodiscard]] cpu_masks masks() const;
  [[nodiscard]] unsigned planned() const noexcept { return planned_.load(base::order::relaxed); }

  // Null: there is no such pool (yet).
  [[nodiscard]] worker_pool* at(std::size_t index) noexcept;
  // Calls it for each pool that exists.
  template <class F>
  void for_each(const F& call) const {
    for (const worker_pool& p : unbound_) call(p);
    const std::size_t made = made_.load(base::order::acquire);  // pairs with add()
    for (std::size_t i = 0; i < made; ++i) call(std::as_const(*(*chunks_[i / chunk_pools])[i % chunk_pools]));
  }
  template <class F>
  void for_each(const F& call) {
    std::as_const(*this).for_each([&](const worker_pool& p) { call(const_cast<worker_pool&>(p)); });
  }

  // Nobody reads the topology meanwhile.
  template <class F>
  void between_topologies(const F& call) {
    const base::lock_guard lock{mu_};
    call();
  }

  // Around a fork; in the child all pools are without threads.
  void lock_for_fork() noexcept { mu_.lock_for_fork(); }
  void unlock_after_fork() noexcept { mu_.unlock_after_fork(); }

 private:
  static constexpr std::size_t chunk_pools = 64;
  using chunk = std::array<std::unique_ptr<worker_pool>, chunk_pools>;
  struct keyed {
    worker_pool* pool;
    unsigned users;
  };
  struct aim {
    placement where;
    unsigned target;
  };

  worker_pool& of_cpu(unsigned cpu, urgency u, bool run_to_completion);
  worker_pool& add(worker_pool::config c, const aim& a) WRING_REQUIRES(mu_);
  [[nodiscard]] aim aim_of_cpu(unsigned cpu) const WRING_REQUIRES(mu_);
  [[nodiscard]] aim aim_of(const pool_key& key) const WRING_REQUIRES(mu_);
  void follow_masks() WRING_REQUIRES(mu_);
  [[nodiscard]] cpu_list known(const cpu_list& cpus) const WRING_REQUIRES(mu_);

  const pool_services services_;
  std::array<worker_pool, unbound_count> unbound_;
  // Those made later: written under mu_, and read by who finds them counted in made_.
  std::array<std::unique_ptr<chunk>, index_max / chunk_pools + 1> chunks_;
  base::atomic<std::size_t> made_{0};
  base::atomic<bool> topology_is_known_{false};
  base::atomic<unsigned> planned_;
  std::optional<base::topology> topology_;  // written once, before topology_is_known_
  mutable base::mutex mu_{base::rank::pools};
  cpu_masks masks_ WRING_GUARDED_BY(mu_);
  std::map<std::array<unsigned, 3>, worker_pool*> of_cpus_ WRING_GUARDED_BY(mu_);  // CPU, urgency, run to completion
  std::map<pool_key, keyed> of_keys_ WRING_GUARDED_BY(mu_);
};

}  // namespace wring::sched
