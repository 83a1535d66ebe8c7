// SPDX-License-Identifier: Apache-2.0
// cgroup_mounts: in which groups of control a process or thread is, and where these can be looked at.
//
// The kernel says in proc/self/cgroup in which group of each hierarchy the process is, and in proc/self/mountinfo
// where a hierarchy, or a part of it, can be looked at. Both are paths as seen from the root of the cgroup namespace:
// "/../.." is two levels above it. What is returned points into the texts of these files.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wring::base {

inline constexpr std::size_t groups_bytes_max = std::size_t{256} << 10;  // a line of PATH_MAX for a dozen controllers
inline constexpr std::size_t mounts_bytes_max = std::size_t{32} << 20;   // the kernel allows 100000 mounts

// Cuts off and returns what stands before the separator, or all.
std::string_view take(std::string_view& text, char separator) noexcept;

// One of the first version by any of its controllers, or the one of the second.
struct cgroup_hierarchy {
  std::string_view controller;  // "" is version 2
  [[nodiscard]] bool v2() const noexcept { return controller.empty(); }
};

struct cgroup_membership {
  std::string_view controllers;  // "cpu,cpuacct"; ""; "name=systemd"
  std::string_view group;
};
// Of the lines "4:cpu,cpuacct:/a/b" and "0::/a/b".
std::vector<cgroup_membership> parse_memberships(std::string_view lines);
bool lists(std::string_view comma_separated, std::string_view word) noexcept;

// A group, seen from the root of the namespace: some levels up, then down by names.
struct cgroup_path {
  std::size_t up = 0;
  std::vector<std::string_view> names;
};
// None if that is no path the kernel writes.
std::optional<cgroup_path> parse_cgroup_path(std::string_view text);

struct cgroup_mount {
  std::string group;  // which one is at the top of what is mounted
  std::string point;
};
// A mount hides what was mounted at its point before.
std::vector<cgroup_mount> find_cgroup_mounts(std::string_view lines, cgroup_hierarchy hierarchy);

// The names that lead from the top of a mount to the group. None: the group is not below it. If the mount begins above
// the namespace and the group lies below that, the names between are secret, and only the top itself can be read.
std::optional<std::vector<std::string_view>> way_down(const cgroup_path& top, const cgroup_path& group);

}  // namespace wring::base
