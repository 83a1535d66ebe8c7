// SPDX-License-Identifier: Apache-2.0
// clock_real: CLOCK_MONOTONIC, and the processor's counter for averages.

#include "base/clock.h"

#include <algorithm>
#include <ctime>

namespace wring::base::clock {

instant now() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return {static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec)};
}

std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return now().ns;
#endif
}

namespace {

struct origin {
  instant at = now();
  std::uint64_t ticks = clock::ticks();
};

// Made at first use, which may be in a static constructor of anybody.
const origin& process_start() noexcept {
  static const origin start;
  return start;
}

// So that the wait below is over before somebody asks.
[[gnu::constructor(101)]] void note_process_start() noexcept { process_start(); }

}  // namespace

std::uint64_t ticks_per_us() noexcept {
  // The counter's rate follows from how far it has come since the program was loaded; 20 us are enough for
  // the 10 % that averages need.
  const origin& start = process_start();
  instant at = now();
  while ((at - start.at).count() < 20'000) at = now();
  const auto us = static_cast<std::uint64_t>((at - start.at).count()) / 1'000;
  return std::max<std::uint64_t>((ticks() - start.ticks) / us, 1);
}

}  // namespace wring::base::clock
