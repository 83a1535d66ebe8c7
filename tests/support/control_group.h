// SPDX-License-Identifier: Apache-2.0
// control_group: a real control group below the one this process is in, on either version; gone at the end, once it is
// empty.
//
//   const control_group limited{"pids", "pids.max"};
//   if (!limited.obstacle().empty()) GTEST_SKIP() << limited.obstacle();
//   limited.set("pids.max", "20");
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace wring::test {

inline bool write_line(const std::filesystem::path& file, const std::string& line) {
  std::ofstream out{file};
  out << line << std::flush;
  return out.good();
}

class control_group {
 public:
  control_group(const std::string& controller, const std::string& needed_file) {
    const std::filesystem::path own = own_group(controller);
    if (own.empty() || !std::filesystem::exists(own / "cgroup.procs")) {
      obstacle_ = "no control group of this process is visible";
    } else {
      make(own / ("wring-test-" + std::to_string(::getpid())), needed_file);
    }
  }
  // Inside another one, which has the controller.
  control_group(const control_group& outer, const std::string& controller, const std::string& needed_file)
      : v2_{outer.v2_} {
    if (v2_ && !outer.set("cgroup.subtree_control", "+" + controller)) {
      obstacle_ = "no " + controller + " controller in " + outer.path().string();
    } else {
      make(outer.path() / "inner", needed_file);
    }
  }
  control_group(const control_group&) = delete;
  control_group& operator=(const control_group&) = delete;
  ~control_group() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }

  // What stands in the way; empty: it can be used.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] bool is_v2() const { return v2_; }
  // False: refused.
  [[nodiscard]] bool set(const std::string& file, const std::string& text) const {
    return write_line(path_ / file, text);
  }
  // Microseconds of each 100000, of the controller "cpu".
  [[nodiscard]] bool set_cpu_quota(const std::string& us) const {
    return v2_ ? set("cpu.max", us + " 100000") : set("cpu.cfs_quota_us", us);
  }
  // The calling process goes in.
  [[nodiscard]] bool enter() const { return set("cgroup.procs", "0"); }

 private:
  // Of version 1 if the controller is there; in `v2_` which it is.
  std::filesystem::path own_group(const std::string& controller) {
    std::filesystem::path found;
    std::ifstream groups{"/proc/self/cgroup"};
    for (std::string line; std::getline(groups, line);) {
      const std::size_t first = line.find(':');
      const std::size_t second = line.find(':', first + 1);
      std::string controllers{","};
      controllers.append(line, first + 1, second - first - 1).append(",");
      const std::string path = line.substr(second + 1);
      if (controllers.find(std::string{","}.append(controller).append(",")) != std::string::npos) {
        v2_ = false;
        return std::string{"/sys/fs/cgroup/"}.append(controller).append(path);
      }
      if (line.starts_with("0::")) found = "/sys/fs/cgroup" + path;
    }
    return found;
  }
  void make(const std::filesystem::path& path, const std::string& needed_file) {
    if (::mkdir(path.c_str(), 0755) != 0) {
      obstacle_ = path.string() + ": " + std::strerror(errno);
      return;
    }
    path_ = path;
    if (!std::filesystem::exists(path / needed_file)) obstacle_ = "no " + needed_file + " in " + path.string();
  }

  std::filesystem::path path_;  // empty: none was made
  bool v2_ = true;
  std::string obstacle_;
};

}  // namespace wring::test
