// SPDX-License-Identifier: Apache-2.0
// base_sim: base/clock.h, base/syscall.h and base/thread_state.h as simulations have them.
#include "base/clock.h"
#include "base/fork.h"
#include "base/syscall.h"
#include "base/thread_exit.h"
#include "base/thread_state.h"
#include "sim/simulation.h"

#include <cerrno>
#include <numeric>

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

namespace {

// What needs a right that the process may lack fails as often as the profile says.
int allowed_or(int error) noexcept {
  sim::simulation* s = sim::simulation::current();
  return s != nullptr && s->refuses_call() ? error : 0;
}

}  // namespace

std::vector<unsigned> affinity() {
  const sim::simulation* s = sim::simulation::current();
  if (s != nullptr && !s->bound_to().empty()) return s->bound_to();
  std::vector<unsigned> cpus(s != nullptr ? static_cast<unsigned>(s->cpus()) : 1);
  std::iota(cpus.begin(), cpus.end(), 0U);
  return cpus;
}

int set_affinity(std::span<const unsigned> cpus) noexcept {
  if (cpus.empty()) return -EINVAL;
  if (const int refused = allowed_or(-EINVAL); refused != 0) return refused;
  if (sim::simulation* s = sim::simulation::current()) s->bind({cpus.begin(), cpus.end()});
  return 0;
}

// Threads do not move between CPUs; there are more of them than CPUs in most runs.
int current_cpu() noexcept {
  const sim::simulation* s = sim::simulation::current();
  if (s == nullptr) return 0;
  const std::vector<unsigned>& bound = s->bound_to();
  if (bound.empty()) return static_cast<int>(s->thread_id()) % s->cpus();
  return static_cast<int>(bound[s->thread_id() % bound.size()]);
}

int current_nice() noexcept {
  const sim::simulation* s = sim::simulation::current();
  return s != nullptr ? s->self().nice : 0;
}

int set_nice(int nice) noexcept {
  if (const int refused = allowed_or(-EACCES); refused != 0) return refused;
  if (sim::simulation* s = sim::simulation::current()) s->self().nice = nice;
  return 0;
}

unsigned process_limit() noexcept { return ~0U; }

int set_thread_name(const char* name) noexcept {
  sim::door::thread_name(name);
  return 0;
}

int read_file(const char* /*path*/, std::size_t /*bytes_max*/, std::string& text) {
  text.clear();
  return -ENOENT;
}

}  // namespace syscall

// Virtual threads are not in /proc, and no text may differ from one run of a seed to the next.
thread_state look_at_thread(std::uint32_t) { return {}; }
std::string describe_code(const void*) { return "code"; }

void on_fork(const fork_handlers&) noexcept {}
void at_thread_exit(void (*)(void*), void*) {}

}  // namespace wring::base
