// SPDX-License-Identifier: Apache-2.0
// What reports of stuck work (WQ-135) say about threads and code of the real machine.
//
// Method: threads are led into a state, then looked at until it shows; the program's time limit ends what never does.
#include "base/thread_state.h"

#include "base/check.h"
#include "base/sync.h"
#include "support/gate.h"

#include <gtest/gtest.h>

#include <link.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>

namespace wring::base {
namespace {

using test::eventually;
using test::gate;

// A thread that is somewhere, and its number.
class subject {
 public:
  template <class Body>
  explicit subject(const Body& body)
      : thread_{[this, body] {
          tid_ = thread_id();
          known_.open();
          body();
        }} {
    known_.wait();
  }
  ~subject() { thread_.join(); }
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;

  [[nodiscard]] thread_state look() const { return look_at_thread(tid_); }

 private:
  std::uint32_t tid_ = 0;
  gate known_;
  std::thread thread_;
};

// Where the kernel tells calls and functions to nobody, there is nothing to test.
bool calls_are_visible() { return ::access("/proc/self/task", X_OK) == 0 && ::access("/proc/self/syscall", R_OK) == 0; }

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(fd.data()), 0); }
  ~pipe_pair() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  void write_one() const { ASSERT_EQ(::write(fd[1], "x", 1), 1); }

  std::array<int, 2> fd{};
};

TEST(thread_state, names_the_pipe_that_a_thread_reads_from) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  const pipe_pair pipe;
  const subject reader{[&] {
    char byte = 0;
    ASSERT_EQ(::read(pipe.fd[0], &byte, 1), 1);
  }};
  const std::string expected = "read of fd " + std::to_string(pipe.fd[0]) + " (pipe:[";
  eventually([&] {
    const thread_state seen = reader.look();
    return seen.state == 'S' && seen.call.starts_with(expected) && seen.call.ends_with("])");
  });
  pipe.write_one();
}

TEST(thread_state, shows_a_wait_for_a_condition_as_a_futex) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  gate opened;
  const subject waiter{[&] { opened.wait(); }};
  eventually([&] {
    const thread_state seen = waiter.look();
    return seen.state == 'S' && seen.call == "futex";
  });
  opened.open();
}

// Method: short sleeps, again and again, one of which the look finds.
TEST(thread_state, shows_a_sleep) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  gate opened;
  const subject sleeper{[&] {
    constexpr timespec short_time{.tv_sec = 0, .tv_nsec = 5'000'000};
    while (!opened.is_open()) ::nanosleep(&short_time, nullptr);
  }};
  eventually([&] { return sleeper.look().call.ends_with("nanosleep"); });
  opened.open();
}

TEST(thread_state, shows_a_poll) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  const pipe_pair pipe;
  const subject poller{[&] {
    pollfd entry{.fd = pipe.fd[0], .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&entry, 1, -1), 1);
  }};
  eventually([&] { return poller.look().call.ends_with("poll"); });
  pipe.write_one();
}

TEST(thread_state, shows_a_call_that_few_use_by_its_number) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  const pipe_pair pipe;
  const subject reader{[&] {
    char byte = 0;
    iovec part{.iov_base = &byte, .iov_len = 1};
    ASSERT_EQ(::preadv2(pipe.fd[0], &part, 1, -1, 0), 1);
  }};
  eventually([&] { return reader.look().call == "system call " + std::to_string(SYS_preadv2); });
  pipe.write_one();
}

TEST(thread_state, names_the_process_that_a_thread_waits_for) {
  if (!calls_are_visible()) GTEST_SKIP() << "this kernel does not show system calls";
  const pipe_pair pipe;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    ::_exit(::read(pipe.fd[0], &byte, 1) == 1 ? 0 : 1);
  }
  const subject parent{[&] { ASSERT_EQ(::waitpid(child, nullptr, 0), child); }};
  eventually([&] { return parent.look().call == "wait4 for process " + std::to_string(child); });
  pipe.write_one();
}

TEST(thread_state, a_thread_that_computes_is_running_and_in_no_call) {
  atomic<bool> done{false};
  const subject runner{[&] {
    while (!done.load(order::relaxed)) cpu_relax();
  }};
  eventually([&] {
    const thread_state seen = runner.look();
    return seen.state == 'R' && seen.call.empty() && seen.kernel_function.empty();
  });
  done.store(true, order::relaxed);
}

// Also what a machine without /proc says.
TEST(thread_state, of_a_thread_that_has_ended_is_unknown) {
  std::uint32_t tid = 0;
  std::thread{[&] { tid = thread_id(); }}.join();
  eventually([&] { return look_at_thread(tid).state == '?'; });  // it leaves /proc a moment after it was joined
  EXPECT_EQ(look_at_thread(tid).call, "");
  EXPECT_EQ(look_at_thread(tid).kernel_function, "");
  EXPECT_EQ(look_at_thread(0).state, '?');
}

// Method: the program is the first module that the dynamic linker lists.
TEST(describe_code, names_module_and_the_offset_that_its_symbol_table_has) {
  std::uintptr_t load_bias = 0;
  const auto first_module = [](dl_phdr_info* info, std::size_t, void* to) {
    *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
    return 1;
  };
  ::dl_iterate_phdr(first_module, &load_bias);
  void (*const callback)() = [] {};
  const auto at = reinterpret_cast<std::uintptr_t>(callback);
  writer expected;
  expected.put("base_thread_state+", hex{at - load_bias});
  EXPECT_NE(describe_code(reinterpret_cast<const void*>(at)).find(expected.text()), std::string::npos)
      << describe_code(reinterpret_cast<const void*>(at)) << " against " << expected.text();
}

TEST(describe_code, demangles_a_symbol_and_adds_the_distance_from_it) {
  // operator new lies in the C++ library, whose symbols are all visible.
  void* (*const allocate)(std::size_t) = &::operator new;
  const std::string text = describe_code(reinterpret_cast<const char*>(allocate) + 1);
  EXPECT_TRUE(text.starts_with("operator new(unsigned long)+0x1 (")) << text;
}

TEST(describe_code, of_no_code_is_the_bare_address) {
  EXPECT_EQ(describe_code(nullptr), "0x0");
  EXPECT_EQ(describe_code(reinterpret_cast<const void*>(std::uintptr_t{0x10})), "0x10");
}

}  // namespace
}  // namespace wring::base
