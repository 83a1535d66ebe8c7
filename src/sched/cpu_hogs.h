// SPDX-License-Identifier: Apache-2.0
// cpu_hogs: the callbacks that were taken out of the count for the CPU time they used, and who is told (WQ-80).
//
// Threads: the timekeeper only.
#pragma once

#include "sched/reporter.h"
#include "sched/thresholds.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace wring::sched {

class cpu_hogs {
 public:
  // Warns from the so manieth time of a callback on (thresholds::cpu_intensive_warning()), each time its number beyond
  // that doubles; 0: never.
  cpu_hogs(const thresholds& limits, reporter& report) noexcept : limits_{limits}, report_{report} {}

  // The callback at this address has used more than `limit` in one item of that queue. The 129th callback and all
  // later ones are left out.
  void note(const void* code, const std::string& queue, std::chrono::microseconds limit);

 private:
  struct entry {
    const void* code = nullptr;
    std::uint64_t times = 0;
  };

  const thresholds& limits_;
  reporter& report_;
  std::array<entry, 128> table_{};
};

}  // namespace wring::sched
