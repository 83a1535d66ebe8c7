// SPDX-License-Identifier: Apache-2.0
// core: what a runtime is made of. Higher layers hang what they keep per runtime into it as components.
//
// Threads: any, after construction. Destruction: nobody else.
#pragma once

#include "base/block_cache.h"
#include "base/mutex.h"
#include "sched/reporter.h"
#include "sched/timekeeper.h"
#include "sched/worker_pool.h"

#include <wring/runtime.h>

#include <array>
#include <memory>

namespace wring::detail {

// What a layer above keeps per runtime.
class component {
 public:
  component() = default;
  component(const component&) = delete;
  component& operator=(const component&) = delete;
  virtual ~component() = default;

  virtual void audit() const = 0;
  virtual void describe(base::writer& w) const = 0;
  // Before the workers end: complain about users' objects that are still there. False: there are some.
  virtual bool ready_to_end(sched::reporter& report) = 0;
};

class core {
 public:
  explicit core(const runtime_options& options);
  ~core();
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  // Starts the threads: 0 or -errno.
  int start();

  // The public object in front of this; it changes when a runtime is moved.
  [[nodiscard]] runtime& owner() const noexcept { return *owner_; }
  void set_owner(runtime& r) noexcept { owner_ = &r; }

  [[nodiscard]] const runtime_options& options() const noexcept { return options_; }
  [[nodiscard]] sched::reporter& report() noexcept { return report_; }
  [[nodiscard]] sched::timekeeper& time() noexcept { return time_; }
  [[nodiscard]] sched::worker_pool& managed_pool() noexcept { return managed_; }
  // Without workers until its first queue is made (worker_pool::start).
  [[nodiscard]] sched::worker_pool& unmanaged_pool() noexcept { return unmanaged_; }

  [[nodiscard]] sched::worker_pool& pool(unsigned index) noexcept { return index == 0 ? managed_ : unmanaged_; }

  [[nodiscard]] void* allocate_block(std::size_t bytes);
  void free_block(void* block) noexcept;

  // The component of type T, made at first use. One layer, one type: this runtime has room for one.
  template <class T>
  T& workqueues() {
    const base::lock_guard lock{components_mu_};
    if (!workqueues_) workqueues_ = std::make_unique<T>(*this);
    return static_cast<T&>(*workqueues_);
  }

  [[nodiscard]] runtime_stats stats() const;
  [[nodiscard]] std::string describe() const;
  void audit() const;

 private:
  core(std::string complaint, const runtime_options& options);

  runtime* owner_ = nullptr;
  runtime_options options_;
  sched::reporter report_;
  base::block_cache blocks_;
  base::shared_front outside_blocks_{blocks_};
  sched::timekeeper time_;
  sched::worker_pool managed_;
  sched::worker_pool unmanaged_;
  mutable base::mutex components_mu_{base::rank::runtime};
  std::unique_ptr<component> workqueues_;
};

}  // namespace wring::detail
