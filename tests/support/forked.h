// SPDX-License-Identifier: Apache-2.0
// forked: what a forked child says about itself. A child that hangs ends by its alarm; the watchdog of the parent's
// test, a thread, does not exist there.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#ifdef WRING_COUNTS_LINES
extern "C" void __gcov_dump();  // as in <gcov.h>, which is for C
#endif

namespace wring::test {

// The sanitizers of GCC 12 do not renew their locks in a child: if another thread was allocating, the next allocation
// of the child waits for ever, with or without wring; and the thread sanitizer allows a child no threads.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool can_fork_beside_threads = false;
#else
inline constexpr bool can_fork_beside_threads = true;
#endif
inline constexpr const char* cannot_fork = "the sanitizers cannot fork a process whose threads allocate";

// Claims of a child. It has no test framework, so it collects what does not hold and prints it.
class claims {
 public:
  void check(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "in the forked child: not so: %s\n", what);
    failed_ = true;
  }
  [[nodiscard]] int status() const { return failed_ ? 1 : 0; }

 private:
  bool failed_ = false;
};

// _exit(), but what the child ran is counted where lines are counted.
[[noreturn]] inline void end_child(int status) {
#ifdef WRING_COUNTS_LINES
  ::__gcov_dump();
#endif
  ::_exit(status);
}

// How the child ended: its exit status, or 1000 and the number of the signal.
inline int status_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// Runs body(claims&) in a forked child; its status, 0 if all claims held.
template <class Body>
int in_forked_child(const Body& body, unsigned seconds = 60) {
  const pid_t child = ::fork();
  if (child != 0) return status_of(child);
  ::alarm(seconds);
  claims c;
  body(c);
  std::fflush(stderr);
  end_child(c.status());
}

}  // namespace wring::test
