// SPDX-License-Identifier: Apache-2.0
// facts: how a test looks at what belongs to one thread and what to the whole process.
//
// What changes a process for good happens in a forked child, which tells by claims (support/forked.h).
#pragma once

#include "support/forked.h"
#include "support/gate.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace wring::test {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;  // which delivers signals when it likes, and wants no threads after a fork
#else
inline constexpr bool under_tsan = false;
#endif

// Users and groups that nobody else is.
inline constexpr uid_t stranger = 61'240;
inline constexpr gid_t strange_group = 61'241;
inline constexpr gid_t other_group = 61'242;

inline bool is_root() { return ::geteuid() == 0 && ::syscall(SYS_setresuid, -1, 0, -1) == 0; }

#define WRING_NEEDS_ROOT() \
  if (!is_root()) GTEST_SKIP() << "only root may change what a thread is"

// 0 or -errno: of the calling thread, whatever the C library would do for the whole process.
template <class... Args>
long raw(long number, Args... args) {
  const long r = ::syscall(number, args...);
  return r == -1 ? -errno : r;
}

// Runs body(claims&) in a forked child, where all it claims has to hold.
template <class Body>
void in_a_child(const Body& body) {
  EXPECT_EQ(in_forked_child(body), 0);
}

// Runs change() in a thread; while that thread is still there, look() in the calling one.
template <class Change, class Look>
void beside(const Change& change, const Look& look) {
  gate changed;
  gate looked;
  std::thread thread{[&] {
    change();
    changed.open();
    looked.wait();
  }};
  changed.wait();
  look();
  looked.open();
  thread.join();
}

struct user_ids {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  friend bool operator==(const user_ids&, const user_ids&) = default;
};
inline user_ids uids() {
  user_ids u;
  ::getresuid(&u.real, &u.effective, &u.saved);
  return u;
}
inline user_ids gids() {
  user_ids g;
  ::getresgid(&g.real, &g.effective, &g.saved);
  return g;
}
// There is no call that only asks.
inline uid_t fsuid() { return static_cast<uid_t>(::syscall(SYS_setfsuid, -1)); }
inline gid_t fsgid() { return static_cast<gid_t>(::syscall(SYS_setfsgid, -1)); }

struct capabilities {
  std::array<__user_cap_data_struct, 2> words{};
  [[nodiscard]] bool effective(unsigned capability) const {
    return (words.at(capability / 32).effective >> capability % 32 & 1U) != 0;
  }
  [[nodiscard]] bool permitted(unsigned capability) const {
    return (words.at(capability / 32).permitted >> capability % 32 & 1U) != 0;
  }
};
inline capabilities own_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  capabilities c;
  ::syscall(SYS_capget, &header, c.words.data());
  return c;
}
inline long set_capabilities(const capabilities& c) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return raw(SYS_capset, &header, c.words.data());
}

inline std::string contents(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}
// 0 or -errno.
inline int put(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const int error = ::write(fd, text.data(), text.size()) < 0 ? -errno : 0;
  ::close(fd);
  return error;
}

inline std::string proc_of(pid_t tid, const char* what) {
  return "/proc/self/task/" + std::to_string(tid) + "/" + what;
}
inline std::string working_folder() {
  std::array<char, 4096> path{};
  return ::getcwd(path.data(), path.size()) != nullptr ? path.data() : "";
}
inline std::string namespace_of(pid_t tid, const char* which) {
  std::array<char, 64> name{};
  const ssize_t n =
      ::readlink(proc_of(tid, (std::string{"ns/"} + which).c_str()).c_str(), name.data(), name.size() - 1);
  return {name.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

// As in /proc: R running, S sleeping, D uninterruptible.
inline char state_of(pid_t tid) {
  const std::string stat = contents(proc_of(tid, "stat"));
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && name_end + 2 < stat.size() ? stat[name_end + 2] : '?';
}
// Until that thread sleeps in that system call.
inline void wait_until_blocked_in(pid_t tid, long number) {
  const std::string begins = std::to_string(number) + " ";
  eventually([&] { return state_of(tid) == 'S' && contents(proc_of(tid, "syscall")).starts_with(begins); });
}
// Whether /proc tells in which call a thread is.
inline bool calls_are_seen() {
  return contents(proc_of(::gettid(), "syscall")).starts_with(std::to_string(SYS_read) + " ");
}

}  // namespace wring::test
