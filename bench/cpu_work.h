// SPDX-License-Identifier: Apache-2.0
// cpu_work: a fixed amount of work, as iterations of a loop that stays in registers.
//
// Work, not time: a thread that was preempted still has all of it to do, as in real programs. The rate is
// found once, before any contestant is measured; what the parts took by their threads' own CPU clocks is
// among the results, so a reader sees whether the rate still held.
#pragma once

#include "stopwatch.h"

#include <cstdint>
#include <ctime>

namespace bench {

class cpu_work {
 public:
  // The best of a few tries is the one that was disturbed least.
  static cpu_work calibrate() {
    cpu_work found{0};
    for (int attempt = 0; attempt < 10; ++attempt) {
      constexpr std::uint64_t iterations = 2'000'000;
      const double before = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
      spin(iterations);
      const double rate = iterations / (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - before) * 1e3;
      if (rate > found.iterations_per_us_) found.iterations_per_us_ = rate;
    }
    return found;
  }

  // What should take so long; returns the thread's CPU time it did take, in us.
  double run(double us) const noexcept {
    const double before = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    spin(static_cast<std::uint64_t>(us * iterations_per_us_));
    return (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - before) / 1e3;
  }

 private:
  explicit cpu_work(double iterations_per_us) : iterations_per_us_{iterations_per_us} {}

  static void spin(std::uint64_t iterations) noexcept {
    std::uint64_t x = 88172645463325252u;
    for (std::uint64_t i = 0; i < iterations; ++i) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      asm volatile("" : "+r"(x));  // or the compiler would see that nobody wants the result
    }
  }

  double iterations_per_us_;
};

}  // namespace bench
