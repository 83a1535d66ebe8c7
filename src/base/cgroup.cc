// SPDX-License-Identifier: Apache-2.0
//
// The kernel says in proc/self/cgroup in which group of each hierarchy the process is, and in proc/self/mountinfo
// where a hierarchy, or a part of it, can be looked at. Both are paths as seen from the root of the cgroup namespace:
// "/../.." is two levels above it.

#include "base/cgroup.h"

#include "base/check.h"
#include "base/syscall.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>
#include <vector>

namespace wring::base {

namespace {

constexpr std::size_t groups_bytes_max = std::size_t{256} << 10;  // a line of PATH_MAX for each of a dozen controllers
constexpr std::size_t mounts_bytes_max = std::size_t{32} << 20;   // the kernel allows 100000 mounts
constexpr std::size_t quota_bytes_max = 256;

// Cuts off and returns what stands before the separator, or all.
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

// --- where the process is -----------------------------------------------------------------------------------

// A group, seen from the root of the namespace: some levels up, then down by names.
struct group_path {
  std::size_t up = 0;
  std::vector<std::string_view> names;
};

// None if that is no path the kernel writes.
std::optional<group_path> parse_group(std::string_view text) {
  if (text.empty() || text.front() != '/') return std::nullopt;
  group_path path;
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

enum class version : std::uint8_t { v1, v2 };

struct membership {
  version hierarchy;
  std::string_view group;
};

// Lines "4:cpu,cpuacct:/a/b" and "0::/a/b". Who has the cpu controller in v1 does not have it in v2.
std::optional<membership> find_membership(std::string_view lines) {
  std::optional<membership> unified;
  while (!lines.empty()) {
    std::string_view group = take(lines, '\n');
    const std::string_view id = take(group, ':');
    const std::string_view controllers = take(group, ':');
    if (lists(controllers, "cpu")) return membership{version::v1, group};
    if (id == "0" && controllers.empty() && !group.empty()) unified = membership{version::v2, group};
  }
  return unified;
}

// --- where it can be looked at ------------------------------------------------------------------------------

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

struct mount {
  std::string group;  // which one is at the top of what is mounted
  std::string point;
  bool right;  // it is of the hierarchy that is looked for
};

// "36 35 98:0 /group /point rw,noatime master:1 - cgroup cgroup rw,cpu,cpuacct"
mount parse_mount(std::string_view line, version hierarchy) {
  for (int i = 0; i < 3; ++i) take(line, ' ');
  mount m{.group = unescape(take(line, ' ')), .point = unescape(take(line, ' ')), .right = false};
  while (!line.empty() && take(line, ' ') != "-") {
  }
  const std::string_view type = take(line, ' ');
  take(line, ' ');
  m.right = hierarchy == version::v2 ? type == "cgroup2" : type == "cgroup" && lists(take(line, ' '), "cpu");
  return m;
}

// A mount hides what was mounted at its point before.
std::vector<mount> find_mounts(std::string_view lines, version hierarchy) {
  std::vector<mount> found;
  while (!lines.empty()) {
    mount m = parse_mount(take(lines, '\n'), hierarchy);
    std::erase_if(found, [&](const mount& before) { return before.point == m.point; });
    if (m.right) found.push_back(std::move(m));
  }
  return found;
}

// The names that lead from the top of a mount to the group. None: the group is not below it. If the mount begins above
// the namespace and the group lies below that, the names between are secret, and only the top itself can be read.
std::optional<std::vector<std::string_view>> way_down(const group_path& top, const group_path& group) {
  if (top.up > group.up && top.names.empty()) return std::vector<std::string_view>{};
  if (top.up != group.up || top.names.size() > group.names.size()) return std::nullopt;
  const auto rest = std::mismatch(top.names.begin(), top.names.end(), group.names.begin()).second;
  if (rest != group.names.begin() + static_cast<std::ptrdiff_t>(top.names.size())) return std::nullopt;
  return std::vector<std::string_view>{rest, group.names.end()};
}

// --- what is said there -------------------------------------------------------------------------------------

struct quota_text {
  std::string file;
  std::string text;
};

std::string error_text(int error) { return std::generic_category().message(-error); }

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

unsigned cpus_for(std::int64_t quota, std::int64_t period) noexcept {
  const std::int64_t cpus = quota / period + (quota % period != 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::int64_t>(cpus, std::numeric_limits<unsigned>::max()));
}

// Reads the groups one by one and keeps the least.
class least_quota {
 public:
  explicit least_quota(version hierarchy) noexcept : hierarchy_{hierarchy} {}

  void look_at(const std::string& folder) {
    if (hierarchy_ == version::v2) {
      look_at_v2(folder);
    } else {
      look_at_v1(folder);
    }
  }

  cpu_quota result() && {
    if (cpus_) return {cpus_, complaint_.empty() ? std::move(why_) : why_ + "; " + complaint_};
    if (!complaint_.empty()) return {std::nullopt, std::move(complaint_)};
    return {std::nullopt, files_ == 0 ? "no group of the process has a cpu controller" : "no group sets a limit"};
  }

 private:
  // "max 100000", "150000 100000"
  void look_at_v2(const std::string& folder) {
    const std::string file = folder + "/cpu.max";
    std::string text;
    if (!read(file, text)) return;
    std::string_view period = text;
    const std::string_view quota = take(period, ' ');
    if (quota != "max") judge(file, quota, period);
  }

  // -1 is none.
  void look_at_v1(const std::string& folder) {
    const std::string file = folder + "/cpu.cfs_quota_us";
    std::string quota;
    std::string period;
    if (read(file, quota) && quota != "-1" && read(folder + "/cpu.cfs_period_us", period)) judge(file, quota, period);
  }

  // Without the line's end. A file that is missing is a group without the controller: the top of v2, for example.
  bool read(const std::string& file, std::string& text) {
    const int error = syscall::read_file(file.c_str(), quota_bytes_max, text);
    if (error == -ENOENT) return false;
    ++files_;
    if (error != 0) complain("cannot read ", file, ": ", error_text(error));
    if (text.ends_with('\n')) text.pop_back();
    return error == 0;
  }

  void judge(const std::string& file, std::string_view quota, std::string_view period) {
    const auto q = number_in(quota);
    const auto p = number_in(period);
    if (!q || !p || *q <= 0 || *p <= 0) return complain("cannot make sense of ", file);
    const unsigned cpus = cpus_for(*q, *p);
    if (cpus_ && *cpus_ <= cpus) return;
    cpus_ = cpus;
    writer w;
    w.put(file, " allows ", *q, " us of each ", *p, " us");
    why_ = std::move(w).take();
  }

  // The first one is kept.
  template <class... Values>
  void complain(const Values&... values) {
    if (!complaint_.empty()) return;
    writer w;
    w.put(values...);
    complaint_ = std::move(w).take();
  }

  version hierarchy_;
  unsigned files_ = 0;
  std::optional<unsigned> cpus_;
  std::string why_;
  std::string complaint_;
};

// The group itself, then every one above it, up to the top of the mount.
void climb(least_quota& least, std::string folder, const std::vector<std::string_view>& names) {
  std::vector<std::size_t> ends{folder.size()};
  for (const std::string_view name : names) {
    folder.append("/").append(name);
    ends.push_back(folder.size());
  }
  for (; !ends.empty(); ends.pop_back()) {
    folder.resize(ends.back());
    least.look_at(folder);
  }
}

cpu_quota unknown(std::string why) { return {std::nullopt, std::move(why)}; }

}  // namespace

cpu_quota read_cpu_quota(const std::string& root) {
  const std::string base = root.ends_with('/') ? root.substr(0, root.size() - 1) : root;
  std::string groups;
  std::string mounts;
  if (const int e = syscall::read_file((base + "/proc/self/cgroup").c_str(), groups_bytes_max, groups); e != 0) {
    return unknown("cannot read " + base + "/proc/self/cgroup: " + error_text(e));
  }
  const std::optional<membership> member = find_membership(groups);
  if (!member) return unknown("the process is in no cgroup that could have a cpu controller");
  const std::optional<group_path> group = parse_group(member->group);
  if (!group) return unknown("cannot make sense of " + base + "/proc/self/cgroup");
  if (const int e = syscall::read_file((base + "/proc/self/mountinfo").c_str(), mounts_bytes_max, mounts); e != 0) {
    return unknown("cannot read " + base + "/proc/self/mountinfo: " + error_text(e));
  }

  least_quota least{member->hierarchy};
  bool visible = false;
  for (const mount& m : find_mounts(mounts, member->hierarchy)) {
    const std::optional<group_path> top = parse_group(m.group);
    const auto names = top ? way_down(*top, *group) : std::nullopt;
    if (!names) continue;
    visible = true;
    climb(least, base + m.point, *names);
  }
  if (!visible) return unknown("the process's cgroup " + std::string{member->group} + " is below no mount");
  return std::move(least).result();
}

}  // namespace wring::base
