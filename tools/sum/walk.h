// SPDX-License-Identifier: Apache-2.0
// walk: the files of the PATHs given, in output order.
//
// It holds one open directory at a time and no descriptor between two steps, so depth costs memory for
// names only. All directories not yet finished together keep names up to a bound; beyond it, the outer
// ones forget theirs and are read again when their turn comes.
// Threads: fill() one thread at a time; symlinks() any thread.
#pragma once

#include "sum/file.h"
#include "sum/name_list.h"
#include "sum/source.h"

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wring::tools {

class walk final : public source {
 public:
  struct bounds {
    std::size_t directory_bytes_max = std::size_t{6} << 20;  // names of one directory
    std::size_t kept_bytes_max = std::size_t{12} << 20;      // names of all directories not yet finished
  };

  explicit walk(std::vector<std::string> paths) : walk{std::move(paths), bounds{}} {}
  walk(std::vector<std::string> paths, bounds limits) : paths_{std::move(paths)}, limits_{limits} {}

  void fill(batch& out, std::size_t count_max) override;
  // Symbolic links met inside of trees, which are not followed.
  [[nodiscard]] std::uint64_t symlinks() const noexcept { return symlinks_.load(std::memory_order_relaxed); }

 private:
  struct level {            // a directory between the root and where the walk is
    std::size_t path_size;  // of the part of path_ that names it, with the '/'
    dev_t device;
    ino_t inode;
    name_list names;
  };

  void start(batch& out, const std::string& path);
  void step(batch& out);
  void visit(batch& out, std::string_view key, name_type type);
  void enter(batch& out, file_descriptor directory);
  void read_on(batch& out, level& here);
  void leave() noexcept;
  [[nodiscard]] bool is_loop(const struct stat& status) const noexcept;
  void keep_within_bounds();

  const std::vector<std::string> paths_;
  const bounds limits_;
  std::size_t next_path_ = 0;
  bool stdin_named_ = false;
  file_descriptor root_;
  std::size_t root_size_ = 0;  // 0: not in a tree
  std::string path_;           // the directory where the walk is, as printed, with a '/' at its end
  std::vector<level> levels_;
  std::atomic<std::uint64_t> symlinks_{0};
};

}  // namespace wring::tools
