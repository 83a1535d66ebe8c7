// SPDX-License-Identifier: Apache-2.0

#include "workqueue/revive.h"

#include "base/patience.h"

namespace wring::detail {

// Whoever sets `reviving` together with the new number of forks resets the rest, but for how often it is disabled.
// Others wait for the end of that, a few instructions, and set nothing but `pending` meanwhile, which the end takes
// away again (queue()).
void revive_slow(item& it) noexcept {
  const auto state = state_of(it);
  const std::uint64_t now = forks_now();
  for (base::patience p;; p.pause()) {
    std::uint64_t seen = state.load(base::order::acquire);  // pairs with the store below
    if ((seen & item_state::forks_mask) == now) {
      if ((seen & item_state::reviving) == 0) return;
    } else if (const std::uint64_t kept = now | (seen & item_state::disabled_mask); state.compare_exchange_strong(
                   seen, kept | item_state::reviving, base::order::acquire, base::order::relaxed)) {
      it.next = nullptr;
      it.prev = nullptr;
      place_of(it).store(0, base::order::relaxed);
      if ((seen & item_state::timed) != 0) {
        base::timer& t = item_access::timer_behind(it);
        t.next = nullptr;
        t.pprev = nullptr;
        base::atomic_ref<std::uint64_t>{t.cookie}.store(0, base::order::relaxed);
        base::atomic_ref<std::uint64_t>{t.tag}.store(0, base::order::relaxed);
      }
      state.store(kept, base::order::release);
      return;
    }
  }
}

}  // namespace wring::detail
