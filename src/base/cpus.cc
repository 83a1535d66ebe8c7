// SPDX-License-Identifier: Apache-2.0

#include "base/cpus.h"

#include "base/syscall.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace wring::base {

cpu_plan plan_cpus(const char* override_text) noexcept {
  cpu_plan plan;
  plan.count = static_cast<unsigned>(std::clamp(syscall::affinity_count(), 1, static_cast<int>(cpu_plan::most)));
  if (override_text == nullptr || *override_text == '\0') return plan;
  unsigned asked = 0;
  const char* const end = override_text + std::strlen(override_text);
  const auto [stop, error] = std::from_chars(override_text, end, asked);
  if (error == std::errc{} && stop == end && asked >= 1 && asked <= cpu_plan::most) {
    plan.count = asked;
  } else {
    plan.complaint = std::string{"WRING_CPUS="} + override_text + " is not a number from 1 to " +
                     std::to_string(cpu_plan::most) + "; planning for " + std::to_string(plan.count) +
                     " CPUs, the affinity mask of the process";
  }
  return plan;
}

}  // namespace wring::base
