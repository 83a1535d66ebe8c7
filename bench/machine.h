// SPDX-License-Identifier: Apache-2.0
// machine: what a figure was measured on, and who else was using it meanwhile.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct machine {
  std::string cpu;                                               // "AMD EPYC, family 25 model 17"
  unsigned cpus;                                                 // planned for, see planned_cpus()
  bool virtual_machine;                                          // under a hypervisor
  std::string kernel;                                            // "Linux 6.18"
  std::string compiler;                                          // "gcc 12.2.0"
  std::vector<std::pair<std::string, std::string>> contestants;  // names and versions of the libraries measured
};
machine describe_machine();

// CPUs that everybody but this process and its children used since the meter was made. A figure taken while
// that is above 0.15 is a rough one.
class load_meter {
 public:
  load_meter();
  [[nodiscard]] double cpus_used_by_others() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double everybody_s_;
  double ours_s_;
};

}  // namespace bench
