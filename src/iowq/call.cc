// SPDX-License-Identifier: Apache-2.0
// call: one run of an item, and its calls that block: announced, and not to be missed by a cancellation.

#include "iowq/pool.h"
#include "iowq/worker.h"

#include <sys/syscall.h>

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

io_call::guard::guard(io_call& call) noexcept
    : call_{call},
      entered_{call.worker_ != nullptr && call.worker_->enter(iowq::worker::open | iowq::worker::blocked)} {}

io_call::guard::~guard() {
  if (call_.worker_ != nullptr) call_.worker_->leave(iowq::worker::open | iowq::worker::blocked);
}

long io_call::system_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  if (refusal_ != 0) return -ECANCELED;
  const guard inside{*this};
  if (!inside.entered()) return -ECANCELED;
  const long result = worker_->call({.number = number, .values = {a, b, c, d, e, f}});
  return result == -EINTR && cancelled() ? -ECANCELED : result;
}

ssize_t io_call::read(int fd, void* buffer, std::size_t bytes) noexcept {
  return system_call(SYS_read, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes));
}

ssize_t io_call::pread(int fd, void* buffer, std::size_t bytes, off_t offset) noexcept {
  return system_call(SYS_pread64, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes), offset);
}

ssize_t io_call::write(int fd, const void* buffer, std::size_t bytes) noexcept {
  return system_call(SYS_write, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes));
}

ssize_t io_call::pwrite(int fd, const void* buffer, std::size_t bytes, off_t offset) noexcept {
  return system_call(SYS_pwrite64, fd, reinterpret_cast<long>(buffer), static_cast<long>(bytes), offset);
}

}  // namespace wring
