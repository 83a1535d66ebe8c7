// SPDX-License-Identifier: Apache-2.0
// cgroup: how many CPUs the control groups of the process let it use up.
//
// A quota is time per period; 150 ms each 100 ms are one and a half CPUs, which needs two threads to be used up, so
// it is rounded up. Weights and shares are no limits and not looked at.
// Threads: any.
#pragma once

#include <optional>
#include <string>

namespace wring::base {

struct cpu_quota {
  std::optional<unsigned> cpus;  // at least 1; none: no limit known
  std::string why;               // whose limit it is, or why none is known: a clause to be shown to people
};

// The least of the process's own group and all groups above it, as far as they are visible. `root` stands for "/":
// the file system to look at. Whatever is there, this comes back; what it does not understand is no limit.
cpu_quota read_cpu_quota(const std::string& root = "/");

}  // namespace wring::base
