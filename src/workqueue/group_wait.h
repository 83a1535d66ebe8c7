// SPDX-License-Identifier: Apache-2.0
// group_wait: a callback that sleeps in the middle of its item until its task_group's children have finished.
//
// It keeps its slot of max_active meanwhile. If no slot is free for a child, it alone can start that child, so it is
// called back to look again: README.md, 6.
// Lies on the stack of the one who sleeps; listed by the queue it is inside of, and guarded by who holds that.
#pragma once

#include "base/sync.h"

namespace wring {
class task_group;
}

namespace wring::detail {

struct group_wait {
  explicit group_wait(task_group& its_group) noexcept : group{its_group} {}
  group_wait(const group_wait&) = delete;
  group_wait& operator=(const group_wait&) = delete;

  task_group& group;
  base::atomic<bool> called{false};  // may be read by the sleeper without holding the queue
  group_wait* next = nullptr;
  group_wait* prev = nullptr;
};

}  // namespace wring::detail
