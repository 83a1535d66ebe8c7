// SPDX-License-Identifier: Apache-2.0
// base_sim: base/clock.h and base/syscall.h as simulations have them.
#include "base/clock.h"
#include "base/syscall.h"
#include "sim/simulation.h"

namespace wring::base {

namespace clock {

instant now() noexcept {
  sim::simulation* s = sim::simulation::current();
  return {s != nullptr ? s->read_clock() : 0};
}
std::uint64_t ticks() noexcept { return now().ns; }
std::uint64_t ticks_per_us() noexcept { return 1000; }

}  // namespace clock

namespace syscall {

int affinity_count() noexcept {
  const sim::simulation* s = sim::simulation::current();
  return s != nullptr ? s->cpus() : 1;
}

// Threads do not move between CPUs; there are more of them than CPUs in most runs.
int current_cpu() noexcept {
  const sim::simulation* s = sim::simulation::current();
  return s != nullptr ? static_cast<int>(s->thread_id()) % s->cpus() : 0;
}

int set_thread_name(const char* name) noexcept {
  sim::door::thread_name(name);
  return 0;
}

}  // namespace syscall
}  // namespace wring::base
