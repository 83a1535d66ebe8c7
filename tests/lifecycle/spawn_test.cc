// SPDX-License-Identifier: Apache-2.0
// Processes started from callbacks: by posix_spawn, vfork, system and popen, many at once, and the signals that
// these processes take.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace wring {
namespace {

using test::counter;
using test::gate;
using test::test_runtime;

// Exit status, or minus the signal that ended it.
int ending_of(int wait_status) { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status); }

int wait_for(pid_t child) {
  int status = 0;
  if (child <= 0 || ::waitpid(child, &status, 0) != child) return -1'000;
  return ending_of(status);
}

// Arguments that run a line in a shell.
class shell_line {
 public:
  explicit shell_line(std::string text) : text_{std::move(text)} {}
  [[nodiscard]] char* const* arguments() const { return arguments_.data(); }

 private:
  std::string text_;
  std::string shell_ = "sh";
  std::string flag_ = "-c";
  std::array<char*, 4> arguments_{shell_.data(), flag_.data(), text_.data(), nullptr};
};

constexpr const char* shell = "/bin/sh";

// [spawn]
// Starts a process that takes all signals although its parent, a worker, takes none. Its number, or -1.
pid_t start(const char* path, char* const* arguments) {
  sigset_t none;
  ::sigemptyset(&none);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  if (::posix_spawn(&child, path, nullptr, &attributes, arguments, environ) != 0) child = -1;
  ::posix_spawnattr_destroy(&attributes);
  return child;
}
// [/spawn]

// [open-signals]
// While one lives, the calling thread takes signals, and so do the processes it starts.
class signals_open {
 public:
  signals_open() {
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, &before_);
  }
  ~signals_open() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_open(const signals_open&) = delete;
  signals_open& operator=(const signals_open&) = delete;

 private:
  sigset_t before_;
};
// [/open-signals]

int by_posix_spawn(const std::string& line) { return wait_for(start(shell, shell_line{line}.arguments())); }

// The child borrows the parent's memory and stack, so between vfork() and exec nothing is written.
[[gnu::noinline]] pid_t vfork_and_exec(char* const* arguments) {
  const pid_t child = ::vfork();
  if (child != 0) return child;
  ::execv(shell, arguments);
  ::_exit(127);
}
int by_vfork(const std::string& line) { return wait_for(vfork_and_exec(shell_line{line}.arguments())); }

int by_system(const std::string& line) { return ending_of(std::system(line.c_str())); }

int by_popen(const std::string& line) {
  std::FILE* const out = ::popen(("echo said; " + line).c_str(), "r");
  if (out == nullptr) return -1'000;
  char text[16] = {};
  const bool said = std::fgets(text, sizeof text, out) != nullptr && std::string{text} == "said\n";
  const int status = ::pclose(out);
  return said ? ending_of(status) : -1'001;
}

using way = int (*)(const std::string& line);
constexpr std::array<way, 4> ways{by_posix_spawn, by_vfork, by_system, by_popen};

// Method: all callbacks are inside before the first process starts; each knows the exit status it must see.
TEST(spawn, many_callbacks_at_once_start_processes_and_see_their_exit_statuses) {
  test_runtime rt;
  workqueue queue{rt, {.name = "parents"}};
  constexpr int rounds = 4;
  constexpr int callbacks = static_cast<int>(ways.size()) * rounds;
  gate opened;
  counter inside;
  std::atomic<int> right{0};
  for (int i = 0; i < callbacks; ++i) {
    queue.submit([&, i] {
      const blocking_scope scope;
      inside.add();
      opened.wait();
      const int status = ways[static_cast<std::size_t>(i) % ways.size()]("exit " + std::to_string(i));
      EXPECT_EQ(status, i) << "way " << i % static_cast<int>(ways.size());
      right.fetch_add(status == i ? 1 : 0);
    });
  }
  inside.wait_for(callbacks);
  opened.open();
  queue.flush();
  EXPECT_EQ(right.load(), callbacks);
}

// A process that sends itself SIGTERM dies of it, unless the signal is blocked; then it goes on to its last command.
constexpr const char* terminate_yourself = "kill -TERM $$; exit 7";

int in_callback(const std::function<int()>& body) {
  test_runtime rt;
  workqueue queue{rt, {.name = "parent"}};
  return queue
      .submit_for_result([&body] {
        const blocking_scope scope;
        return body();
      })
      .get();
}

TEST(spawn, a_process_started_with_a_signal_mask_of_its_own_can_be_terminated) {
  EXPECT_EQ(in_callback([] { return by_posix_spawn(terminate_yourself); }), -SIGTERM);
}

TEST(spawn, a_process_started_while_the_worker_takes_signals_can_be_terminated) {
  for (const way start_it : {by_vfork, by_system, by_popen}) {
    EXPECT_EQ(in_callback([&] {
                const signals_open scope;
                return start_it(terminate_yourself);
              }),
              -SIGTERM);
  }
}

// What docs/reference/blocking.md warns of: a worker takes no signals, and its children begin as it is.
TEST(spawn, a_process_started_without_care_begins_with_the_workers_signal_mask) {
  std::vector<way> without_care{by_system, by_popen};
#ifndef __SANITIZE_THREAD__  // which makes a fork of a vfork; the child then has the program's mask
  without_care.push_back(by_vfork);
#endif
  for (const way start_it : without_care) EXPECT_EQ(in_callback([&] { return start_it(terminate_yourself); }), 7);
}

// Method: the mask is read after the scope, on the worker that had it.
TEST(spawn, a_worker_takes_no_signals_again_afterwards) {
  EXPECT_EQ(in_callback([] {
              { const signals_open scope; }
              sigset_t blocked;
              ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
              return ::sigismember(&blocked, SIGTERM);
            }),
            1);
}

}  // namespace
}  // namespace wring
