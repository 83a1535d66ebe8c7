// SPDX-License-Identifier: Apache-2.0
// vector_clock: how far each thread's past is known.
//
// Fixed in size, so that joining two is a few vector instructions and no memory is ever asked for.
#pragma once

#include <array>
#include <cstdint>

namespace wring::sim {

// Threads alive at one moment. A number of a thread in this range is its `slot`; slots are used again.
inline constexpr std::uint32_t max_threads = 32;

struct vector_clock {
  alignas(32) std::array<std::uint32_t, max_threads> time{};

  void join(const vector_clock& other) noexcept {
    for (std::uint32_t i = 0; i < max_threads; ++i) {
      time[i] = time[i] < other.time[i] ? other.time[i] : time[i];
    }
  }
  [[nodiscard]] bool covers(std::uint32_t slot, std::uint32_t when) const noexcept { return time[slot] >= when; }
};

}  // namespace wring::sim
