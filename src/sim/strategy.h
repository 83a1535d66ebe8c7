// SPDX-License-Identifier: Apache-2.0
// strategy: who goes on next. The seed chooses one of four ways, since none finds everything.
//
//   burst   stay on a thread for a while, then any other         finds most
//   pct     random priorities that change at few random steps    finds what needs few, well placed switches
//   pos     the highest priority runs; accesses to the same word draw anew   samples orders, not steps
//   random  anybody at each step                                 finds what needs many switches
//
// All parameters come from the seed and nothing from earlier runs, or a seed would not replay alone.
#pragma once

#include "sim/rng.h"
#include "sim/vector_clock.h"

#include <array>
#include <cstdint>

namespace wring::sim {

// A set of thread slots.
using slot_set = std::uint32_t;
constexpr slot_set only(std::uint32_t slot) noexcept { return slot_set{1} << slot; }

// The member after `slot` in a circle.
std::uint32_t next_in_circle(slot_set set, std::uint32_t slot) noexcept;

class strategy {
 public:
  explicit strategy(std::uint64_t seed = 0) noexcept;

  [[nodiscard]] const char* name() const noexcept;
  // One of this many loads may be stale, one of this many steps jumps to the next timer; 0: none.
  [[nodiscard]] std::uint32_t stale_rate() const noexcept { return stale_rate_; }
  [[nodiscard]] std::uint32_t timer_rate() const noexcept { return timer_rate_; }
  // cpu_relax() says that a thread cannot go on until another moves, but a bounded spin can: it gives up. In
  // some seeds it is let spin, or nobody would ever be late for its last look.
  [[nodiscard]] bool spins() const noexcept { return spins_; }
  [[nodiscard]] bool faults() const noexcept { return faults_; }

  void thread_began(std::uint32_t slot, rng& random) noexcept;
  // The thread cannot go on until another has moved: everybody else first.
  void thread_relaxed(std::uint32_t slot) noexcept;
  // The thread could have gone on for long and was never picked: it comes first now.
  void thread_starves(std::uint32_t slot) noexcept { priority_[slot] = ++highest_; }
  // One of `ready`; `may_stay`: the running thread is among them and nothing forces it to leave.
  std::uint32_t pick(slot_set ready, std::uint32_t running, bool may_stay, std::uint64_t step, rng& random) noexcept;
  // `rivals`: the ready threads whose next operation conflicts with the one that is now done.
  [[nodiscard]] bool wants_rivals() const noexcept { return kind_ == kind::pos; }
  void access_done(slot_set rivals, rng& random) noexcept;

 private:
  enum class kind : std::uint8_t { burst, pct, pos, random };
  static constexpr std::uint32_t most_changes = 5;

  [[nodiscard]] std::uint32_t highest(slot_set ready) const noexcept;

  kind kind_ = kind::random;
  bool faults_ = true;
  bool spins_ = false;
  std::uint32_t stale_rate_ = 4;
  std::uint32_t timer_rate_ = 0;
  std::uint32_t burst_ = 8;
  std::uint32_t changes_ = 0;
  std::array<std::uint64_t, most_changes> change_at_{};
  std::int64_t lowest_ = 0;
  std::int64_t highest_ = std::int64_t{1} << 40;  // above all that are drawn
  std::array<std::int64_t, max_threads> priority_{};
};

}  // namespace wring::sim
