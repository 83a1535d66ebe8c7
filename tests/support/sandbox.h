// SPDX-License-Identifier: Apache-2.0
// sandbox: forked children to which the system denies something, as containers and other users find it.
//
//   const sandboxed s = in_sandbox(sandbox::no_proc, [](claims& c) { c.check(works(), "it works"); });
//   if (!s.entered) GTEST_SKIP() << s.why;
//   EXPECT_EQ(s.status, 0);
#pragma once

#include "support/forked.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace wring::test {

enum class sandbox : std::uint8_t {
  other_uid,    // a user without capabilities
  perf_eperm,   // perf_event_open is refused with EPERM, as in containers
  perf_enosys,  // with ENOSYS, as by other kernels
  perf_kills,   // whoever calls perf_event_open is killed by SIGSYS, as by strict filters of services
  no_proc,      // /proc is empty
  hidepid,      // a user who sees no process in /proc but their own
  no_clocks,    // the CPU clocks of threads cannot be read
  no_memlock,   // a user who has used up what may be locked for perf_event_open, and may lock no more
};

struct sandboxed {
  bool entered = false;  // false: this machine does not let us
  int status = -1;       // of the child (status_of), if entered: 0 if all claims held
  std::string why;       // if not entered: what failed
};

namespace sandbox_detail {

constexpr uid_t user = 61'236;
// Whose allowance is nobody else's.
constexpr uid_t user_without_memlock = 61'235;

// Each of these returns null, or the call that failed, with errno.
using step = const char*;

// For good, with all capabilities. A process of any other user may be looked at by its own threads; so may this one.
inline step become(uid_t id) {
  if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0) return "setgroups";
  if (::setresgid(id, id, id) != 0) return "setresgid";
  if (::setresuid(id, id, id) != 0) return "setresuid";
  return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? nullptr : "prctl(PR_SET_DUMPABLE)";
}

// Each system call goes through this.
template <std::size_t Size>
step filter_calls(std::array<sock_filter, Size> code) {
  const sock_fprog filter{.len = Size, .filter = code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "prctl(PR_SET_NO_NEW_PRIVS)";
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 ? nullptr : "prctl(PR_SET_SECCOMP)";
}

inline step answer_perf(unsigned answer) {
  return filter_calls(std::array<sock_filter, 4>{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_perf_event_open},
      {BPF_RET | BPF_K, 0, 0, answer},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }});
}

// Clocks of threads and processes have negative numbers.
inline step refuse_cpu_clocks() {
  return filter_calls(std::array<sock_filter, 6>{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_clock_gettime},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args)},  // the lower half: this is little-endian
      {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x8000'0000U},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }});
}

// Seen by this process alone.
inline step mount_on_proc(const char* type, const char* options) {
  if (::unshare(CLONE_NEWNS) != 0) return "unshare(CLONE_NEWNS)";
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "mount(MS_PRIVATE)";
  return ::mount(type, "/proc", type, 0, options) == 0 ? nullptr : "mount on /proc";
}

// Maps rings of the calling thread until not even the smallest one is allowed; they stay until the process ends.
inline step use_up_memlock() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) return "setrlimit";
  perf_event_attr attr{};
  attr.size = sizeof attr;
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.exclude_kernel = 1;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (std::size_t data_pages = 64; data_pages != 0;) {
    const auto fd = static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
    if (fd < 0) return "perf_event_open";
    const bool mapped = ::mmap(nullptr, (1 + data_pages) * page, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;
    ::close(fd);
    if (!mapped) data_pages /= 2;
  }
  return nullptr;
}

inline step enter(sandbox kind) {
  step failed = nullptr;
  switch (kind) {
    case sandbox::other_uid: return become(user);
    case sandbox::perf_eperm: return answer_perf(SECCOMP_RET_ERRNO | EPERM);
    case sandbox::perf_enosys: return answer_perf(SECCOMP_RET_ERRNO | ENOSYS);
    case sandbox::perf_kills: return answer_perf(SECCOMP_RET_KILL_PROCESS);
    case sandbox::no_clocks: return refuse_cpu_clocks();
    case sandbox::no_proc: return mount_on_proc("tmpfs", nullptr);
    case sandbox::hidepid:
      failed = mount_on_proc("proc", "hidepid=2");
      return failed != nullptr ? failed : become(user);
    case sandbox::no_memlock: failed = become(user_without_memlock); break;
  }
  return failed != nullptr ? failed : use_up_memlock();
}

// An exit status that no claims have.
constexpr int not_entered = 77;

}  // namespace sandbox_detail

// Runs body(claims&) in a child process so restricted. Best without other threads: a forked child has only one.
template <class Body>
sandboxed in_sandbox(sandbox kind, const Body& body, unsigned seconds = 60) {
  std::array<int, 2> reasons{};
  if (::pipe(reasons.data()) != 0) return {.why = "pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(seconds);
    if (const char* const failed = sandbox_detail::enter(kind)) {
      const std::string why = std::string{failed} + ": " + std::strerror(errno);
      const bool told = ::write(reasons[1], why.data(), why.size()) == static_cast<ssize_t>(why.size());
      ::_exit(told ? sandbox_detail::not_entered : 1);
    }
    claims c;
    body(c);
    std::fflush(stderr);
    end_child(c.status());
  }
  ::close(reasons[1]);
  std::array<char, 256> why{};
  const ssize_t bytes = child > 0 ? ::read(reasons[0], why.data(), why.size()) : 0;
  ::close(reasons[0]);
  if (child < 0) return {.why = "fork"};
  const int status = status_of(child);
  if (status == sandbox_detail::not_entered) return {.why = {why.data(), static_cast<std::size_t>(bytes)}};
  return {.entered = true, .status = status, .why = {}};
}

}  // namespace wring::test
