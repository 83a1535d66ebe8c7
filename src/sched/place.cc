// SPDX-License-Identifier: Apache-2.0

#include "sched/place.h"

#include "sched/worker_pool.h"

namespace wring::sched {

place place::here() { return {.cpus = base::syscall::affinity(), .nice = base::syscall::current_nice()}; }

place place::of_program() {
  const worker* const w = worker::current();
  return w != nullptr ? w->pool.home_place() : here();
}

int place::take_cpus() const noexcept {
  return base::syscall::affinity() == cpus ? 0 : base::syscall::set_affinity(cpus);
}

int place::take_nice(int nice) noexcept {
  return base::syscall::current_nice() == nice ? 0 : base::syscall::set_nice(nice);
}

}  // namespace wring::sched
