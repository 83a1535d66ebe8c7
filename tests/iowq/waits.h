// SPDX-License-Identifier: Apache-2.0
// waits: the reserved signal, and system calls that wait until it comes.
#pragma once

#include "iowq/facts.h"
#include "iowq/interruptible_call.h"
#include "support/temporary_folder.h"

#include <wring/io_pool.h>

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <ctime>
#include <memory>

namespace wring::test {

inline int interrupt() { return SIGRTMIN + 7; }

inline std::atomic<int> handled{0};

inline void only_count(int, siginfo_t*, void*) { handled.fetch_add(1); }
inline void count_and_skip(int, siginfo_t*, void* context) {
  handled.fetch_add(1);
  skip_the_call(context);
}

// The reserved signal, as long as this lives.
class reserved_signal {
 public:
  using handler = void (*)(int, siginfo_t*, void*);
  explicit reserved_signal(handler h, int flags = 0) {
    struct sigaction action {};
    action.sa_sigaction = h;
    action.sa_flags = SA_SIGINFO | flags;
    ::sigaction(interrupt(), &action, &before_);
    handled.store(0);
  }
  ~reserved_signal() { ::sigaction(interrupt(), &before_, nullptr); }
  reserved_signal(const reserved_signal&) = delete;
  reserved_signal& operator=(const reserved_signal&) = delete;

 private:
  struct sigaction before_ {};
};

inline long send(pid_t tid) { return raw(SYS_tgkill, ::getpid(), tid, interrupt()); }

// ---- calls that wait for ever
// ----------------------------------------------------------------------------------------

struct call {
  long number;
  long a = 0;
  long b = 0;
  long c = 0;
  long d = 0;
};

class waiting {
 public:
  waiting() = default;
  virtual ~waiting() = default;
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;
  [[nodiscard]] virtual call what() = 0;
};

inline long number_of(const void* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); }

class read_of_a_pipe final : public waiting {
 public:
  read_of_a_pipe() { EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0); }
  ~read_of_a_pipe() override {
    for (const int fd : pipe_) ::close(fd);
  }
  call what() override { return {SYS_read, pipe_[0], number_of(&byte_), 1}; }
  void write() const { EXPECT_EQ(::write(pipe_[1], "x", 1), 1); }
  [[nodiscard]] int fd() const { return pipe_[0]; }
  [[nodiscard]] int other_end() const { return pipe_[1]; }

 private:
  std::array<int, 2> pipe_{};
  char byte_ = 0;
};

class accept_of_a_socket final : public waiting {
 public:
  accept_of_a_socket() {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;  // and nothing else: the system finds a name
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)), 0);
    EXPECT_EQ(::listen(fd_, 1), 0);
  }
  ~accept_of_a_socket() override { ::close(fd_); }
  call what() override { return {SYS_accept4, fd_, 0, 0, 0}; }

 private:
  int fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

class wait_for_a_futex final : public waiting {
 public:
  call what() override { return {SYS_futex, number_of(&word_), FUTEX_WAIT_PRIVATE, 0, 0}; }

 private:
  std::uint32_t word_ = 0;
};

class sleep_of_an_hour final : public waiting {
 public:
  call what() override { return {SYS_nanosleep, number_of(&hour_), 0}; }

 private:
  timespec hour_{.tv_sec = 3600, .tv_nsec = 0};
};

class lock_of_a_file final : public waiting {
 public:
  lock_of_a_file() {
    folder_.write("file", "");
    for (int& fd : fds_) fd = ::open(folder_.path("file").c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(::flock(fds_[0], LOCK_EX), 0);
  }
  ~lock_of_a_file() override {
    for (const int fd : fds_) ::close(fd);
  }
  call what() override { return {SYS_flock, fds_[1], LOCK_EX}; }

 private:
  temporary_folder folder_;
  std::array<int, 2> fds_{};
};

struct kind_of_waiting {
  const char* name;
  std::unique_ptr<waiting> (*make)();
  bool restarts;  // with SA_RESTART
};

template <class T>
std::unique_ptr<waiting> make() {
  return std::make_unique<T>();
}

inline constexpr std::array<kind_of_waiting, 5> kinds{{
    {"read", make<read_of_a_pipe>, true},
    {"accept", make<accept_of_a_socket>, true},
    {"futex", make<wait_for_a_futex>, true},
    {"nanosleep", make<sleep_of_an_hour>, false},
    {"flock", make<lock_of_a_file>, true},
}};

// By an item of a pool: announced, and interrupted if it is cancelled.
inline long make(io_call& by, const call& c) { return by.system_call(c.number, c.a, c.b, c.c, c.d); }

inline long plainly(const call& c) { return raw(c.number, c.a, c.b, c.c, c.d); }

}  // namespace wring::test
