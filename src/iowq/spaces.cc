// SPDX-License-Identifier: Apache-2.0

#include "iowq/spaces.h"

namespace wring::detail {

namespace self = base::self;

bool changed_spaces::learn(identity_part parts) noexcept {
  for (const space_part& s : space_parts) {
    if (!has_any(parts & plain_spaces, s.part)) continue;
    base::handle& own = own_.at(static_cast<std::size_t>(s.which));
    own = base::handle{self::open_space(s.which)};
    if (!own) return false;
  }
  return true;
}

bool changed_spaces::change(identity_part touched, const identity_data* next) noexcept {
  return each_goal(touched, next, [](self::space which, const base::handle& goal) {
    return self::enter_space(which, goal.fd()) == 0;
  });
}

bool changed_spaces::are(identity_part touched, const identity_data* next, int me) const noexcept {
  return each_goal(touched, next, [me](self::space which, const base::handle& goal) {
    return self::space_of(me, which) == self::place_of(goal.fd());
  });
}

}  // namespace wring::detail
