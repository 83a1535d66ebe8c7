// SPDX-License-Identifier: Apache-2.0
// registry: the queues of a runtime. Their memory is type-stable: it is recycled, never freed before the
// runtime, so an outdated pointer in an item's place word can always be visited.
//
// Threads: any. Locks: mu_ (rank registry) for the list of open queues.
#pragma once

#include "base/stable_pool.h"
#include "sched/core.h"
#include "workqueue/group_helper.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/system.h"

#include <wring/workqueue.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace wring::detail {

class registry final : public component {
 public:
  explicit registry(core& where) noexcept : core_{where} {}

  // The first pool_workqueue of a new queue. Throws std::system_error: options not valid, no first worker, or the
  // runtime was shut down (ECANCELED).
  pool_workqueue& open(const workqueue_options& options);
  // Waits until all is done. `q`: the first pool_workqueue of the queue.
  void close(pool_workqueue& q) noexcept;
  // Live limits (WQ-127, WQ-24); false: this queue has no such limit, which was warned about.
  bool set_max_active(pool_workqueue& q, unsigned max_active);
  bool set_min_active(pool_workqueue& q, unsigned min_active);
  // Made at the first call.
  workqueue& system_queue(system_kind which);

  [[nodiscard]] base::stable_pool<group_helper>& helpers() noexcept { return helpers_; }

  void audit() const override;
  void describe(base::writer& w) const override;
  bool ready_to_end(sched::reporter& report) override;
  void refuse() noexcept override;
  bool at_rest() noexcept override;
  [[nodiscard]] bool caller_is_inside() const noexcept override;
  void follow_freeze() noexcept override;
  [[nodiscard]] bool freeze_busy() noexcept override;
  void unfinished(std::vector<std::string>& out) override;
  void lock_for_fork() noexcept override;
  void unlock_after_fork() noexcept override;
  void renew_in_child() noexcept override;
  void end_threads() noexcept override;

 private:
  struct links {
    static pool_workqueue*& next(pool_workqueue& q) noexcept { return q.next_open; }
    static pool_workqueue*& prev(pool_workqueue& q) noexcept { return q.prev_open; }
  };

  pool_workqueue& open_divided(const workqueue_options& options, unsigned max_active, sched::urgency u);
  pool_workqueue& add(pool_workqueue& q, std::shared_ptr<sched::rescuer> its_rescuer);
  unsigned clamped(unsigned max_active, const std::string& name);
  void apply(slots& s) noexcept WRING_REQUIRES(mu_);
  void release(pool_workqueue& q) noexcept;
  template <class F>
  void for_each_open(const F& call) const;

  core& core_;
  base::stable_pool<pool_workqueue> memory_;
  base::stable_pool<group_helper> helpers_;
  mutable base::mutex mu_{base::rank::registry};
  base::list<pool_workqueue, links> open_ WRING_GUARDED_BY(mu_);
  base::mutex system_mu_{base::rank::runtime};
  std::array<std::unique_ptr<workqueue>, system_kinds> system_;  // guarded by system_mu_
};

}  // namespace wring::detail
