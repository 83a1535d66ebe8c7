// SPDX-License-Identifier: Apache-2.0
// limited_process: a child process to which the system refuses threads, for real, by RLIMIT_NPROC.
#pragma once

#include "support/forked.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>

namespace wring::test {

// How many threads the process may have beyond those it has now.
inline void allow_threads(std::size_t more) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NPROC, &limit);
  limit.rlim_cur = entries_of("/proc/self/task").size() + more;
  ::setrlimit(RLIMIT_NPROC, &limit);
}

// A user that has no other processes, not even those of this test when it runs twice at a time.
inline uid_t lonely_user() noexcept { return 20'000 + static_cast<uid_t>(::getpid()) % 40'000; }

// Runs body() in a child process that is subject to RLIMIT_NPROC; body returns what is wrong, or "". Before it, still
// as root, as_root(), which is false where this machine does not allow it.
template <class AsRoot, class Body>
void in_limited_process(const AsRoot& as_root, const Body& body) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user without other processes";
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);
    rlimit generous{4'096, 4'096};
    const uid_t user = lonely_user();
    if (!as_root() || ::setrlimit(RLIMIT_NPROC, &generous) != 0 || ::setresgid(user, user, user) != 0 ||
        ::setresuid(user, user, user) != 0) {
      ::_exit(2);
    }
    const std::string wrong = body();
    if (!wrong.empty()) std::fprintf(stderr, "in the child: %s\n", wrong.c_str());
    std::fflush(nullptr);
    end_child(wrong.empty() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
    GTEST_SKIP() << "this container cannot change its user or its group";
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

template <class Body>
void in_limited_process(const Body& body) {
  in_limited_process([] { return true; }, body);
}

}  // namespace wring::test
