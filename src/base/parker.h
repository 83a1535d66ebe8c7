// SPDX-License-Identifier: Apache-2.0
// parker: one thread sleeps here until another one says go. completion: a thing that happens once.
//
// Threads: park() only the owner; unpark() any thread. One unpark() before park() is remembered.
// Pairing: unpark's exchange (release) with park's exchange (acquire): what the waker did before is seen.
#pragma once

#include "base/sync.h"

namespace wring::base {

class parker {
 public:
  // Returns after an unpark(), which it consumes; false if `deadline` passed first.
  bool park(instant deadline = never) noexcept {
    for (;;) {
      if (token_.exchange(empty, order::acquire) == go) return true;  // pairs with unpark()
      std::uint32_t expected = empty;
      if (!token_.compare_exchange_strong(expected, asleep, order::relaxed, order::relaxed)) continue;
      const int r = futex_wait(token_, asleep, deadline);
      if (r == -ETIMEDOUT) return token_.exchange(empty, order::acquire) == go;  // pairs with unpark()
    }
  }
  void unpark() noexcept {
    if (WRING_PLANT(dropped_wakeup)) {
      token_.exchange(go, order::release);
      return;
    }
    if (token_.exchange(go, order::release) == asleep) futex_wake(token_, 1);  // pairs with park()
  }

 private:
  enum : std::uint32_t { empty, go, asleep };
  atomic<std::uint32_t> token_{empty};
};

// Lies on the stack of the one who waits; whoever completes it does not touch it afterwards. (The wake-up
// itself may reach an address that has a new owner by then: every futex wait here tolerates that.)
template <class Word = atomic<std::uint32_t>>
class basic_completion {
 public:
  basic_completion() noexcept = default;
  explicit basic_completion(Word word) noexcept : word_{word} {}

  void complete() noexcept {
    // From the exchange on, the owner may be gone; what follows uses only the address.
    if (word_.exchange(done, order::release) == waited_for) futex_wake(word_, 1 << 30);  // pairs with wait()
  }
  [[nodiscard]] bool completed() const noexcept { return word_.load(order::acquire) == done; }  // pairs with complete()
  // False if `deadline` passed first. Several threads may wait.
  bool wait(instant deadline = never) noexcept {
    for (;;) {
      std::uint32_t seen = word_.load(order::acquire);  // pairs with complete()
      if (seen == done) return true;
      if (seen == fresh && !word_.compare_exchange_strong(seen, waited_for, order::acquire, order::acquire)) continue;
      if (futex_wait(word_, waited_for, deadline) == -ETIMEDOUT) return completed();
    }
  }

 private:
  enum : std::uint32_t { fresh, done, waited_for };
  Word word_;
};

using completion = basic_completion<>;

}  // namespace wring::base
