// SPDX-License-Identifier: Apache-2.0
// How long stress tests go on, and their random numbers.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace wring::test {

// Seconds rather than minutes; the environment variable WRING_STRESS multiplies it.
inline int rounds(int usual) {
  const char* const factor = std::getenv("WRING_STRESS");
  const int by = factor != nullptr ? std::atoi(factor) : 1;
  return usual * (by > 0 ? by : 1);
}

// xorshift64*; the seed of a thread is its number, so that a run is repeated as far as threads can be.
class dice {
 public:
  explicit dice(int seed) : state_{0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(seed) + 1)} {}
  // 0 .. sides - 1
  unsigned roll(unsigned sides) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<unsigned>((state_ * 0x2545f4914f6cdd1du) >> 33) % sides;
  }

 private:
  std::uint64_t state_;
};

}  // namespace wring::test
