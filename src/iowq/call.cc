// SPDX-License-Identifier: Apache-2.0
// call: one run of an item, and its calls that block: announced, and not to be missed by a cancellation.

#include "iowq/identity.h"
#include "iowq/pool.h"
#include "iowq/worker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace wring {

io_call::io_call(iowq::worker* worker, io_work& item, int refusal) noexcept
    : worker_{worker}, item_{item}, refusal_{refusal} {
  if (worker_ != nullptr) worker_->present_call = this;
}

io_call::~io_call() {
  if (worker_ != nullptr) worker_->present_call = nullptr;
}

io_call* io_call::current() noexcept {
  const iowq::worker* const w = iowq::worker::current();
  return w != nullptr ? w->present_call : nullptr;
}

bool io_call::cancelled() const noexcept {
  return refusal_ == -ECANCELED || (worker_ != nullptr && worker_->is_cancelled());
}

// Not in a process that the callable has forked, where nobody is one.
iowq::worker* io_call::worker_here() const noexcept { return iowq::worker::current() == worker_ ? worker_ : nullptr; }

io_call::guard::guard(io_call& call) noexcept
    : call_{call},
      entered_{call.worker_here() != nullptr && call.worker_->enter(iowq::worker::open | iowq::worker::blocked)} {}

io_call::guard::~guard() {
  if (iowq::worker* const w = call_.worker_here()) w->leave(iowq::worker::open | iowq::worker::blocked);
}

long io_call::system_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  if (refusal_ != 0) return -ECANCELED;
  if (worker_here() == nullptr) return -EOWNERDEAD;
  const guard inside{*this};
  if (!inside.entered()) return -ECANCELED;
  const long result = worker_->call({.number = number, .values = {a, b, c, d, e, f}});
  return result == -EINTR && cancelled() ? -ECANCELED : result;
}

ssize_t io_call::read(int fd, void* buffer, std::size_t bytes) noexcept {
  return system_call(SYS_read, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes));
}

// What is in memory already blocks nobody; to announce that would wake another worker for a microsecond.
ssize_t io_call::pread(int fd, void* buffer, std::size_t bytes, off_t offset) noexcept {
  ssize_t had = 0;
  if (refusal_ == 0 && worker_here() != nullptr && worker_->home().wants() && !cancelled()) {
    const iovec all{.iov_base = buffer, .iov_len = bytes};
    had = std::max<ssize_t>(::preadv2(fd, &all, 1, offset, RWF_NOWAIT), 0);
    if (had == static_cast<ssize_t>(bytes)) return had;
  }
  const long rest = system_call(SYS_pread64, fd, reinterpret_cast<long>(static_cast<char*>(buffer) + had),
                                static_cast<long>(bytes) - had, offset + had);
  return had != 0 ? had + std::max(rest, 0L) : rest;
}

namespace {

// How many of so many bytes may be written there by who may write files of `most` bytes. As RLIMIT_FSIZE, which only
// knows regular files.
std::size_t below(std::uint64_t most, int fd, off_t offset, std::size_t bytes) noexcept {
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || offset < 0) return bytes;  // the call says what is wrong
  const auto begin = static_cast<std::uint64_t>(offset);
  return begin >= most ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(bytes, most - begin));
}

off_t next_write_to(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return ::lseek(fd, 0, flags >= 0 && (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
}

}  // namespace

ssize_t io_call::write(int fd, const void* buffer, std::size_t bytes) noexcept {
  const detail::identity_data* const who = detail::identity_data::of(iowq::access::as(item_));
  if (who != nullptr && who->has(identity_part::file_size) && bytes != 0) {
    bytes = below(who->file_size, fd, next_write_to(fd), bytes);
    if (bytes == 0) return -EFBIG;
  }
  return system_call(SYS_write, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes));
}

ssize_t io_call::pwrite(int fd, const void* buffer, std::size_t bytes, off_t offset) noexcept {
  const detail::identity_data* const who = detail::identity_data::of(iowq::access::as(item_));
  if (who != nullptr && who->has(identity_part::file_size) && bytes != 0) {
    bytes = below(who->file_size, fd, offset, bytes);
    if (bytes == 0) return -EFBIG;
  }
  return system_call(SYS_pwrite64, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes), offset);
}

}  // namespace wring
