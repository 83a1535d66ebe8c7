// SPDX-License-Identifier: Apache-2.0
// timer_wheel: timers in 1024 slots of one millisecond and six levels of 64 slots above them, which together
// reach every 64-bit deadline.
//
// A level holds the timers that lie in the same block of the level above as the current tick, but in another
// block of the level itself. So the slot of a tick depends on that tick and the current one alone, no slot
// lies behind the current tick, and the first bit of the bitmaps is the earliest slot. When time enters a
// slot of an upper level, its timers move down (they cascade).
// Timers of the same tick come out in the order in which they were armed.
// Threads: none of it is thread-safe; the lock of the shard guards it.
#pragma once

#include "base/check.h"
#include "base/clock.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace wring::base {

// All-zero: not armed. Whoever owns it may give `cookie`, `fire` and `tag` any meaning; the wheel touches
// only the first three words.
struct timer {
  timer* next = nullptr;
  timer** pprev = nullptr;  // what points at this timer; null unless armed
  std::uint64_t expiry_ns = 0;
  std::uint64_t cookie = 0;
  void (*fire)(timer&) = nullptr;
  std::uint64_t tag = 0;

  [[nodiscard]] bool armed() const noexcept { return pprev != nullptr; }
};
// A timer lives in the zeroed words of a public header (delayed_work).
static_assert(sizeof(timer) == 48 && alignof(timer) == 8);
static_assert(std::is_aggregate_v<timer> && std::is_trivially_copyable_v<timer>);

class timer_wheel {
 public:
  static constexpr std::uint64_t tick_ns = 1'000'000;

  explicit timer_wheel(instant now) noexcept : tick_{now.ns / tick_ns} {
    for (slot& s : slots_) s.last = &s.head;
  }
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  // `t` must not be armed. It never fires early (WQ-53), and late by less than a tick plus what collect()
  // is late. A deadline that has passed fires at the next collect().
  void arm(timer& t, instant deadline) noexcept {
    WRING_ASSERT(!t.armed(), &t, t.expiry_ns);
    t.expiry_ns = deadline.ns;
    link(t);
    ++size_;
  }

  // False if it was not armed.
  bool disarm(timer& t) noexcept {
    if (!t.armed()) return false;
    *t.pprev = t.next;
    if (t.next != nullptr) {
      t.next->pprev = t.pprev;
    } else {
      const std::size_t index = index_of(t.expiry_ns);
      slots_[index].last = t.pprev;
      if (slots_[index].head == nullptr) clear(index);
    }
    t.pprev = nullptr;
    --size_;
    return true;
  }

  // Unlinks the timers that are due and returns them as a chain by `next`, earliest tick first. The chain
  // belongs to the caller: its timers are not armed any more and must not be armed while they are in it.
  timer* collect(instant now) noexcept;

  // When to call collect() next: not later than the end of the tick of the earliest deadline, `never` if
  // empty. It may be earlier, if collect() has to cascade then; several calls may be needed, one per level.
  [[nodiscard]] instant next_expiry() const noexcept;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void audit() const noexcept;
  void describe(writer& w) const;

 private:
  static constexpr unsigned slot_bits = 10;    // of level 0: a second, so most timers of servers never cascade
  static constexpr unsigned level_bits = 6;    // of the others: one bitmap word each
  static constexpr unsigned upper_levels = 6;  // 2^(10 + 36) ticks are more than 2^64 ns
  static constexpr std::size_t near_slots = std::size_t{1} << slot_bits;  // those of level 0
  static constexpr std::size_t all_slots = near_slots + upper_levels * 64;
  static_assert(~std::uint64_t{0} / tick_ns >> (slot_bits + upper_levels * level_bits) == 0);

  // Oldest first. `last` is where the next one is hung in: `head`, or the `next` of the newest.
  struct slot {
    timer* head = nullptr;
    timer** last = nullptr;
  };

  static constexpr std::uint64_t tick_of(std::uint64_t deadline_ns) noexcept {
    return deadline_ns / tick_ns + (deadline_ns % tick_ns != 0 ? 1 : 0);
  }
  // How many ticks, as a power of two, a slot of `level` (1..6) lasts.
  static constexpr unsigned shift_of(unsigned level) noexcept { return slot_bits + (level - 1) * level_bits; }

  [[nodiscard]] std::size_t index_of(std::uint64_t expiry_ns) const noexcept {
    const std::uint64_t tick = tick_of(expiry_ns) < tick_ ? tick_ : tick_of(expiry_ns);
    const std::uint64_t differs = tick ^ tick_;
    if (differs < near_slots) return tick & (near_slots - 1);
    const unsigned level = 1 + (static_cast<unsigned>(std::bit_width(differs)) - 1 - slot_bits) / level_bits;
    return near_slots + (level - 1) * 64 + (tick >> shift_of(level) & 63);
  }
  [[nodiscard]] std::uint64_t start_of(std::size_t index) const noexcept;
  // Of the earliest slot in use; there must be one.
  [[nodiscard]] std::size_t first_index() const noexcept {
    const auto word = static_cast<std::size_t>(std::countr_zero(words_in_use_));
    return word * 64 + static_cast<std::size_t>(std::countr_zero(in_use_[word]));
  }

  void link(timer& t) noexcept {
    const std::size_t index = index_of(t.expiry_ns);
    slot& s = slots_[index];
    t.next = nullptr;
    t.pprev = s.last;
    *s.last = &t;
    s.last = &t.next;
    in_use_[index / 64] |= std::uint64_t{1} << index % 64;
    words_in_use_ |= 1u << index / 64;
  }

  void clear(std::size_t index) noexcept {
    in_use_[index / 64] &= ~(std::uint64_t{1} << index % 64);
    if (in_use_[index / 64] == 0) words_in_use_ &= ~(1u << index / 64);
  }

  std::uint64_t tick_;  // every timer of an earlier tick was collected
  std::size_t size_ = 0;
  std::uint32_t words_in_use_ = 0;                      // exact: bit n is set iff in_use_[n] is not 0
  std::array<std::uint64_t, all_slots / 64> in_use_{};  // exact: one bit per slot that is not empty
  std::array<slot, all_slots> slots_;
};

}  // namespace wring::base
