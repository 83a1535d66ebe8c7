// SPDX-License-Identifier: Apache-2.0
// clock: steady time. The simulator has its own, which only its scheduler moves.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>

namespace wring::base {

// Nanoseconds since some fixed moment of the past.
struct instant {
  std::uint64_t ns = 0;

  friend constexpr auto operator<=>(instant, instant) = default;
  friend constexpr instant operator+(instant a, std::chrono::nanoseconds d) noexcept {
    return {a.ns + static_cast<std::uint64_t>(d.count())};
  }
  friend constexpr std::chrono::nanoseconds operator-(instant a, instant b) noexcept {
    return std::chrono::nanoseconds{static_cast<std::int64_t>(a.ns - b.ns)};
  }
};

inline constexpr instant never{~std::uint64_t{0}};

namespace clock {

instant now() noexcept;

// A cheap counter that runs at a constant rate, for averages; never to be compared across threads.
std::uint64_t ticks() noexcept;
// How many ticks make a microsecond; found out anew, in some 30 ns.
std::uint64_t ticks_per_us() noexcept;
inline std::uint64_t ticks_of_ns(std::uint64_t ns) noexcept {
  static const std::uint64_t per_us = ticks_per_us();
  return ns * per_us / 1'000;
}

// In so long from now; the longest time is for ever. A negative time has passed.
inline instant deadline_after(std::chrono::nanoseconds limit) noexcept {
  if (limit == std::chrono::nanoseconds::max()) return never;
  return now() + std::max(limit, std::chrono::nanoseconds{0});
}

}  // namespace clock
}  // namespace wring::base
