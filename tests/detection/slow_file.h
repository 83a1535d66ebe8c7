// SPDX-License-Identifier: Apache-2.0
// slow_file: a file of one page whose device does not answer reads and fsync until it is let go.
//
// It is a FUSE file system that consists of this file only. It is mounted in a mount namespace of its own, where nobody
// else sees it, and no longer than it takes to open the file. A child process serves it: a process that serves its own
// files cannot even be killed, because its end waits for its answer.
// Threads: let_go() from any.
#pragma once

#include "support/temporary_folder.h"

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

namespace wring::test {

class slow_file {
 public:
  static constexpr std::size_t bytes = 4'096;

  // Null where the machine does not allow it; then `why_not` says why.
  static std::unique_ptr<slow_file> create(std::string& why_not);
  ~slow_file();
  slow_file(const slow_file&) = delete;
  slow_file& operator=(const slow_file&) = delete;

  [[nodiscard]] int fd() const { return file_; }
  void let_go();

 private:
  slow_file() = default;
  std::string mount_and_open();

  temporary_folder folder_;
  std::array<int, 2> held_{-1, -1};  // a pipe; who closes its second end lets go
  pid_t server_ = -1;
  int file_ = -1;
};

}  // namespace wring::test
