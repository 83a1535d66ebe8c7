// SPDX-License-Identifier: Apache-2.0
// rng: a small generator that gives the same numbers on every compiler and library.
#pragma once

#include <cstdint>

namespace wring::sim {

class rng {
 public:
  explicit constexpr rng(std::uint64_t seed = 0) noexcept : state_{mix(seed)} {}

  constexpr std::uint64_t next() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  // Uniform enough in [0, n); n > 0.
  constexpr std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }
  // True once in n times; never for n = 0.
  constexpr bool one_in(std::uint32_t n) noexcept { return n != 0 && below(n) == 0; }

 private:
  // Neighbouring seeds must give unrelated streams, and xorshift must not start at 0.
  static constexpr std::uint64_t mix(std::uint64_t z) noexcept {
    z += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return z != 0 ? z : 1;
  }

  std::uint64_t state_;
};

}  // namespace wring::sim
