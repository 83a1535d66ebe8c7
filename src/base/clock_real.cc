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

// Both clocks at one moment.
struct moment {
  instant at;
  std::uint64_t ticks;
};

moment this_moment() noexcept {
  constexpr std::int64_t together_ns = 1'000;
  moment m{};
  for (int tries = 0; tries < 100; ++tries) {  // who is preempted between the two tries again
    m = {now(), clock::ticks()};
    if ((now() - m.at).count() < together_ns) break;
  }
  return m;
}

// Made at first use, which may be in a static constructor of anybody.
const moment& process_start() noexcept {
  static const moment start = this_moment();
  return start;
}

// So that the wait below is over before somebody asks.
[[gnu::constructor(101)]] void note_process_start() noexcept { process_start(); }

}  // namespace

std::uint64_t ticks_per_us() noexcept {
  // The counter's rate follows from how far it has come since the program was loaded; 20 us are enough for
  // the 10 % that averages need.
  const moment& start = process_start();
  moment end = this_moment();
  while ((end.at - start.at).count() < 20'000) end = this_moment();
  const auto us = static_cast<std::uint64_t>((end.at - start.at).count()) / 1'000;
  return std::max<std::uint64_t>((end.ticks - start.ticks) / us, 1);
}

}  // namespace wring::base::clock
