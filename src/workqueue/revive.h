// SPDX-License-Identifier: Apache-2.0
// revive: makes an item idle that another process, which forked this one, had queued (README.md, 9).
#pragma once

#include "base/fork.h"
#include "workqueue/item.h"

namespace wring::detail {

// The bits of item_state::forks as this process writes them.
inline std::uint64_t forks_now() noexcept {
  return (std::uint64_t{base::fork_generation()} << item_state::forks_shift) & item_state::forks_mask;
}

// Whether this process used the item last; `state` is its state word.
inline bool is_of_this_process(std::uint64_t state) noexcept {
  return ((state ^ forks_now()) & (item_state::forks_mask | item_state::reviving)) == 0;
}

void revive_slow(item& it) noexcept;

// Before anything else is done with an item.
inline void revive(item& it) noexcept {
  if (!is_of_this_process(state_of(it).load(base::order::relaxed))) [[unlikely]]
    revive_slow(it);
}

}  // namespace wring::detail
