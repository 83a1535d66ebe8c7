// SPDX-License-Identifier: Apache-2.0
// control_groups: the groups of control that a thread is in, one of each hierarchy that is mounted (IOWQ-U9).
//
// A group is held by a descriptor of its folder, and known by what that leads to. Where a thread is comes from /proc,
// by names, so it is asked before the root changes.
// Threads: changed_groups belong to the thread that they are of.
#pragma once

#include "base/thread_identity.h"

#include <vector>

namespace wring::detail {

struct control_group {
  base::handle folder;
  base::place where;
  base::self::group_kind kind;
};
// Of a descriptor of a folder; kind `none`: that is no group.
control_group control_group_of(base::handle folder) noexcept;

// Those of the calling thread that are visible; none also if /proc does not tell, then `error` is the reason, else 0.
// Throws std::bad_alloc.
std::vector<control_group> ask_control_groups(int& error);

// The thread's own, and what became of them.
class changed_groups {
 public:
  // Asks what is the thread's own, before the first change. Throws std::bad_alloc.
  void learn();
  // False: asked, it is not there. What `next` does not speak of is the thread's own. Asking needs memory; where there
  // is none, it is not there.
  bool enter(const std::vector<control_group>& next) noexcept;
  // Forgets what was learned, once all of that is the thread's own.
  void forget() noexcept { own_.clear(); }

 private:
  std::vector<control_group> own_;
};

}  // namespace wring::detail
