// SPDX-License-Identifier: Apache-2.0
// spaces: the namespaces of a thread that stand for themselves: net, uts, ipc. That of mounts is in places.h.
// Threads: changed_spaces belong to the thread that they are of.
#pragma once

#include "base/thread_identity.h"
#include "iowq/identity.h"

#include <array>

namespace wring::detail {

inline constexpr identity_part plain_spaces =
    identity_part::net_namespace | identity_part::uts_namespace | identity_part::ipc_namespace;

class changed_spaces {
 public:
  // Asks what is the thread's own, before a change to the first identity that has one of `parts`. False: refused.
  bool learn(identity_part parts) noexcept;
  // To what `next` has; what it leaves out, of `touched`, becomes the thread's own. False: something was refused.
  bool change(identity_part touched, const identity_data* next) noexcept;
  // The same as a question; `me`: by open_self().
  [[nodiscard]] bool are(identity_part touched, const identity_data* next, int me) const noexcept;
  // Forgets what was learned, once all of that is the thread's own.
  void forget() noexcept { own_ = {}; }

 private:
  // Calls f(kind, its handle in `next` or the own one) for each that is concerned; stops at false.
  template <class F>
  bool each_goal(identity_part touched, const identity_data* next, const F& f) const noexcept {
    for (const space_part& s : space_parts) {
      if (!has_any(plain_spaces, s.part)) continue;
      const bool given = next != nullptr && next->has(s.part);
      if (!given && !has_any(touched, s.part)) continue;
      const base::handle& goal = given ? next->space(s.which) : own_.at(static_cast<std::size_t>(s.which));
      if (!f(s.which, goal)) return false;
    }
    return true;
  }

  std::array<base::handle, space_parts.size()> own_;
};

}  // namespace wring::detail
