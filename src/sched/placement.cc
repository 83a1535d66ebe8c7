// SPDX-License-Identifier: Apache-2.0
// placement: how workers get where their pool belongs, and back there (WQ-117, WQ-120).

#include "sched/placement.h"

#include "sched/worker_pool.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace wring::sched {

// 0 or -errno.
int worker_pool::bind(worker& w) noexcept {
  const base::lock_guard lock{place_mu_};
  w.placed = place_version_.load(base::order::relaxed);
  return place_.cpus.empty() ? services_.home.take_cpus() : base::syscall::set_affinity(place_.cpus);
}

// Refused: it stays where it is.
void worker_pool::host() const noexcept {
  const base::lock_guard lock{place_mu_};
  static_cast<void>(place_.cpus.empty() ? services_.home.take_cpus() : base::syscall::set_affinity(place_.cpus));
}

// What the system refuses is said once in a runtime.
void worker_pool::settle(worker& w) noexcept {
  const int unbound = bind(w);
  if (unbound != 0) static_cast<void>(services_.home.take_cpus());
  if (unbound != 0 && w.placed != 0 && !disassociated_.exchange(true, base::order::relaxed)) {
    std::string cpus;
    {
      const base::lock_guard lock{place_mu_};
      cpus = text_of(place_.cpus);
    }
    services_.report.warn_once(reporter::topic::affinity,
                               "a worker of pool " + name() + " could not be bound to CPU " + cpus + " (" +
                                   std::strerror(-unbound) + "); the pool's workers run on any CPU instead. Said once");
  }
  const int own = config_.nice != 0 ? config_.nice : services_.home.nice;
  if (const int error = place::take_nice(w.is_rescuer ? high_nice : own); error != 0 && config_.nice != 0) {
    if (!priority_refused_.exchange(true, base::order::relaxed)) {
      services_.report.warn_once(reporter::topic::priority,
                                 "a worker could not get nice " + std::to_string(config_.nice) + " (" +
                                     std::strerror(-error) +
                                     "); it runs like the others, in a pool of its own. Look at CAP_SYS_NICE and "
                                     "ulimit -e. Said once");
    }
  }
}

// A worker that was woken begins in its pod; from there the system may move it about the pool's CPUs. On none of these
// it is only if somebody outside has changed its mask.
void worker_pool::come_home(worker& w) noexcept {
  w.woken = false;
  if (w.placed != place_version_.load(base::order::relaxed)) settle(w);
  if (disassociated_.load(base::order::relaxed)) return;
  const auto cpu = static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0));
  const base::lock_guard lock{place_mu_};
  if (place_.cpus.empty() || has(place_.pod.empty() ? place_.cpus : place_.pod, cpu)) return;
  if (!has(place_.cpus, cpu)) restored_.fetch_add(1, base::order::relaxed);
  if (!place_.pod.empty()) {
    if (base::syscall::set_affinity(place_.pod) == 0) {
      repatriated_.fetch_add(1, base::order::relaxed);
      w.repatriated = true;
    }
  }
  static_cast<void>(base::syscall::set_affinity(place_.cpus));  // refused: as it is
}

void worker_pool::set_placement(placement where) {
  const base::lock_guard lock{place_mu_};
  if (place_ == where) return;
  place_ = std::move(where);
  const std::uint32_t version = place_version_.load(base::order::relaxed) + 1;
  place_version_.store(version != 0 ? version : 1, base::order::relaxed);
  disassociated_.store(false, base::order::relaxed);
}

}  // namespace wring::sched
