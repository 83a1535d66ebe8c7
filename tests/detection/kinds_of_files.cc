// SPDX-License-Identifier: Apache-2.0
// kinds_of_files: waiting for what comes through a descriptor, for a lock on a file, or for a child process.
#include "detection/kinds.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace wring::test {
namespace {

class pipe_pair {
 public:
  pipe_pair() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~pipe_pair() {
    for (const int end : ends_) ::close(end);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void read_byte() const {
    char byte = 0;
    EXPECT_EQ(::read(reader(), &byte, 1), 1);
  }
  void write_byte() const { EXPECT_EQ(::write(writer(), "\n", 1), 1); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

class empty_pipe final : public kind {
 public:
  void wait() override { pipe_.read_byte(); }
  void open() override { pipe_.write_byte(); }

 private:
  pipe_pair pipe_;
};

class full_pipe final : public kind {
 public:
  full_pipe() {
    ::fcntl(pipe_.writer(), F_SETFL, O_NONBLOCK);
    for (const std::size_t bytes : {contents_.size(), std::size_t{1}}) {
      while (::write(pipe_.writer(), contents_.data(), bytes) > 0) continue;
    }
    ::fcntl(pipe_.writer(), F_SETFL, 0);
  }
  void wait() override { pipe_.write_byte(); }
  void open() override { EXPECT_GT(::read(pipe_.reader(), contents_.data(), contents_.size()), 0); }

 private:
  pipe_pair pipe_;
  std::vector<char> contents_ = std::vector<char>(4'096);
};

class polled_pipe final : public kind {
 public:
  void wait() override {
    pollfd looked_at{pipe_.reader(), POLLIN, 0};
    EXPECT_EQ(::poll(&looked_at, 1, -1), 1);
  }
  void open() override { pipe_.write_byte(); }

 private:
  pipe_pair pipe_;
};

class epoll_of_an_eventfd final : public kind {
 public:
  epoll_of_an_eventfd() {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    EXPECT_EQ(::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &wanted), 0);
  }
  ~epoll_of_an_eventfd() override {
    ::close(epoll_);
    ::close(event_);
  }
  void wait() override {
    epoll_event seen{};
    EXPECT_EQ(::epoll_wait(epoll_, &seen, 1, -1), 1);
  }
  void open() override { EXPECT_EQ(::eventfd_write(event_, 1), 0); }

 private:
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int event_ = ::eventfd(0, EFD_CLOEXEC);
};

class locked_file final : public kind {
 public:
  locked_file() {
    folder_.write("lock", "");
    holder_ = ::open(folder_.path("lock").c_str(), O_RDWR | O_CLOEXEC);
    waiter_ = ::open(folder_.path("lock").c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_EQ(::flock(holder_, LOCK_EX), 0);
  }
  ~locked_file() override {
    ::close(holder_);
    ::close(waiter_);
  }
  void wait() override { EXPECT_EQ(::flock(waiter_, LOCK_EX), 0); }
  void open() override { EXPECT_EQ(::flock(holder_, LOCK_UN), 0); }

 private:
  temporary_folder folder_;
  int holder_ = -1;
  int waiter_ = -1;
};

class socket_without_visitors final : public kind {
 public:
  socket_without_visitors() {
    sockaddr_un own{};
    own.sun_family = AF_UNIX;  // and nothing else: the kernel finds a name
    EXPECT_EQ(::bind(listener_, as_address(own), sizeof own.sun_family), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
  }
  ~socket_without_visitors() override {
    ::close(listener_);
    ::close(accepted_);
    ::close(visitor_);
  }
  void wait() override {
    accepted_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(accepted_, 0);
  }
  void open() override {
    sockaddr_un there{};
    socklen_t length = sizeof there;
    EXPECT_EQ(::getsockname(listener_, as_address(there), &length), 0);
    EXPECT_EQ(::connect(visitor_, as_address(there), length), 0);
  }

 private:
  static sockaddr* as_address(sockaddr_un& a) { return reinterpret_cast<sockaddr*>(&a); }
  int listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int visitor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int accepted_ = -1;
};

class shell_that_reads final : public kind {
 public:
  shell_that_reads() { EXPECT_EQ(::mkfifo(fifo_.c_str(), 0600), 0); }
  void wait() override { EXPECT_EQ(std::system(("read line < '" + fifo_ + "'").c_str()), 0); }
  void open() override {
    const int writer = ::open(fifo_.c_str(), O_WRONLY | O_CLOEXEC);  // waits for the shell to be there
    EXPECT_EQ(::write(writer, "\n", 1), 1);
    ::close(writer);
  }

 private:
  temporary_folder folder_;
  std::string fifo_ = folder_.path("fifo");
};

class child_that_reads final : public kind {
 public:
  child_that_reads() {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe_.reader(), STDIN_FILENO);
    std::string name = "sh";
    std::string flag = "-c";
    std::string line = "read line";
    const std::array<char*, 4> arguments{name.data(), flag.data(), line.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&child_, "/bin/sh", &actions, nullptr, arguments.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  void wait() override {
    int status = -1;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    EXPECT_EQ(status, 0);
  }
  void open() override { pipe_.write_byte(); }

 private:
  pipe_pair pipe_;
  pid_t child_ = -1;
};

}  // namespace

std::vector<kind_maker> kinds_of_files() {
  return {
      {"empty_pipe", make_kind<empty_pipe>},   {"full_pipe", make_kind<full_pipe>},
      {"poll", make_kind<polled_pipe>},        {"epoll", make_kind<epoll_of_an_eventfd>},
      {"locked_file", make_kind<locked_file>}, {"accept", make_kind<socket_without_visitors>},
      {"system", make_kind<shell_that_reads>}, {"waitpid", make_kind<child_that_reads>},
  };
}

}  // namespace wring::test
