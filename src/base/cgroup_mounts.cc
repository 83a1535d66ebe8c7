// SPDX-License-Identifier: Apache-2.0

#include "base/cgroup_mounts.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

namespace wring::base {

std::string_view take(std::string_view& text, char separator) noexcept {
  const std::size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

bool lists(std::string_view comma_separated, std::string_view word) noexcept {
  while (!comma_separated.empty()) {
    if (take(comma_separated, ',') == word) return true;
  }
  return false;
}

std::vector<cgroup_membership> parse_memberships(std::string_view lines) {
  std::vector<cgroup_membership> found;
  while (!lines.empty()) {
    std::string_view group = take(lines, '\n');
    const std::string_view id = take(group, ':');
    const std::string_view controllers = take(group, ':');
    if (!controllers.empty() || (id == "0" && !group.empty())) found.push_back({controllers, group});
  }
  return found;
}

std::optional<cgroup_path> parse_cgroup_path(std::string_view text) {
  if (text.empty() || text.front() != '/') return std::nullopt;
  cgroup_path path;
  while (!text.empty()) {
    const std::string_view name = take(text, '/');
    if (name.empty()) continue;
    if (name == "." || (name == ".." && !path.names.empty())) return std::nullopt;
    if (name == "..") {
      ++path.up;
    } else {
      path.names.push_back(name);
    }
  }
  return path;
}

namespace {

// mountinfo writes blanks, newlines and backslashes as \040.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '\\' && i + 3 < text.size() && std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3) {
      plain.push_back(static_cast<char>(code));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

struct any_mount {
  cgroup_mount what;
  bool right;  // it is of the hierarchy that is looked for
};

// "36 35 98:0 /group /point rw,noatime master:1 - cgroup cgroup rw,cpu,cpuacct"
any_mount parse_mount(std::string_view line, cgroup_hierarchy hierarchy) {
  for (int i = 0; i < 3; ++i) take(line, ' ');
  any_mount m{.what = {.group = unescape(take(line, ' ')), .point = unescape(take(line, ' '))}, .right = false};
  while (!line.empty() && take(line, ' ') != "-") {
  }
  const std::string_view type = take(line, ' ');
  take(line, ' ');
  m.right = hierarchy.v2() ? type == "cgroup2" : type == "cgroup" && lists(take(line, ' '), hierarchy.controller);
  return m;
}

}  // namespace

std::vector<cgroup_mount> find_cgroup_mounts(std::string_view lines, cgroup_hierarchy hierarchy) {
  std::vector<cgroup_mount> found;
  while (!lines.empty()) {
    any_mount m = parse_mount(take(lines, '\n'), hierarchy);
    std::erase_if(found, [&](const cgroup_mount& before) { return before.point == m.what.point; });
    if (m.right) found.push_back(std::move(m.what));
  }
  return found;
}

std::optional<std::vector<std::string_view>> way_down(const cgroup_path& top, const cgroup_path& group) {
  if (top.up > group.up && top.names.empty()) return std::vector<std::string_view>{};
  if (top.up != group.up || top.names.size() > group.names.size()) return std::nullopt;
  const auto rest = std::mismatch(top.names.begin(), top.names.end(), group.names.begin()).second;
  if (rest != group.names.begin() + static_cast<std::ptrdiff_t>(top.names.size())) return std::nullopt;
  return std::vector<std::string_view>{rest, group.names.end()};
}

}  // namespace wring::base
