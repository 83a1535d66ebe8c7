// SPDX-License-Identifier: Apache-2.0
// tiers: the kinds of detection that tests go through, and whether the machine has what they rest on.
#pragma once

#include <wring/wring.h>

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

namespace wring::test {

inline constexpr detection all_tiers[] = {detection::announced, detection::cpu_clock, detection::stat, detection::perf};

inline std::string name_of(detection tier) {
  switch (tier) {
    case detection::automatic: return "automatic";
    case detection::announced: return "announced";
    case detection::cpu_clock: return "cpu_clock";
    case detection::stat: return "stat";
    case detection::perf: return "perf";
  }
  return "?";
}

// Why this process may not see its own context switches; "" if it may. Found without the library, which is on trial.
inline std::string why_no_switches() {
  perf_event_attr wanted{};
  wanted.size = sizeof wanted;
  wanted.type = PERF_TYPE_SOFTWARE;
  wanted.config = PERF_COUNT_SW_DUMMY;
  wanted.exclude_kernel = 1;
  wanted.exclude_hv = 1;
  wanted.context_switch = 1;
  const auto event = static_cast<int>(::syscall(SYS_perf_event_open, &wanted, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (event < 0) return std::string{"perf_event_open: "} + std::strerror(errno);
  const auto bytes = 2 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const ring = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, event, 0);
  const int error = errno;
  ::close(event);
  if (ring == MAP_FAILED) return std::string{"mmap of an event: "} + std::strerror(error);
  ::munmap(ring, bytes);
  return "";
}

// Why the machine lacks what this tier rests on; "" if it has it.
inline std::string why_not(detection tier) {
  if (tier == detection::perf) return why_no_switches();
  if (tier == detection::stat && ::access("/proc/self/task", R_OK) != 0) return "there is no /proc";
  return "";
}

// A test asks for its tier; the environment must not overrule it. Before the first runtime of a test.
inline void forget_environment() { ::unsetenv("WRING_DETECT"); }

// The scope that callbacks need where nothing is seen.
class scope_if_announced {
 public:
  explicit scope_if_announced(detection tier) {
    if (tier == detection::announced) scope_.emplace();
  }

 private:
  std::optional<blocking_scope> scope_;
};

}  // namespace wring::test
