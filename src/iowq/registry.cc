// SPDX-License-Identifier: Apache-2.0

#include "iowq/registry.h"

#include "base/thread_state.h"
#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/worker.h"

#include <new>
#include <system_error>

namespace wring::iowq {

// ---- who is there ----

void registry::add(pool& p) {
  const base::lock_guard lock{mu_};
  if (core_.shutting_down()) {  // pairs with core::shutdown(), which comes to refuse() after it has said so
    throw std::system_error{std::make_error_code(std::errc::operation_canceled),
                            "wring: io_pool '" + p.name() + "' is made after the shutdown() of its runtime"};
  }
  p.number = ++made_;
  pools_.push_back(p);
}

void registry::remove(pool& p) noexcept {
  const base::lock_guard lock{mu_};
  pools_.remove(p);
}

void registry::add(domain& d) noexcept {
  const base::lock_guard lock{mu_};
  domains_.push_back(d);
}

void registry::remove(domain& d) noexcept {
  const base::lock_guard lock{mu_};
  domains_.remove(d);
}

pool* registry::visited_after(std::uint64_t number) const noexcept {
  const base::lock_guard lock{mu_};
  pool* p = pools_.front();
  while (p != nullptr && p->number <= number) p = base::list<pool>::next(*p);
  if (p != nullptr) p->enter();
  return p;
}

template <class F>
void registry::for_each(const F& f) const {
  struct entered {
    pool& p;
    ~entered() { p.leave(); }
  };
  std::uint64_t last = 0;
  while (pool* const p = visited_after(last)) {
    const entered hold{*p};
    last = p->number;
    f(*p);
  }
}

// ---- for people ----

void registry::audit() const {
  for_each([](const pool& p) { p.audit(); });
}

void registry::describe(base::writer& w) const {
  for_each([&](const pool& p) { w.put(p.describe()); });
}

// ---- the end ----

// Those that belong to threads end with the first of the two, their thread or their runtime.
bool registry::ready_to_end(sched::reporter& report) {
  std::string of_user;
  for_each([&](const pool& p) {
    if (of_user.empty() && !p.is_of_a_thread()) of_user = p.name();
  });
  if (!of_user.empty()) {
    report.misuse("a runtime is destroyed while io_pool '" + of_user + "' exists; destroy its pools first");
  }
  end_threads();
  return of_user.empty();
}

// Nobody else is here any more. Handles may be left, and pools of threads, which have ended.
registry::~registry() {
  while (pool* const p = pools_.pop_front()) p->outlive();
  while (domain* const d = domains_.pop_front()) d->outlive();
}

void registry::refuse() noexcept {
  for_each([](pool& p) {
    const visit inside{p};
    p.exit_start();
  });
}

bool registry::at_rest() noexcept {
  bool all = true;
  for_each([&](pool& p) {
    const visit inside{p};
    all = p.rests() && all;
  });
  return all;
}

bool registry::caller_is_inside() const noexcept {
  const worker* const self = worker::current();
  return self != nullptr && &self->home().home().home() == &core_;
}

void registry::unfinished(shutdown_report& report) {
  for_each([&](const pool& p) {
    const io_pool_stats s = p.stats();
    for (const io_worker_stats& w : s.workers) {
      if (w.running.count() == 0) continue;  // in no item
      const base::thread_state state = base::look_at_thread(w.thread_id);
      report.stuck.push_back({.worker = w.name,
                              .thread_id = w.thread_id,
                              .queue = s.name,
                              .callback = w.bounded ? "a bounded item" : "an unbounded item",
                              .description = {},
                              .running = w.running,
                              .announced = w.state == io_worker_stats::state_kind::blocked,
                              .waits_in = state.state == 'R'    ? std::string{}
                                          : !state.call.empty() ? state.call
                                                                : state.kernel_function});
    }
    const std::size_t waiting = s.bounded.queued + s.bounded.held + s.unbounded.queued + s.unbounded.held;
    if (waiting != 0) report.queues.push_back(s.name + ": " + std::to_string(waiting) + " waiting");
  });
}

void registry::end_threads() noexcept {
  for_each([](pool& p) { p.end(std::chrono::nanoseconds::max()); });
}

// ---- the runtime ----

int registry::start_threads() {
  int error = 0;
  for_each([&](pool& p) {
    const visit inside{p};
    const int its_error = p.start();
    if (error == 0) error = its_error;
  });
  return error;
}

void registry::follow_cpus() {
  if (*core_.options().topology != '\0') return;  // CPUs that there may not be
  const sched::cpu_list usable = core_.pools().masks().usable();
  for_each([&](pool& p) {
    try {
      p.follow_cpus(usable);
    } catch (const std::bad_alloc&) {  // it stays where it is: queues have gone elsewhere already
      base::sometimes("an io_pool could not follow the CPUs");
    }
  });
}

// ---- fork ----

void registry::lock_for_fork() noexcept WRING_NO_ANALYSIS {
  mu_.lock_for_fork();
  for (domain* d = domains_.front(); d != nullptr; d = base::list<domain>::next(*d)) d->lock_for_fork();
}

void registry::unlock_after_fork() noexcept WRING_NO_ANALYSIS {
  for (domain* d = domains_.front(); d != nullptr; d = base::list<domain>::next(*d)) d->unlock_after_fork();
  mu_.unlock_after_fork();
}

// The pools are the parent's; domains can be used by new ones. mu_ is held since before the fork.
void registry::renew_in_child() noexcept WRING_NO_ANALYSIS {
  worker::forget_thread();
  while (pools_.pop_front() != nullptr) continue;
  for (domain* d = domains_.front(); d != nullptr; d = base::list<domain>::next(*d)) d->renew_in_child();
}

}  // namespace wring::iowq
