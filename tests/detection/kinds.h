// SPDX-License-Identifier: Apache-2.0
// kinds: the ways in which a callback comes to wait in the kernel, each with what ends the wait.
//
// Threads: wait() is for one thread and open() for another one; whoever made the kind destroys it after both.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace wring::test {

class kind {
 public:
  kind() = default;
  virtual ~kind() = default;
  kind(const kind&) = delete;
  kind& operator=(const kind&) = delete;

  virtual void wait() = 0;  // until open() is called
  virtual void open() = 0;
};

struct kind_maker {
  std::string name;
  // Null where the machine does not allow it; then `why_not` says why.
  std::unique_ptr<kind> (*make)(std::string& why_not);
  bool uses_cpu = false;  // now and then while it waits, so its CPU clock does not stand still
};

template <class Kind>
std::unique_ptr<kind> make_kind(std::string&) {
  return std::make_unique<Kind>();
}

std::vector<kind_maker> kinds_of_threads();     // locks, semaphores, futures, sleeps: kinds_of_threads.cc
std::vector<kind_maker> kinds_of_files();       // pipes, sockets, locks on files, children: kinds_of_files.cc
std::vector<kind_maker> kinds_of_slow_files();  // page faults, fsync, names: kinds_of_slow_files.cc

}  // namespace wring::test
