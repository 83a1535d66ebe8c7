// SPDX-License-Identifier: Apache-2.0

#include "iowq/places.h"

#include <utility>

namespace wring::detail {

namespace self = base::self;

namespace {

constexpr identity_part moves_root = identity_part::root | identity_part::mount_namespace;
constexpr identity_part moves_folder = identity_part::folder | moves_root;

bool has(const identity_data* next, identity_part part) noexcept { return next != nullptr && next->has(part); }

identity_part concerned(identity_part touched, const identity_data* next) noexcept {
  return next != nullptr ? touched | next->parts : touched;
}

}  // namespace

bool changed_places::learn(identity_part parts) noexcept {
  if (!has_any(parts, all_places)) return true;
  if (!unshared_ && self::unshare_places() != 0) return false;
  unshared_ = true;
  if (has_any(parts, identity_part::umask)) {
    umask_ = self::set_umask(0);  // there is no call that only asks
    self::set_umask(umask_);
  }
  if (has_any(parts, identity_part::mount_namespace)) mounts_ = base::handle{self::open_space(self::space::mount)};
  if (has_any(parts, moves_root)) root_ = base::handle{self::open_folder("/")};
  if (has_any(parts, moves_folder)) folder_ = base::handle{self::open_folder(".")};
  return (mounts_ || !has_any(parts, identity_part::mount_namespace)) && (root_ || !has_any(parts, moves_root)) &&
         (folder_ || !has_any(parts, moves_folder));
}

// Whatever is refused, the rest is tried: it may be the way back. The umask last, as /proc is asked for it.
bool changed_places::change(identity_part touched, const identity_data* next) noexcept {
  const identity_part parts = concerned(touched, next);
  bool done = !has_any(parts, identity_part::mount_namespace) || change_mounts(next);
  done = (!has_any(parts, moves_root) || change_root(next)) && done;
  done = (!has_any(parts, moves_folder) || change_folder(next)) && done;
  if (has_any(parts, identity_part::umask))
    self::set_umask(has(next, identity_part::umask) ? next->umask : own_umask());
  return done;
}

bool changed_places::change_mounts(const identity_data* next) const noexcept {
  const base::handle& to = has(next, identity_part::mount_namespace) ? next->space(self::space::mount) : mounts_;
  return self::enter_space(self::space::mount, to.fd()) == 0;
}

bool changed_places::change_root(const identity_data* next) const noexcept {
  const base::handle* const to = goal_root(next);
  return to == nullptr || self::enter_root(to->fd()) == 0;
}

bool changed_places::change_folder(const identity_data* next) noexcept {
  // Where the process is now; from another root there is no /proc to ask.
  if (!has(next, moves_folder)) {
    if (base::handle now{self::open_folder_of(home_)}) folder_ = std::move(now);
  }
  const base::handle* const to = goal_folder(next);
  return to == nullptr || self::enter_folder(to->fd()) == 0;
}

std::uint32_t changed_places::own_umask() noexcept {
  if (const int now = self::umask_of(home_); now >= 0) umask_ = static_cast<std::uint32_t>(now);
  return umask_;
}

const base::handle* changed_places::goal_root(const identity_data* next) const noexcept {
  if (has(next, identity_part::root)) return &next->root;
  return has(next, identity_part::mount_namespace) ? nullptr : &root_;
}

const base::handle* changed_places::goal_folder(const identity_data* next) const noexcept {
  if (has(next, identity_part::folder)) return &next->folder;
  return has(next, identity_part::mount_namespace) ? nullptr : &folder_;
}

bool changed_places::are(identity_part touched, const identity_data* next, int me) const noexcept {
  const identity_part parts = concerned(touched, next);
  const auto is = [](const base::place& now, const base::handle* goal) {
    return goal == nullptr || now == self::place_of(goal->fd());
  };
  const std::uint32_t umask = has(next, identity_part::umask) ? next->umask : umask_;
  const base::handle& mounts = has(next, identity_part::mount_namespace) ? next->space(self::space::mount) : mounts_;
  return (!has_any(parts, identity_part::umask) || self::set_umask(umask) == umask) &&
         (!has_any(parts, identity_part::mount_namespace) || is(self::space_of(me, self::space::mount), &mounts)) &&
         (!has_any(parts, moves_root) || is(self::root(), goal_root(next))) &&
         (!has_any(parts, moves_folder) || is(self::folder(), goal_folder(next)));
}

void changed_places::forget() noexcept {
  mounts_ = base::handle{};
  root_ = base::handle{};
  folder_ = base::handle{};
}

}  // namespace wring::detail
