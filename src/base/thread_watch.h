// SPDX-License-Identifier: Apache-2.0
// thread_watch: does a thread of this process run, or wait in the kernel? Seen from outside.
//
// What is seen may be outdated when it is returned. A thread that could run, but has no CPU, is said to run.
#pragma once

#include "base/fork.h"

#include <cstdint>
#include <string>

namespace wring::base {

enum class thread_sight : std::uint8_t { unknown, running, waiting };

// The context switches of one thread, which the kernel writes into memory that this process may read
// (perf_event_open(2)). While it is open it takes 8 KiB of memory and no descriptor; each switch of the thread costs
// that some 0.4 us more. A thread that was woken counts as waiting until it has its CPU; one that has ended stays what
// it was. The memory is not there in a forked child: what its parent has opened is not open there. Threads: any, one at
// a time.
class switch_ring {
 public:
  switch_ring() noexcept = default;
  ~switch_ring() { close(); }
  switch_ring(const switch_ring&) = delete;
  switch_ring& operator=(const switch_ring&) = delete;

  // Of the thread with this thread_id(). 0 or -errno: -EACCES, -EPERM, -ENOSYS: not allowed here; -ENOMEM: the process
  // may lock no more memory; -ESRCH: there is no such thread.
  int open(std::uint32_t tid) noexcept;
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return tid_ != 0 && opened_in_ == fork_generation(); }
  // unknown: not open, or the thread has not been switched since. No system call.
  [[nodiscard]] thread_sight look() const noexcept;

 private:
  std::uint32_t tid_ = 0;
  std::uint32_t opened_in_ = 0;  // fork_generation() then
  const unsigned char* pages_ = nullptr;
};

// From /proc; a microsecond or two. unknown: it cannot be read, or there is no such thread.
thread_sight look_at_stat(std::uint32_t tid) noexcept;

// The CPU time that the thread has used, in ns; or -errno, -ESRCH: there is no such thread in this process.
std::int64_t cpu_time_of(std::uint32_t tid) noexcept;

// What of this works here.
struct watch_probe {
  bool rings = false;
  bool stat = false;
  bool cpu_clock = false;
  // If not: why.
  std::string rings_why{};
  std::string stat_why{};
  std::string cpu_clock_why{};
};

// What to try. The rest is not touched: there are sandboxes that kill whoever asks for a ring.
struct watch_wish {
  bool rings = true;
  bool stat = true;
  bool cpu_clock = true;
};

// Found by looking at a thread that is made to wait and to run; at the calling one, which runs, if there is no other to
// be had. About a millisecond, but some 30 ms where something answers and is wrong, and longer where the thread
// gets no CPU for long. Simulations say what their options say, without a thread.
watch_probe probe_thread_watch(const watch_wish& wish = {});
// The same for simulations, too.
watch_probe probe_by_looking(const watch_wish& wish);

}  // namespace wring::base
