// SPDX-License-Identifier: Apache-2.0
// core: what a runtime is made of. Higher layers hang what they keep per runtime into it as components.
//
// Threads: any, after construction. Destruction: nobody else.
#pragma once

#include "base/block_cache.h"
#include "base/cpus.h"
#include "base/mutex.h"
#include "sched/place.h"
#include "sched/pools.h"
#include "sched/reporter.h"
#include "sched/thresholds.h"
#include "sched/timekeeper.h"

#include <wring/runtime.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace wring::detail {

// What a layer above keeps per runtime; which one: T::its_kind of the type T that it is.
enum class component_kind : std::uint8_t { workqueues, io_pools };
inline constexpr std::size_t component_kinds = 2;

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

  // For a shutdown: nothing more from outside; has everything ended; what has not, a line each.
  virtual void refuse() noexcept = 0;
  virtual bool at_rest() noexcept = 0;
  // In a callback of this runtime, on whatever thread.
  [[nodiscard]] virtual bool caller_is_inside() const noexcept = 0;
  virtual void unfinished(shutdown_report& report) = 0;
  // The threads that its queues should have, those in pools and their own. 0 or -errno: one could not be made, and the
  // others may be missing too.
  [[nodiscard]] virtual int start_threads() = 0;
  // Nothing is queued any more, and nobody is called: waits for the threads that queues have of their own.
  virtual void end_threads() noexcept = 0;

  // The CPUs, or what is known of them, have changed: all that is kept here follows, or it throws and nothing does.
  virtual void follow_cpus() = 0;

  // core::frozen() has changed; and does anything run that it concerns?
  virtual void follow_freeze() noexcept {}
  [[nodiscard]] virtual bool freeze_busy() noexcept { return false; }

  // Around a fork; in the child, after unlocking, everything is as if nothing had been queued yet.
  virtual void lock_for_fork() noexcept = 0;
  virtual void unlock_after_fork() noexcept = 0;
  virtual void renew_in_child() noexcept = 0;
};

class core {
 public:
  explicit core(const runtime_options& options);
  ~core();
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  core* next = nullptr;  // in the list of fork.cc
  core* prev = nullptr;

  // Makes the threads that are missing (start.cc): 0 or -errno.
  int start();
  // The first ones, before anybody knows of this, unless runtime_options::start_later says otherwise: 0 or -errno.
  int start_unless_later() { return options_.start_later ? 0 : start_first(); }
  // Before that nothing runs, and waiting has no end (WQ-145).
  [[nodiscard]] bool is_early() const noexcept { return options_.start_later && time_.is_held(); }
  // True, and `call`, which will not wait for what cannot run, is warned about.
  bool is_too_early_for(const char* call);
  // For a call that cannot return before everything has run; warned about, unless the threads are there.
  void start_for(const char* call) noexcept;

  // The public object in front of this; it changes when a runtime is moved.
  [[nodiscard]] runtime& owner() const noexcept { return *owner_; }
  void set_owner(runtime& r) noexcept { owner_ = &r; }
  // What has ended by itself is joined: tools that look for leaked threads at the end of a process would find it.
  void before_exit() noexcept { detect_.join(); }

  // Around a call of a thread that no user can wait for; the destructor does. leave() is the last touch.
  void enter() noexcept { guests_.fetch_add(1, base::order::relaxed); }
  void leave() noexcept { guests_.fetch_sub(1, base::order::release); }  // pairs with ~core()

  [[nodiscard]] const runtime_options& options() const noexcept { return options_; }
  [[nodiscard]] sched::thresholds& thresholds() noexcept { return thresholds_; }
  [[nodiscard]] sched::reporter& report() noexcept { return report_; }
  [[nodiscard]] sched::timekeeper& time() noexcept { return time_; }
  [[nodiscard]] sched::pools& pools() noexcept { return pools_; }
  [[nodiscard]] sched::detector& detect() noexcept { return detect_; }

  [[nodiscard]] void* allocate_block(std::size_t bytes);
  void free_block(void* block) noexcept;

  // The component of type T, made at first use.
  template <class T>
  T& part() {
    const base::lock_guard lock{components_mu_};
    auto& its_place = components_[static_cast<std::size_t>(T::its_kind)];
    if (!its_place) its_place = std::make_unique<T>(*this);
    return static_cast<T&>(*its_place);
  }

  // Queues that may be unbound to save power are (WQ-29).
  [[nodiscard]] bool power_efficient() const noexcept { return power_efficient_; }
  // Plans for the CPUs that there are now, or for these; how many.
  unsigned replan();
  unsigned replan(sched::cpu_list cpus);
  // As the functions of runtime; lists are ascending.
  void set_unbound_cpus(sched::cpu_list cpus);
  void set_isolated_cpus(sched::cpu_list cpus);
  void set_default_scope(affinity_scope scope);
  [[nodiscard]] affinity_scope default_scope() const noexcept { return default_scope_.load(base::order::relaxed); }
  // Read at the first call, after which queues are mapped as their scopes say. Throws as pools::topology(). The caller
  // holds no lock.
  const base::topology& topology();

  // As runtime::shutdown (shutdown.cc).
  shutdown_report shutdown(std::chrono::nanoseconds limit);
  // Whether a callback of this runtime destroys it, which is reported: it would wait for itself.
  [[nodiscard]] bool ends_from_inside();
  // From its first call on. Who has seen a queue refuse, or comes to the registry's lock after that, sees it.
  [[nodiscard]] bool shutting_down() const noexcept { return shutting_down_.load(base::order::relaxed); }

  // As the functions of runtime.
  bool freeze_begin();
  [[nodiscard]] bool freeze_busy();
  void thaw() noexcept;
  [[nodiscard]] bool frozen() const noexcept { return frozen_.load(base::order::relaxed); }

  // Around a fork (fork.cc).
  void lock_for_fork() noexcept;
  void unlock_after_fork() noexcept;
  void renew_in_child() noexcept;

  [[nodiscard]] runtime_stats stats() const;
  [[nodiscard]] std::string describe() const;
  void audit() const;

 private:
  core(base::cpu_plan plan, const runtime_options& options);
  [[nodiscard]] std::string plan() const;
  void end_threads();
  // Those that there are by now, in order; the lock is not held.
  template <class F>
  void for_each_component(const F& f) {
    for (std::size_t i = 0; i < component_kinds; ++i) {
      component* c = nullptr;
      {
        const base::lock_guard lock{components_mu_};
        c = components_[i].get();
      }
      if (c != nullptr) f(*c);
    }
  }
  template <class F>
  [[nodiscard]] bool any_component(const F& f) {
    bool any = false;
    for_each_component([&](component& c) { any = any || f(c); });
    return any;
  }
  [[nodiscard]] bool at_rest() noexcept {
    bool all = true;
    for_each_component([&](component& c) { all = c.at_rest() && all; });  // each: what waits may need to be told
    return all;
  }
  void use(const sched::cpu_masks& masks) WRING_REQUIRES(replan_mu_);
  unsigned replan_for(sched::cpu_list usable, bool as_the_system_says) WRING_REQUIRES(replan_mu_);
  // How many are planned for where the system allows these.
  [[nodiscard]] unsigned count_for(const sched::cpu_list& usable) const;
  void require_existing(const sched::cpu_list& cpus, const char* call);
  void follow_system() noexcept;
  int start_first();
  void take_place();

  runtime* owner_ = nullptr;
  sched::place home_;  // of the thread that made the runtime, or has called start(); constant once there are threads
  const std::string topology_;
  const bool cpus_are_given_;
  const bool power_efficient_;
  runtime_options options_;
  sched::thresholds thresholds_;
  sched::reporter report_;
  base::block_cache blocks_;
  base::shared_front outside_blocks_{blocks_};
  sched::timekeeper time_;
  mutable sched::detector detect_;
  sched::cpu_hogs hogs_;
  base::atomic<std::uint64_t> stall_reports_{0};
  sched::pools pools_;
  base::atomic<affinity_scope> default_scope_;
  base::atomic<bool> queues_are_divided_{false};            // those that were there before the topology was known
  base::mutex replan_mu_{base::rank::replan};               // one call that changes which CPUs are used at a time
  sched::cpu_list seen_mask_ WRING_GUARDED_BY(replan_mu_);  // what the system said last, and how many it is worth
  unsigned seen_count_ WRING_GUARDED_BY(replan_mu_);
  mutable base::mutex plan_mu_{base::rank::leaf};
  std::string plan_ WRING_GUARDED_BY(plan_mu_);  // why so many
  base::atomic<bool> shutting_down_{false};
  base::atomic<bool> frozen_{false};  // handed on by the lock of the list of queues
  base::atomic<std::uint32_t> guests_{0};
  base::mutex starting_mu_{base::rank::start};
  base::mutex ending_mu_{base::rank::start};  // for callers of shutdown() that end the threads at the same time
  mutable base::mutex components_mu_{base::rank::runtime};
  std::array<std::unique_ptr<component>, component_kinds> components_ WRING_GUARDED_BY(components_mu_);
};

}  // namespace wring::detail
