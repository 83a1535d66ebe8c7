// SPDX-License-Identifier: Apache-2.0
// thread_watch_sim: base/thread_watch.h as simulations have it: what is seen is true at that moment.
#include "base/thread_watch.h"

#include "sim/simulation.h"

#include <cerrno>

namespace wring::base {

namespace {

thread_sight look_at(std::uint32_t tid) noexcept {
  sim::simulation* const s = sim::simulation::current();
  sim::simulation::sight seen{};
  if (s == nullptr || !s->threads_are_seen() || !s->look(tid, seen)) return thread_sight::unknown;
  return seen.waits ? thread_sight::waiting : thread_sight::running;
}

}  // namespace

int switch_ring::open(std::uint32_t tid) noexcept {
  close();
  sim::simulation* const s = sim::simulation::current();
  if (s == nullptr || !s->threads_are_seen()) return -EACCES;
  if (sim::simulation::sight seen{}; !s->look(tid, seen)) return -ESRCH;
  tid_ = tid;
  return 0;
}

void switch_ring::close() noexcept { tid_ = 0; }

thread_sight switch_ring::look() const noexcept { return is_open() ? look_at(tid_) : thread_sight::unknown; }

thread_sight look_at_stat(std::uint32_t tid) noexcept { return look_at(tid); }

std::int64_t cpu_time_of(std::uint32_t tid) noexcept {
  sim::simulation* const s = sim::simulation::current();
  sim::simulation::sight seen{};
  return s != nullptr && s->look(tid, seen) ? static_cast<std::int64_t>(seen.cpu_ns) : -ESRCH;
}

watch_probe probe_thread_watch(const watch_wish& wish) {
  const sim::simulation* const s = sim::simulation::current();
  if (s != nullptr && s->threads_are_seen()) {
    return {.rings = wish.rings, .stat = wish.stat, .cpu_clock = wish.cpu_clock};
  }
  constexpr const char* why = "not in this simulation";
  return {.rings_why = why, .stat_why = why, .cpu_clock_why = why};
}

}  // namespace wring::base
