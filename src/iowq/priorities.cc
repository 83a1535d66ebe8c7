// SPDX-License-Identifier: Apache-2.0

#include "iowq/priorities.h"

#include "base/syscall.h"
#include "base/thread_identity.h"

#include <linux/capability.h>

namespace wring::detail {

namespace self = base::self;

namespace {

constexpr identity_part io = identity_part::io_priority;
constexpr identity_part nice = identity_part::nice;

bool has(const identity_data* next, identity_part part) noexcept { return next != nullptr && next->has(part); }

}  // namespace

int plain_io_priority(int value) noexcept {
  constexpr int class_shift = 13;
  return value >> class_shift == 0 ? 0 : value;
}

void changed_priorities::learn(identity_part parts) noexcept {
  if (has_any(parts, io)) io_ = plain_io_priority(self::io_priority());
  if (has_any(parts, nice)) nice_ = base::syscall::current_nice();
}

// To its own value, which is known, from a nicer one.
bool changed_priorities::may_come_back() const noexcept {
  if (self::nice_limit() <= nice_) return true;
  self::capability_set capabilities;
  self::capabilities(capabilities);
  if ((capabilities.effective & self::capability_bit(CAP_SYS_NICE)) == 0) return false;
  // It may be one of a user namespace only, which counts for nothing here. Nothing tells but a less nice value.
  constexpr int lowest = -20;
  return nice_ == lowest || base::syscall::set_nice(nice_ - 1) == 0;
}

bool changed_priorities::change(identity_part touched, const identity_data* next) noexcept {
  bool done = true;
  if (has(next, io)) {
    done = self::set_io_priority(next->io_priority) >= 0;
  } else if (has_any(touched, io)) {
    done = self::set_io_priority(io_) >= 0;
  }
  if (has(next, nice)) {
    done = done && (next->nice <= nice_ || may_come_back()) && base::syscall::set_nice(next->nice) == 0;
  } else if (has_any(touched, nice)) {
    done = base::syscall::set_nice(nice_) == 0 && done;
  }
  return done;
}

bool changed_priorities::are(identity_part touched, const identity_data* next) const noexcept {
  const int io_goal = has(next, io) ? next->io_priority : io_;
  const int nice_goal = has(next, nice) ? next->nice : nice_;
  return ((!has(next, io) && !has_any(touched, io)) || plain_io_priority(self::io_priority()) == io_goal) &&
         ((!has(next, nice) && !has_any(touched, nice)) || base::syscall::current_nice() == nice_goal);
}

}  // namespace wring::detail
