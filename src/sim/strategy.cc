// SPDX-License-Identifier: Apache-2.0
#include "sim/strategy.h"

#include <bit>

namespace wring::sim {

std::uint32_t next_in_circle(slot_set set, std::uint32_t slot) noexcept {
  const slot_set above = slot + 1 < 32 ? set & ~((only(slot) << 1) - 1) : 0;
  return static_cast<std::uint32_t>(std::countr_zero(above != 0 ? above : set));
}

// The shares were tuned on eight planted faults of one protocol; what carries over is the mixture.
strategy::strategy(std::uint64_t seed) noexcept {
  rng random{seed ^ 0x5EED5EED5EED5EEDULL};
  const std::uint32_t of_8 = random.below(8);
  if (of_8 < 3) {
    kind_ = kind::burst;
    burst_ = 4U << random.below(4);
  } else if (of_8 < 5) {
    kind_ = kind::pct;
    changes_ = 1 + random.below(most_changes);
    // Runs are a hundred to a few thousand steps long.
    const std::uint32_t within = 64U << random.below(7);
    for (std::uint32_t i = 0; i < changes_; ++i) change_at_[i] = random.below(within);
  } else if (of_8 < 6) {
    kind_ = kind::pos;
  } else {
    kind_ = kind::random;
  }
  if (random.one_in(4)) stale_rate_ = 2;
  if (stale_rate_ != 2 && random.one_in(4)) faults_ = false;
  constexpr std::array<std::uint32_t, 4> timer_rates{0, 512, 128, 32};
  timer_rate_ = timer_rates[random.below(4)];
  spins_ = random.one_in(2);
}

const char* strategy::name() const noexcept {
  switch (kind_) {
    case kind::burst: return "burst";
    case kind::pct: return "pct";
    case kind::pos: return "pos";
    case kind::random: break;
  }
  return "random";
}

void strategy::thread_began(std::uint32_t slot, rng& random) noexcept {
  priority_[slot] = 1000 + static_cast<std::int64_t>(random.next() >> 33);
}

void strategy::thread_relaxed(std::uint32_t slot) noexcept { priority_[slot] = --lowest_; }

std::uint32_t strategy::highest(slot_set ready) const noexcept {
  auto best = static_cast<std::uint32_t>(std::countr_zero(ready));
  for (slot_set rest = ready & (ready - 1); rest != 0; rest &= rest - 1) {
    const auto s = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (priority_[s] > priority_[best]) best = s;
  }
  return best;
}

std::uint32_t strategy::pick(slot_set ready, std::uint32_t running, bool may_stay, std::uint64_t step,
                             rng& random) noexcept {
  switch (kind_) {
    case kind::pct:
      for (std::uint32_t i = 0; i < changes_; ++i) {
        // Below every thread that has not met a change, above those that relax.
        if (change_at_[i] == step) priority_[running] = 1 + i;
      }
      return highest(ready);
    case kind::pos: return highest(ready);
    case kind::burst:
      if (may_stay && !random.one_in(burst_)) return running;
      break;
    case kind::random: break;
  }
  slot_set rest = ready;
  for (std::uint32_t n = random.below(static_cast<std::uint32_t>(std::popcount(ready))); n > 0; --n) rest &= rest - 1;
  return static_cast<std::uint32_t>(std::countr_zero(rest));
}

void strategy::access_done(slot_set rivals, rng& random) noexcept {
  for (; rivals != 0; rivals &= rivals - 1) {
    thread_began(static_cast<std::uint32_t>(std::countr_zero(rivals)), random);
  }
}

}  // namespace wring::sim
