// SPDX-License-Identifier: Apache-2.0
// registry: the queues of a runtime. Their memory is type-stable: it is recycled, never freed before the
// runtime, so an outdated pointer in an item's place word can always be visited.
//
// Threads: any. Locks: mu_ (rank runtime) for the list of open queues.
#pragma once

#include "base/stable_pool.h"
#include "sched/core.h"
#include "workqueue/group_helper.h"
#include "workqueue/pool_workqueue.h"

namespace wring::detail {

class registry final : public component {
 public:
  explicit registry(core& where) noexcept : core_{where} {}

  // Throws std::system_error: options not valid, or no first worker.
  pool_workqueue& open(const workqueue_options& options);
  void close(pool_workqueue& q) noexcept;

  [[nodiscard]] base::stable_pool<group_helper>& helpers() noexcept { return helpers_; }

  void audit() const override;
  void describe(base::writer& w) const override;
  bool ready_to_end(sched::reporter& report) override;

 private:
  struct links {
    static pool_workqueue*& next(pool_workqueue& q) noexcept { return q.next_open; }
    static pool_workqueue*& prev(pool_workqueue& q) noexcept { return q.prev_open; }
  };

  core& core_;
  base::stable_pool<pool_workqueue> memory_;
  base::stable_pool<group_helper> helpers_;
  mutable base::mutex mu_{base::rank::registry};
  base::list<pool_workqueue, links> open_ WRING_GUARDED_BY(mu_);
};

}  // namespace wring::detail
