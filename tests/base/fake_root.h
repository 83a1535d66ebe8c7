// SPDX-License-Identifier: Apache-2.0
// fake_root: a folder that stands for "/", with the files by which the kernel tells of cgroups.
#pragma once

#include "support/temporary_folder.h"

#include <string>

namespace wring::test {

class fake_root {
 public:
  // What proc/self/cgroup says.
  explicit fake_root(const std::string& groups) { write("proc/self/cgroup", groups); }

  // One more line of proc/self/mountinfo: the group at the top of the mount, and where that is.
  fake_root& mount(const std::string& group, const std::string& point, const std::string& type_and_options) {
    const std::size_t blank = type_and_options.find(' ');
    mounts_ += "31 30 0:28 " + group + ' ' + point + " rw,nosuid shared:9 master:2 - " +
               type_and_options.substr(0, blank) + " cgroup rw" +
               (blank == std::string::npos ? "" : ',' + type_and_options.substr(blank + 1)) + '\n';
    return file("proc/self/mountinfo", mounts_);
  }
  fake_root& file(const std::string& name, const std::string& text) {
    write(name, text);
    return *this;
  }
  fake_root& v1_quota(const std::string& folder, const std::string& quota, const std::string& period = "100000") {
    return file(folder + "/cpu.cfs_quota_us", quota + '\n').file(folder + "/cpu.cfs_period_us", period + '\n');
  }

  [[nodiscard]] std::string path() const { return folder_.path(""); }
  [[nodiscard]] std::string path(const std::string& below) const { return folder_.path(below); }

 private:
  void write(const std::string& name, const std::string& text) const { folder_.write(name, text); }

  temporary_folder folder_;
  std::string mounts_;
};

// A process in /a/b of v2, all of it mounted.
inline fake_root v2_root() {
  fake_root root{"0::/a/b\n"};
  root.mount("/", "/sys/fs/cgroup", "cgroup2");
  return root;
}

}  // namespace wring::test
