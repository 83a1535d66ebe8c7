// SPDX-License-Identifier: Apache-2.0
// registry: the queues of a runtime. Their memory is type-stable: it is recycled, never freed before the
// runtime, so an outdated pointer in an item's place word can always be visited.
//
// Threads: any. Locks: mu_ (rank registry) for the list of open queues.
#pragma once

#include "base/stable_pool.h"
#include "sched/core.h"
#include "workqueue/group_helper.h"
#include "workqueue/mapping.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/system.h"
#include "workqueue/wait_graph.h"

#include <wring/workqueue.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace wring::detail {

class registry final : public component {
 public:
  static constexpr component_kind its_kind = component_kind::workqueues;

  explicit registry(core& where)
      : core_{where}, graph_{where.options().deadlock_graph ? std::make_unique<wait_graph>(where.report()) : nullptr} {}

  // The first pool_workqueue of a new queue. Throws std::system_error: options not valid, no first worker, or the
  // runtime was shut down (ECANCELED).
  pool_workqueue& open(const workqueue_options& options, bool is_system = false);
  // Waits until all is done. `q`: the first pool_workqueue of the queue.
  void close(pool_workqueue& q) noexcept;
  // Live limits (WQ-127, WQ-24); false: this queue has no such limit, which was warned about.
  bool set_max_active(pool_workqueue& q, unsigned max_active);
  bool set_min_active(pool_workqueue& q, unsigned min_active);
  // Throws std::system_error or std::bad_alloc, and nothing has changed (WQ-114).
  void set_attributes(pool_workqueue& q, const workqueue_attributes& attributes);
  [[nodiscard]] workqueue_attributes attributes(pool_workqueue& q);
  // For all of the queue, those that come meanwhile included.
  void begin_drain(pool_workqueue& q) noexcept;
  void end_drain(pool_workqueue& q) noexcept;
  // Made at the first call.
  workqueue& system_queue(system_kind which);

  [[nodiscard]] base::stable_pool<group_helper>& helpers() noexcept { return helpers_; }

  void audit() const override;
  void describe(base::writer& w) const override;
  bool ready_to_end(sched::reporter& report) override;
  void refuse() noexcept override;
  void follow_cpus() override;
  bool at_rest() noexcept override;
  [[nodiscard]] bool caller_is_inside() const noexcept override;
  void follow_freeze() noexcept override;
  [[nodiscard]] bool freeze_busy() noexcept override;
  void unfinished(shutdown_report& report) override;
  void lock_for_fork() noexcept override;
  void unlock_after_fork() noexcept override;
  void renew_in_child() noexcept override;
  [[nodiscard]] int start_threads() override;
  void end_threads() noexcept override;

 private:
  struct links {
    static pool_workqueue*& next(pool_workqueue& q) noexcept { return q.next_open; }
    static pool_workqueue*& prev(pool_workqueue& q) noexcept { return q.prev_open; }
  };

  // A queue that is about to use other pools: for each part its pool_workqueue. What is made for it is the queue's, and
  // retired, whatever comes of it.
  struct change {
    pool_workqueue& first;
    mapping to;
    std::vector<pool_workqueue*> members;
    std::unique_ptr<slots> division;  // if it is the first
    unsigned max_active;              // of those that are left
  };
  change prepare(pool_workqueue& first, const queue_settings& s) WRING_REQUIRES(mapping_mu_);
  pool_workqueue& member_for(pool_workqueue& first, const part& p) WRING_REQUIRES(mapping_mu_);
  void commit(change& c) noexcept WRING_REQUIRES(mapping_mu_);
  std::unique_ptr<slots> divided(pool_workqueue& first, const mapping& m, const std::vector<pool_workqueue*>& members,
                                 bool per_cpu);
  [[nodiscard]] queue_settings settings_of(pool_workqueue& first) WRING_REQUIRES(mapping_mu_);
  void change_settings(pool_workqueue& q, const queue_settings& s) WRING_REQUIRES(mapping_mu_);
  void change_limits(pool_workqueue& q, const queue_settings& s) WRING_REQUIRES(mapping_mu_);
  static void start(sched::worker_pool& pool);
  pool_workqueue& add(pool_workqueue& q, std::shared_ptr<sched::rescuer> its_rescuer);
  unsigned clamped(unsigned max_active, const std::string& name);
  void release(pool_workqueue& q) noexcept;
  template <class F>
  void for_each_open(const F& call) const {
    const base::lock_guard lock{mu_};
    for (pool_workqueue* q = open_.front(); q != nullptr; q = base::list<pool_workqueue, links>::next(*q)) call(*q);
  }

  core& core_;
  const std::unique_ptr<wait_graph> graph_;  // null: it is not asked for
  base::stable_pool<pool_workqueue> memory_;
  base::stable_pool<group_helper> helpers_;
  base::mutex mapping_mu_{base::rank::mapping};  // which pools queues use; and whether they drain
  mutable base::mutex mu_{base::rank::registry};
  base::list<pool_workqueue, links> open_ WRING_GUARDED_BY(mu_);
  base::mutex system_mu_{base::rank::runtime};
  std::array<std::unique_ptr<workqueue>, system_kinds> system_;  // guarded by system_mu_
};

}  // namespace wring::detail
