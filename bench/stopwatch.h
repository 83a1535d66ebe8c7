// SPDX-License-Identifier: Apache-2.0
// stopwatch: wall time and CPU time of the whole process since it was made, and the clocks behind it.
#pragma once

#include "tally.h"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <thread>

namespace bench {

inline double cpu_ns(clockid_t whose) noexcept {
  timespec used{};
  clock_gettime(whose, &used);
  return 1e9 * static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec);
}

// The clock that std::chrono::steady_clock reads too.
inline double now_ns() noexcept { return cpu_ns(CLOCK_MONOTONIC); }

class stopwatch {
 public:
  [[nodiscard]] double wall_ns() const noexcept {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_).count();
  }
  [[nodiscard]] double process_cpu_ns() const noexcept { return cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_at_start_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_at_start_ = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
};

// Runs enough items that the pool's threads exist and have been scheduled before anything is timed, and
// lets them become idle again.
template <class Pool>
void warm_up(Pool& pool, std::uint64_t items = 10'000) {
  const std::uint64_t already = tally::total().executed;
  for (std::uint64_t i = 0; i < items; ++i) pool.submit([i] { tally::hit(i); });
  tally::await(already + items);
  std::this_thread::sleep_for(std::chrono::milliseconds{5});
}

}  // namespace bench
