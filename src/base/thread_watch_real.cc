// SPDX-License-Identifier: Apache-2.0
// thread_watch_real: what perf_event_open(2), /proc and the CPU clocks say.

#include "base/thread_watch.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>

namespace wring::base {

namespace {

// A page that says how much was written, and one with what was.
std::size_t page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

int open_event(std::uint32_t tid) noexcept {
  perf_event_attr a{};
  a.size = sizeof a;
  a.type = PERF_TYPE_SOFTWARE;
  a.config = PERF_COUNT_SW_DUMMY;
  a.exclude_kernel = 1;  // needs no right then; switches are recorded all the same
  a.exclude_hv = 1;
  a.context_switch = 1;
  a.watermark = 1;
  a.wakeup_watermark = 1U << 30;  // nobody is ever woken
  const long fd = ::syscall(SYS_perf_event_open, &a, static_cast<pid_t>(tid), -1, -1,
                            static_cast<unsigned long>(PERF_FLAG_FD_CLOEXEC));
  return fd < 0 ? -errno : static_cast<int>(fd);
}

// The record that begins where `record` points: a type, what it is about, its size.
thread_sight meaning_of(std::uint64_t record) noexcept {
  if (static_cast<std::uint32_t>(record) != PERF_RECORD_SWITCH) return thread_sight::unknown;
  const auto about = static_cast<unsigned>(record >> 32) & 0xffffU;
  // Preempted: it could run.
  constexpr unsigned kind = PERF_RECORD_MISC_SWITCH_OUT | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
  return (about & kind) == PERF_RECORD_MISC_SWITCH_OUT ? thread_sight::waiting : thread_sight::running;
}

}  // namespace

int switch_ring::open(std::uint32_t tid) noexcept {
  close();
  if (tid == 0) return -ESRCH;  // to the kernel it would be the caller
  const int fd = open_event(tid);
  if (fd < 0) return fd;
  void* const mapped = ::mmap(nullptr, 2 * page_bytes(), PROT_READ, MAP_SHARED, fd, 0);
  const int error = mapped == MAP_FAILED ? -errno : 0;
  ::close(fd);  // the mapping keeps the event alive
  // What may be locked is used up; another EPERM than that of the event.
  if (error == -EPERM) return -ENOMEM;
  if (error != 0) return error;
  tid_ = tid;
  opened_in_ = fork_generation();
  pages_ = static_cast<const unsigned char*>(mapped);
  return 0;
}

void switch_ring::close() noexcept {
  // In a child of the process that opened it something else may lie there.
  if (is_open()) ::munmap(const_cast<unsigned char*>(pages_), 2 * page_bytes());
  tid_ = 0;
}

thread_sight switch_ring::look() const noexcept {
  if (!is_open()) return thread_sight::unknown;
  // Acquire: pairs with the kernel, which writes the record first.
  const std::uint64_t written =
      __atomic_load_n(&reinterpret_cast<const perf_event_mmap_page*>(pages_)->data_head, __ATOMIC_ACQUIRE);
  if (written < sizeof(std::uint64_t)) return thread_sight::unknown;
  // Records are eight bytes long, and the newest overwrites the oldest.
  const std::size_t at = page_bytes() + (written - sizeof(std::uint64_t)) % page_bytes();
  return meaning_of(__atomic_load_n(reinterpret_cast<const std::uint64_t*>(pages_ + at), __ATOMIC_RELAXED));
}

thread_sight look_at_stat(std::uint32_t tid) noexcept {
  std::array<char, 40> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%u/stat", tid);
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return thread_sight::unknown;
  std::array<char, 64> text{};
  ssize_t bytes = 0;
  do bytes = ::read(fd, text.data(), text.size());
  while (bytes < 0 && errno == EINTR);
  ::close(fd);
  const std::string_view stat{text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
  // "1234 (a name) S ..."
  const auto name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= stat.size()) return thread_sight::unknown;
  switch (stat[name_end + 2]) {
    case 'R': return thread_sight::running;
    case 'S':
    case 'D': return thread_sight::waiting;
    default: return thread_sight::unknown;  // it is stopped, or has ended
  }
}

std::int64_t cpu_time_of(std::uint32_t tid) noexcept {
  if (tid == 0) return -ESRCH;  // to the kernel it would be the caller
  // As the kernel numbers the CPU clock of a thread: the complement of its number, "of a thread", "as scheduled".
  constexpr std::uint32_t thread_cpu_clock = 6;
  const auto clock = static_cast<clockid_t>((~tid << 3) | thread_cpu_clock);
  timespec used{};
  if (::clock_gettime(clock, &used) != 0) return errno == EINVAL ? -ESRCH : -errno;
  return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

watch_probe probe_thread_watch(const watch_wish& wish) { return probe_by_looking(wish); }

}  // namespace wring::base
