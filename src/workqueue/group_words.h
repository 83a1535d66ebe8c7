// SPDX-License-Identifier: Apache-2.0
// group_words: the words of a task_group that several threads change.
//
// outstanding_: children that have not finished, but for those that are kept (kept_children.h), and below them three
// bits. forks, of a child: when it was queued, and whether it is kept.
#pragma once

#include "base/sync.h"

#include <cstdint>

namespace wring::detail {

namespace group_word {
inline constexpr std::uint32_t sleeper = 1;
inline constexpr std::uint32_t inside_sleeper = 2;  // a callback of the queue, too, or it is about to
inline constexpr std::uint32_t called = 4;          // one of those is called back, and has not gone yet
inline constexpr std::uint32_t one_child = 8;
// Of failed_.
inline constexpr std::uint32_t error_is_held = 1;
inline constexpr std::uint32_t error_is_there = 2;
}  // namespace group_word

inline constexpr std::uint32_t is_kept = std::uint32_t{1} << 31;

inline base::atomic_ref<std::uint32_t> atomically(std::uint32_t& word) noexcept {
  return base::atomic_ref<std::uint32_t>{word};
}

}  // namespace wring::detail
