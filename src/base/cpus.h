// SPDX-License-Identifier: Apache-2.0
// cpus: how many CPUs wring plans for.
#pragma once

#include <string>

namespace wring::base {

struct cpu_plan {
  static constexpr unsigned most = 4096;

  unsigned count = 1;
  std::string complaint;  // about an override that cannot be used; empty: none
};

// The affinity mask of the process, or the override: the text of WRING_CPUS (1..4096), null or empty for none.
// Cgroup quotas will be one more upper bound here.
cpu_plan plan_cpus(const char* override_text) noexcept;

}  // namespace wring::base
