// SPDX-License-Identifier: Apache-2.0
// registry: the I/O worker pools of a runtime, and the domains they hash in: what ends with it, follows its CPUs, and
// begins anew in a forked child.
//
// Threads: any. Locks: mu_ (rank io_registry), which is not held while a pool is visited.
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "sched/core.h"

#include <wring/io_pool.h>

#include <cstdint>
#include <string>
#include <vector>

namespace wring::iowq {

class domain;
class pool;

class registry final : public detail::component {
 public:
  static constexpr detail::component_kind its_kind = detail::component_kind::io_pools;

  explicit registry(detail::core& where) noexcept : core_{where} {}
  ~registry() override;

  // Throws std::system_error (ECANCELED): the runtime was shut down.
  void add(pool& p);
  // Nobody enters it any more.
  void remove(pool& p) noexcept;
  void add(domain& d) noexcept;
  void remove(domain& d) noexcept;

  void audit() const override;
  void describe(base::writer& w) const override;
  bool ready_to_end(sched::reporter& report) override;
  void refuse() noexcept override;
  bool at_rest() noexcept override;
  [[nodiscard]] bool caller_is_inside() const noexcept override;
  void unfinished(shutdown_report& report) override;
  [[nodiscard]] int start_threads() override;
  void end_threads() noexcept override;
  void follow_cpus() override;
  void lock_for_fork() noexcept override;
  void unlock_after_fork() noexcept override;
  void renew_in_child() noexcept override;

 private:
  // In the order of their making; what comes or goes meanwhile is met, or not.
  template <class F>
  void for_each(const F& f) const;
  [[nodiscard]] pool* visited_after(std::uint64_t number) const noexcept;  // entered

  detail::core& core_;
  mutable base::mutex mu_{base::rank::io_registry};
  base::list<pool> pools_ WRING_GUARDED_BY(mu_);
  base::list<domain> domains_ WRING_GUARDED_BY(mu_);
  std::uint64_t made_ WRING_GUARDED_BY(mu_) = 0;
};

}  // namespace wring::iowq
