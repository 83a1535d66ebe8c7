// SPDX-License-Identifier: Apache-2.0
// groups: where a thread is among the groups of control, and groups that a test makes.
#pragma once

#include "iowq/facts.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string>
#include <utility>

namespace wring::test {

// Where this process is in the hierarchy of that controller; "": the second version.
inline std::string group_of(pid_t tid, const std::string& controller) {
  std::istringstream lines{contents(proc_of(tid, "cgroup"))};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controller.empty() ? names == ",," : names.find("," + controller + ",") != std::string::npos)
      return line.substr(second + 1);
  }
  return "";
}

// The folder of this process's group; empty: not mounted here.
inline std::string folder_of(const std::string& controller) {
  std::istringstream lines{contents("/proc/self/mounts")};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields{line};
    std::string device;
    std::string place;
    std::string type;
    std::string options;
    fields >> device >> place >> type >> options;
    if (controller.empty()
            ? type == "cgroup2"
            : type == "cgroup" && ("," + options + ",").find("," + controller + ",") != std::string::npos)
      return place + group_of(::gettid(), controller);
  }
  return "";
}

// A group below that of this process, gone at the end.
class group {
 public:
  explicit group(std::string path) : path_{std::move(path)}, made_{::mkdir(path_.c_str(), 0755) == 0} {}
  ~group() {
    // Who was in it leaves a moment after its end.
    if (made_) eventually([this] { return ::rmdir(path_.c_str()) == 0 || errno != EBUSY; });
  }
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string below(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  bool made_;
};

}  // namespace wring::test
