// SPDX-License-Identifier: Apache-2.0
// limits: how many workers there may be, where they run, and whether they stay (README.md, 11).

#include "base/syscall.h"
#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "sched/cpu_masks.h"

#include <algorithm>
#include <system_error>

namespace wring::iowq {

// IOWQ-100: what the process may have, and what this pool may.
unsigned pool::clamped(unsigned workers) const noexcept {
  return std::max(1U, std::min({workers, hard_cap_, base::syscall::process_limit()}));
}

io_limits pool::set_limits(const io_limits& wanted) noexcept {
  io_limits before{};
  if (!is_of_this_process()) return before;
  const unsigned granted = user_ ? user_->granted : of_nodes_ ? 0 : ~0U;  // IOWQ-12
  for (queue& q : queues_) {
    if (q.serves(account_kind::bounded)) {
      before.bounded = q.set_limit(account_kind::bounded, wanted.bounded != 0 ? clamped(wanted.bounded) : 0);
    }
    if (q.serves(account_kind::unbounded)) {
      const unsigned limit = std::min(wanted.unbounded, granted);
      before.unbounded = q.set_limit(account_kind::unbounded, limit != 0 ? clamped(limit) : 0);
    }
  }
  return before;
}

io_limits pool::max_workers(const io_limits& wanted) {
  const io_limits before = set_limits({});
  if (is_of_this_process()) domain_->max_workers(wanted);
  return before;
}

void pool::set_affinity(const std::vector<unsigned>& cpus) {
  if (!is_of_this_process()) return;
  const std::vector<unsigned> wanted = sched::sorted(cpus);
  const base::lock_guard lock{mu_};
  if (!std::ranges::includes(usable_, wanted)) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring::io_pool::set_affinity(): a CPU that the owner may not use"};
  }
  use(wanted);
}

void pool::set_cpus(const std::vector<unsigned>& cpus) {
  const base::lock_guard lock{mu_};
  use(cpus);
}

// What the owner may not use is left out; if that leaves nothing, there is no wish.
void pool::use(std::vector<unsigned> asked) {
  std::vector<unsigned> both = sched::common(asked, usable_);
  if (both.empty()) both = usable_;
  if (!of_nodes_) enough_.store(static_cast<unsigned>(std::max<std::size_t>(both.size(), 1)), base::order::relaxed);
  asked_ = std::move(asked);
  cpus_ = std::move(both);
  moves_.fetch_add(1, base::order::relaxed);
}

// The owner may use what the runtime may, unless it was bound to less of it. New workers begin there; those that are
// elsewhere leave at the end of their next idle time.
void pool::follow_cpus(const std::vector<unsigned>& usable) {
  std::vector<unsigned> its = owner_is_bound_ ? sched::common(owners_place_.cpus, usable) : usable;
  const base::lock_guard lock{mu_};
  if (its.empty()) its = usable;
  usable_ = std::move(its);
  use(asked_);
}

bool pool::may_use(unsigned cpu) const noexcept {
  const base::lock_guard lock{mu_};
  return cpus_.empty() || std::ranges::binary_search(cpus_, cpu);
}

void pool::exit_on_idle(bool leave) noexcept {
  if (!is_of_this_process()) return;
  exits_on_idle_.store(leave, base::order::relaxed);
  if (!leave) return;
  for (queue& q : queues_) q.exit_on_idle();
}

unsigned pool::run_notes() noexcept {
  if (!is_of_this_process() || !owner_makes_workers() || base::thread_id() != owner_thread_) return 0;
  unsigned made = 0;
  for (queue& q : queues_) made += q.run_note();
  return made;
}

io_limits domain::max_workers(const io_limits& wanted) {
  io_limits before{};
  {
    const base::lock_guard lock{mu_};
    before = remembered_;
    if (wanted.bounded != 0) remembered_.bounded = wanted.bounded;
    if (wanted.unbounded != 0) remembered_.unbounded = wanted.unbounded;
  }
  for_each_pool([&](pool& p) { p.set_limits(wanted); });
  return before;
}

void domain::set_affinity(const std::vector<unsigned>& cpus) {
  if (outlives_its_runtime()) refuse_after_its_runtime("set_affinity()");
  const std::vector<unsigned> wanted = sched::sorted(cpus);
  if (!std::ranges::includes(core_.pools().masks().usable(), wanted)) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring::hash_domain::set_affinity(): a CPU that its runtime may not use"};
  }
  {
    const base::lock_guard lock{mu_};
    cpus_ = wanted;
  }
  for_each_pool([&](pool& p) { p.set_cpus(wanted); });
}

template <class F>
void domain::for_each_pool(const F& f) {
  struct pins {
    std::vector<pool*> of;
    ~pins() {
      for (pool* p : of) p->unpin();
    }
  } pinned;
  {
    const base::lock_guard lock{mu_};
    pinned.of = pools_;
    for (pool* p : pinned.of) p->pin();
  }
  for (pool* p : pinned.of) {
    const visit inside{*p};
    f(*p);
  }
}

}  // namespace wring::iowq
