// SPDX-License-Identifier: Apache-2.0
#include "sum/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wring/blocking.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>

namespace wring::tools {

namespace {

// False from the first time on that the kernel (before Linux 5.12, or a sandbox) does not know openat2.
std::atomic<bool> openat2_works{true};

int try_openat2(int directory, const char* path, int flags, __u64 resolve) noexcept {
  open_how how{};
  how.flags = static_cast<__u64>(flags);
  how.resolve = resolve;
  const long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

int open_component(int directory, const char* path, int flags, symlinks policy) {
  // openat2 takes no flag that means nothing: O_NOCTTY with O_PATH is an error.
  flags |= (flags & O_PATH) != 0 ? O_CLOEXEC : O_CLOEXEC | O_NOCTTY;
  if (openat2_works.load(std::memory_order_relaxed)) {
    const __u64 resolve = policy == symlinks::refuse ? RESOLVE_NO_SYMLINKS : 0;
    const int cached = try_openat2(directory, path, flags, resolve | RESOLVE_CACHED);
    if (cached >= 0) return cached;
    if (cached == -EAGAIN) {
      blocking_scope scope;
      int fd = 0;
      do fd = try_openat2(directory, path, flags, resolve);
      while (fd == -EAGAIN || fd == -EINTR);  // EAGAIN: a rename raced with the look-up
      return fd;
    }
    if (cached != -ENOSYS && cached != -EINVAL && cached != -EPERM) return cached;
    if (cached != -EPERM) openat2_works.store(false, std::memory_order_relaxed);
  }
  blocking_scope scope;
  int fd = 0;
  do fd = ::openat(directory, path, flags | (policy == symlinks::refuse ? O_NOFOLLOW : 0));
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

}  // namespace

file_descriptor::~file_descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

file_descriptor open_at(int directory, std::string_view path, int flags, symlinks policy) {
  std::array<char, PATH_MAX> piece;
  file_descriptor at;
  // The kernel takes at most PATH_MAX - 1 bytes at once: longer paths go down in steps.
  while (path.size() >= piece.size()) {
    const std::size_t slash = path.rfind('/', piece.size() - 2);
    if (slash == std::string_view::npos || slash == 0) return file_descriptor{-ENAMETOOLONG};
    std::memcpy(piece.data(), path.data(), slash);
    piece[slash] = '\0';
    at = file_descriptor{open_component(directory, piece.data(), O_PATH | O_DIRECTORY, policy)};
    if (!at.valid()) return at;
    directory = at.get();
    path.remove_prefix(slash + 1);
  }
  std::memcpy(piece.data(), path.data(), path.size());
  piece[path.size()] = '\0';
  return file_descriptor{open_component(directory, piece.data(), flags, policy)};
}

int stat_named(const char* path, struct stat& status) {
  blocking_scope scope;
  return ::stat(path, &status) == 0 ? 0 : -errno;
}

ssize_t read_at(int fd, std::span<std::byte> buffer, off_t offset, bool& nowait_works) {
  if (nowait_works) {
    const iovec piece{buffer.data(), buffer.size()};
    const ssize_t got = ::preadv2(fd, &piece, 1, offset, RWF_NOWAIT);
    if (got >= 0) return got;
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) {
      nowait_works = false;
    } else if (errno != EAGAIN && errno != EINTR) {
      return -errno;
    }
  }
  blocking_scope scope;
  ssize_t got = 0;
  do got = ::pread(fd, buffer.data(), buffer.size(), offset);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

ssize_t read_next(int fd, std::span<std::byte> buffer) {
  blocking_scope scope;
  ssize_t got = 0;
  do got = ::read(fd, buffer.data(), buffer.size());
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

int write_all(int fd, std::string_view text) {
  blocking_scope scope;
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return -errno;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

}  // namespace wring::tools
