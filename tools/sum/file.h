// SPDX-License-Identifier: Apache-2.0
// file: the system calls of `wring sum`; each returns -errno, and announces itself as blocking only when
// the kernel cannot answer from memory.
//
// A blocking_scope around every call would invite another worker into each warm one, which costs more
// than the call. So each is first made in the form that refuses to wait (RESOLVE_CACHED, RWF_NOWAIT), and
// only when it did refuse, again in earnest inside a scope.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace wring::tools {

class file_descriptor {
 public:
  explicit file_descriptor(int fd = -1) noexcept : fd_{fd} {}
  file_descriptor(file_descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  file_descriptor& operator=(file_descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file_descriptor();

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  // The error that stands in the place of the descriptor, as a positive errno.
  [[nodiscard]] int error() const noexcept { return fd_ < 0 ? -fd_ : 0; }

 private:
  int fd_;  // or -errno
};

enum class symlinks { follow, refuse };  // refuse: in every component of the path

// Opens `path` (below `directory`, or AT_FDCWD); also when it is longer than PATH_MAX.
[[nodiscard]] file_descriptor open_at(int directory, std::string_view path, int flags, symlinks policy);

// What a name given by the user stands for; follows symbolic links. 0 or -errno.
[[nodiscard]] int stat_named(const char* path, struct stat& status);

// Reads a regular file at `offset` without or with waiting. `nowait_works` is the caller's memory of
// whether this file system can refuse to wait; make it true before the first read of a file system.
[[nodiscard]] ssize_t read_at(int fd, std::span<std::byte> buffer, off_t offset, bool& nowait_works);
// Reads on, from a pipe for example; always announced.
[[nodiscard]] ssize_t read_next(int fd, std::span<std::byte> buffer);

// Writes everything, announced. 0 or -errno.
[[nodiscard]] int write_all(int fd, std::string_view text);

}  // namespace wring::tools
