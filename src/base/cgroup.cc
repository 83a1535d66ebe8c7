// SPDX-License-Identifier: Apache-2.0

#include "base/cgroup.h"

#include "base/cgroup_mounts.h"
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

constexpr std::size_t quota_bytes_max = 256;

// Who has the cpu controller in version 1 does not have it in version 2.
std::optional<cgroup_membership> find_membership(std::string_view lines) {
  std::optional<cgroup_membership> unified;
  for (const cgroup_membership& m : parse_memberships(lines)) {
    if (lists(m.controllers, "cpu")) return m;
    if (m.controllers.empty()) unified = m;
  }
  return unified;
}

// --- what is said there -------------------------------------------------------------------------------------

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
  explicit least_quota(cgroup_hierarchy hierarchy) noexcept : hierarchy_{hierarchy} {}

  void look_at(const std::string& folder) {
    if (hierarchy_.v2()) {
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

  cgroup_hierarchy hierarchy_;
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
  const std::optional<cgroup_membership> member = find_membership(groups);
  if (!member) return unknown("the process is in no cgroup that could have a cpu controller");
  const std::optional<cgroup_path> group = parse_cgroup_path(member->group);
  if (!group) return unknown("cannot make sense of " + base + "/proc/self/cgroup");
  if (const int e = syscall::read_file((base + "/proc/self/mountinfo").c_str(), mounts_bytes_max, mounts); e != 0) {
    return unknown("cannot read " + base + "/proc/self/mountinfo: " + error_text(e));
  }

  const cgroup_hierarchy hierarchy{member->controllers.empty() ? "" : "cpu"};
  least_quota least{hierarchy};
  bool visible = false;
  for (const cgroup_mount& m : find_cgroup_mounts(mounts, hierarchy)) {
    const std::optional<cgroup_path> top = parse_cgroup_path(m.group);
    const auto names = top ? way_down(*top, *group) : std::nullopt;
    if (!names) continue;
    visible = true;
    climb(least, base + m.point, *names);
  }
  if (!visible) return unknown("the process's cgroup " + std::string{member->group} + " is below no mount");
  return std::move(least).result();
}

}  // namespace wring::base
