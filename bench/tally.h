// SPDX-License-Identifier: Apache-2.0
// tally: counts and hashes executed items, at about a nanosecond each, without sharing a cache line.
//
// Each item hits once with a value of its own. The hash is a sum of mixed values, so it does not depend on
// who ran what and when, but an item that was lost, run twice or optimised away changes it or the count.
// Threads: hit() is for any of up to 4,096 threads in the life of a process; all else for any.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <thread>

namespace bench {

struct alignas(64) tally_slot {
  std::atomic<std::uint64_t> executed{0};  // written by one thread only, read by any
  std::atomic<std::uint64_t> hash{0};
};

struct tally {
  std::uint64_t executed = 0;
  std::uint64_t hash = 0;

  static void hit(std::uint64_t value) noexcept {
    tally_slot& mine = my_slot();
    mine.hash.store(mine.hash.load(std::memory_order_relaxed) + mix(value), std::memory_order_relaxed);
    // Pairs with total(): whoever counts this item also sees what it wrote before.
    mine.executed.store(mine.executed.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  static tally total() noexcept {
    tally sum;
    for (std::size_t i = 0; i < threads(); ++i) {
      sum.executed += slots[i].executed.load(std::memory_order_acquire);
      sum.hash += slots[i].hash.load(std::memory_order_relaxed);
    }
    return sum;
  }

  // How many threads have hit so far.
  static std::size_t threads() noexcept { return std::min(slots_taken.load(std::memory_order_relaxed), slots.size()); }

  // Waits until `executed` items have hit. Looks now and then instead of being told, because being told
  // would cost each item a shared counter; an answer some 70 us late is nothing to 50 ms of measurement. Where workers
  // have long items and all CPUs, each look takes one of them away for a while: then seldom is better.
  static tally await(std::uint64_t executed, std::chrono::microseconds pause = std::chrono::microseconds{20}) {
    for (;;) {
      const tally sum = total();
      if (sum.executed >= executed) return sum;
      std::this_thread::sleep_for(pause);
    }
  }

  // What is found when the values first, first + 1, ... last - 1 have each hit once.
  static tally of_range(std::uint64_t first, std::uint64_t last) noexcept {
    tally sum;
    for (std::uint64_t value = first; value < last; ++value) sum.hash += mix(value);
    sum.executed = last - first;
    return sum;
  }

  friend tally operator-(const tally& a, const tally& b) noexcept { return {a.executed - b.executed, a.hash - b.hash}; }

  static std::uint64_t mix(std::uint64_t value) noexcept {
    value = (value + 1) * 0x9E3779B97F4A7C15u;
    return value ^ (value >> 32);
  }

 private:
  static tally_slot& my_slot() noexcept {
    if (mine_ == nullptr) {
      const std::size_t index = slots_taken.fetch_add(1, std::memory_order_relaxed);
      if (index >= slots.size()) std::abort();
      mine_ = &slots[index];
    }
    return *mine_;
  }

  static inline std::array<tally_slot, 4096> slots;
  static inline std::atomic<std::size_t> slots_taken{0};
  static inline constinit thread_local tally_slot* mine_ = nullptr;
};

}  // namespace bench
