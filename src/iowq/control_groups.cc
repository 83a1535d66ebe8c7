// SPDX-License-Identifier: Apache-2.0

#include "iowq/control_groups.h"

#include "base/cgroup_mounts.h"
#include "base/syscall.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace wring::detail {

namespace self = base::self;

namespace {

// The folder of a group, from the first mount that shows it.
std::optional<std::string> folder_of(const base::cgroup_membership& m, std::string_view mounts) {
  std::string_view controllers = m.controllers;
  const base::cgroup_hierarchy hierarchy{base::take(controllers, ',')};
  const auto group = base::parse_cgroup_path(m.group);
  if (!group) return std::nullopt;
  for (const base::cgroup_mount& mount : base::find_cgroup_mounts(mounts, hierarchy)) {
    const auto top = base::parse_cgroup_path(mount.group);
    const auto names = top && top->up == group->up ? base::way_down(*top, *group) : std::nullopt;
    if (!names) continue;
    std::string folder = mount.point;
    for (const std::string_view name : *names) folder.append("/").append(name);
    return folder;
  }
  return std::nullopt;
}

const control_group* find_hierarchy(const std::vector<control_group>& groups, const base::place& where) noexcept {
  const auto found =
      std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.where.device == where.device; });
  return found != groups.end() ? &*found : nullptr;
}

// All that a thread with those of its own should be in.
const control_group& goal_of(const control_group& own, const std::vector<control_group>& next) noexcept {
  const control_group* const wanted = find_hierarchy(next, own.where);
  return wanted != nullptr ? *wanted : own;
}

}  // namespace

control_group control_group_of(base::handle folder) noexcept {
  const base::place where = base::self::place_of(folder.fd());
  const self::group_kind kind = self::group_kind_of(folder.fd());
  return {.folder = std::move(folder), .where = where, .kind = kind};
}

std::vector<control_group> ask_control_groups(int& error) {
  std::vector<control_group> found;
  std::string groups;
  std::string mounts;
  error = base::syscall::read_file("/proc/thread-self/cgroup", base::groups_bytes_max, groups);
  if (error == 0) error = base::syscall::read_file("/proc/thread-self/mountinfo", base::mounts_bytes_max, mounts);
  if (error != 0) return found;
  for (const base::cgroup_membership& m : base::parse_memberships(groups)) {
    const auto path = folder_of(m, mounts);
    if (!path) continue;
    base::handle folder{self::open_folder(path->c_str())};
    if (folder.fd() == -EMFILE || folder.fd() == -ENFILE) error = folder.fd();
    if (folder) found.push_back(control_group_of(std::move(folder)));
  }
  return found;
}

void changed_groups::learn() {
  int error = 0;
  own_ = ask_control_groups(error);
}

bool changed_groups::enter(const std::vector<control_group>& next) noexcept {
  try {
    int error = 0;
    for (const control_group& now : ask_control_groups(error)) {
      const control_group* const own = find_hierarchy(own_, now.where);
      if (own == nullptr) continue;
      const control_group& wanted = goal_of(*own, next);
      if (now.where != wanted.where) self::enter_group(wanted.kind, wanted.folder.fd());
    }
    const std::vector<control_group> reached = ask_control_groups(error);
    const auto is_there = [&](const control_group& wanted) {
      const control_group* const now = find_hierarchy(reached, wanted.where);
      return now != nullptr && now->where == wanted.where;
    };
    return std::all_of(next.begin(), next.end(), is_there) &&
           std::all_of(own_.begin(), own_.end(), [&](const auto& own) { return is_there(goal_of(own, next)); });
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace wring::detail
