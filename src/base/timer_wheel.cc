// SPDX-License-Identifier: Apache-2.0
#include "base/timer_wheel.h"

namespace wring::base {

// The first tick of a slot.
std::uint64_t timer_wheel::start_of(std::size_t index) const noexcept {
  if (index < near_slots) return (tick_ & ~std::uint64_t{near_slots - 1}) | index;
  const unsigned shift = shift_of(static_cast<unsigned>(index - near_slots) / 64 + 1);
  const std::uint64_t block = tick_ >> (shift + level_bits) << (shift + level_bits);
  return block | std::uint64_t{index % 64} << shift;
}

instant timer_wheel::next_expiry() const noexcept {
  if (words_in_use_ == 0) return never;
  const std::size_t index = first_index();
  const timer& oldest = *slots_[index].head;
  // A timer that is alone in its slot needs no cascade on the way; an idle process is woken once for it.
  const bool alone = index >= near_slots && oldest.next == nullptr;
  const std::uint64_t tick = alone ? tick_of(oldest.expiry_ns) : start_of(index);
  return tick > never.ns / tick_ns ? never : instant{tick * tick_ns};
}

// Every round empties one slot in use, so a clock that jumped costs no more than the timers it passed.
timer* timer_wheel::collect(instant now) noexcept {
  const std::uint64_t target = now.ns / tick_ns;
  timer* due = nullptr;
  timer** end = &due;
  while (words_in_use_ != 0) {
    const std::size_t index = first_index();
    const std::uint64_t start = start_of(index);
    if (start > target) break;
    tick_ = start;
    slot& s = slots_[index];
    timer* t = s.head;
    s = {nullptr, &s.head};
    clear(index);
    if (index < near_slots) {
      *end = t;
      for (; t != nullptr; t = t->next, --size_) {
        t->pprev = nullptr;
        end = &t->next;
      }
    } else {
      while (t != nullptr) {
        timer* const next = t->next;
        link(*t);
        t = next;
      }
    }
  }
  // No slot in use lies between: what remains keeps its place relative to the new tick.
  if (target > tick_) tick_ = target;
  return due;
}

void timer_wheel::audit() const noexcept {
  std::size_t count = 0;
  for (std::size_t index = 0; index < all_slots; ++index) {
    const bool bit = (in_use_[index / 64] >> index % 64 & 1) != 0;
    WRING_CHECK(bit == (slots_[index].head != nullptr), index, *this);
    timer* const* pointer = &slots_[index].head;
    for (; *pointer != nullptr; pointer = &(*pointer)->next, ++count) {
      const timer& t = **pointer;
      WRING_CHECK(t.pprev == pointer, index, &t, *this);
      WRING_CHECK(index_of(t.expiry_ns) == index, index, t.expiry_ns, *this);
    }
    WRING_CHECK(slots_[index].last == pointer, index, *this);
  }
  for (std::size_t word = 0; word < in_use_.size(); ++word) {
    WRING_CHECK((words_in_use_ >> word & 1) == (in_use_[word] != 0 ? 1u : 0u), word, *this);
  }
  WRING_CHECK(count == size_, count, *this);
}

void timer_wheel::describe(writer& w) const {
  w.put("timer_wheel{size=", size_, " tick=", tick_, " next_expiry_ns=", next_expiry().ns, "}");
}

}  // namespace wring::base
