// SPDX-License-Identifier: Apache-2.0
// bias: makes a mutex cheap for one thread. The owner enters with two plain stores and a load; everybody
// else is a visitor, holds the mutex, and pays for a heavy fence.
//
// Lives in the worker that leads a queue; the mutex is the queue's. Protocol (B):
//   owner    B1 inside = 1   fence_light   B2 visitors == 0 ? enter : (inside = 0, take the mutex)
//   visitor  B3 visitors + 1   fence_heavy   B4 wait until inside == 0          (holding the mutex)
// The fences order B1 before B2 and B3 before B4 in one order of all four. If B1 comes first, B4 waits for
// the owner's section to end; if B3 comes first, B2 sees the visitor. So never both.
// A visitor that leaves a message keeps itself counted; the owner then takes the mutex at its next entry,
// reads the message and takes the count down itself (acknowledge).
// Threads: enter(), leave(), acknowledge(): the owner. exclude(), readmit(): the mutex's holder.
#pragma once

#include "base/sync.h"

namespace wring::base {

class bias {
 public:
  [[nodiscard]] bool enter() noexcept {
    inside_.store(1, order::relaxed);  // (B1) ordered by the fence pair
    fence_light();
    if (visitors_.load(order::acquire) == 0) return true;  // (B2) pairs with readmit()
    if (WRING_PLANT(bias_ignores_visitor)) return true;
    inside_.store(0, order::release);
    return false;
  }
  void leave() noexcept { inside_.store(0, order::release); }  // pairs with (B4)

  void exclude() noexcept {
    visitors_.fetch_add(1, order::seq_cst);  // (B3)
    fence_heavy();
    // The owner's section has no user code in it; but its thread may be off its CPU.
    for (unsigned spins = 0; inside_.load(order::acquire) != 0; ++spins) {  // (B4) pairs with leave()
      if (spins < 100) {
        cpu_relax();
      } else {
        yield();
      }
    }
  }
  void readmit() noexcept { visitors_.fetch_sub(1, order::release); }  // pairs with (B2)
  // A message without a visit: the caller is the owner itself, or the owner will take the mutex anyway.
  void knock() noexcept { visitors_.fetch_add(1, order::relaxed); }
  void acknowledge(std::uint32_t messages) noexcept { visitors_.fetch_sub(messages, order::relaxed); }

  [[nodiscard]] std::uint32_t visitors() const noexcept { return visitors_.load(order::relaxed); }

 private:
  atomic<std::uint32_t> inside_{0};
  atomic<std::uint32_t> visitors_{0};
};

}  // namespace wring::base
