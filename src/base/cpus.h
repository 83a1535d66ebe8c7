// SPDX-License-Identifier: Apache-2.0
// cpus: how many CPUs wring plans for; and whether some have no tick, or are isolated.
//
// The least of two bounds, or what WRING_CPUS says: how many CPUs the affinity mask has (cpusets included), and how
// many the cgroups' quota pays for, rounded up. Both change while a process runs; the plan is of the moment it was
// made. Threads: any; the affinity mask is that of the calling one.
#pragma once

#include "base/syscall.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace wring::base {

struct cpu_plan {
  static constexpr unsigned most = 4096;
  enum class bound : std::uint8_t { affinity, quota, environment };

  unsigned count = 1;
  bound by = bound::affinity;  // whose number it is
  std::string why;             // a line that names both bounds
  std::string complaint;       // about an override that cannot be used; empty: none
};

// `override_text` is that of WRING_CPUS (1..4096), null or empty for none. `root` stands for "/" (base/cgroup.h),
// `mask_cpus` for how many CPUs the affinity mask has.
cpu_plan plan_cpus(const char* override_text, const std::string& root = "/",
                   std::size_t mask_cpus = syscall::affinity().size());

// Whether the kernel runs some CPUs without a tick (nohz_full).
bool some_cpus_have_no_tick(const std::string& root = "/");

// The CPUs that the kernel keeps free of what is not bound to them (isolcpus, isolated partitions), as it lists them:
// "2-3,7". Empty: none, or it does not tell.
std::string isolated_cpus(const std::string& root = "/");

}  // namespace wring::base
