// SPDX-License-Identifier: Apache-2.0
// interruptible_sim: base/interruptible.h as simulations have it. A signal that comes while its thread is in no call
// stays on its way, as a real one may for a moment, and hits the next call.
#include "base/interruptible.h"

namespace wring::base {

int choose_interrupt(int) noexcept { return 0; }

void interruptee::accept() noexcept {}

long interruptee::call(const atomic<std::uint64_t>& word, const call_arguments& call) noexcept {
  const auto& result = *reinterpret_cast<const atomic<std::uint32_t>*>(call.values[0]);
  if ((word.load(order::acquire) & call_cancelled) != 0) return -EINTR;  // pairs with who cancels
  for (;;) {
    if (const std::uint32_t r = result.load(order::acquire); r != 0) return r;  // pairs with the test
    if (state_.exchange(0, order::acquire) != 0) return -EINTR;                 // pairs with interrupt()
    futex_wait(state_, 0, clock::now() + std::chrono::milliseconds{10});        // nobody wakes it for the result
  }
}

int interruptee::interrupt() noexcept {
  state_.store(1, order::release);  // pairs with call()
  futex_wake(state_, 1);
  return 0;
}

void interruptee::take_interrupts() noexcept { state_.exchange(0, order::acquire); }  // pairs with interrupt()

}  // namespace wring::base
