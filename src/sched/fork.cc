// SPDX-License-Identifier: Apache-2.0

#include "sched/fork.h"

#include "base/fork.h"
#include "base/list.h"
#include "sched/core.h"

namespace wring::detail {

namespace {

// Beside the default runtime the one thing that is no part of a runtime: the kernel knows one process, not them.
struct followed {
  base::mutex mu{base::rank::fork_list};
  base::list<core> cores WRING_GUARDED_BY(mu);
  bool registered WRING_GUARDED_BY(mu) = false;
};
constinit followed all;

template <class F>
void for_each_core(const F& call) noexcept WRING_NO_ANALYSIS {  // before_fork() took the lock
  for (core* c = all.cores.front(); c != nullptr; c = base::list<core>::next(*c)) call(*c);
}

void before_fork() {
  lock_default_for_fork();
  all.mu.lock_for_fork();
  for_each_core([](core& c) { c.lock_for_fork(); });
}

void unlock_all() {
  for_each_core([](core& c) { c.unlock_after_fork(); });
  all.mu.unlock_after_fork();
  unlock_default_after_fork();
}

// The thread is none of a pool any more, and inside of nothing; a callback that forked finds itself outside.
void leave_worker() {
  sched::worker* const w = sched::worker::current();
  if (w == nullptr) return;
  static_cast<void>(w->pool.home_place().take_cpus());  // what is refused stays as it is
  static_cast<void>(w->pool.home_place().take_nice());
  sched::worker::set_current(nullptr);
}

void in_child() {
  for_each_core([](core& c) { c.renew_in_child(); });
  unlock_all();
  leave_worker();
}

constexpr base::fork_handlers handlers{.before = before_fork, .in_parent = unlock_all, .in_child = in_child};

}  // namespace

void follow_forks(core& c) {
  const base::lock_guard lock{all.mu};
  if (!all.registered) {
    base::on_fork(handlers);
    all.registered = true;
  }
  all.cores.push_back(c);
}

void ignore_forks(core& c) noexcept {
  const base::lock_guard lock{all.mu};
  all.cores.remove(c);
}

bool is_early(const core& c) noexcept {
  const base::lock_guard lock{all.mu};
  for (core* k = all.cores.front(); k != nullptr; k = base::list<core>::next(*k)) {
    if (k == &c) return k->is_early();
  }
  return false;
}

void core::lock_for_fork() noexcept WRING_NO_ANALYSIS {
  replan_mu_.lock_for_fork();
  components_mu_.lock_for_fork();
  for (const auto& c : components_) {
    if (c) c->lock_for_fork();
  }
  pools_.lock_for_fork();
  outside_blocks_.lock_for_fork();
  blocks_.lock_for_fork();
  plan_mu_.lock_for_fork();
}

void core::unlock_after_fork() noexcept WRING_NO_ANALYSIS {
  plan_mu_.unlock_after_fork();
  blocks_.unlock_after_fork();
  outside_blocks_.unlock_after_fork();
  pools_.unlock_after_fork();
  for (const auto& c : components_) {
    if (c) c->unlock_after_fork();
  }
  components_mu_.unlock_after_fork();
  replan_mu_.unlock_after_fork();
}

void core::renew_in_child() noexcept WRING_NO_ANALYSIS {  // components_mu_ is held since before the fork
  report_.renew_in_child();
  detect_.renew_in_child();
  ending_mu_.renew_in_child();  // another thread may have held it for long, or the next one
  starting_mu_.renew_in_child();
  blocks_.forget_lost_blocks();
  stall_reports_.store(0, base::order::relaxed);
  guests_.store(0, base::order::relaxed);  // threads of the parent
  time_.renew_in_child();
  pools_.for_each([this](sched::worker_pool& pool) {
    pool.renew_in_child();
    time_.add_pool(pool);
  });
  for (const auto& c : components_) {
    if (c) c->renew_in_child();
  }
}

}  // namespace wring::detail
