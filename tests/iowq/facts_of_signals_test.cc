// SPDX-License-Identifier: Apache-2.0
// How a signal ends a system call that waits, and how it can miss one (IOWQ-82, IOWQ-83, IOWQ-U3).
#include "iowq/facts.h"
#include "iowq/waits.h"

#include <sys/resource.h>

#include <memory>
#include <string>

namespace wring::test {
namespace {

class signals : public ::testing::TestWithParam<kind_of_waiting> {
 protected:
  void SetUp() override {
    if (!calls_are_seen()) GTEST_SKIP() << "/proc does not tell in which system call a thread is";
  }
};

// IOWQ-U3. Method: the signal is sent when the thread sleeps in the call.
TEST_P(signals, without_restart_interrupt_a_call_that_waits) {
  const reserved_signal reserved{only_count};
  const std::unique_ptr<waiting> way = GetParam().make();
  const call c = way->what();
  std::atomic<pid_t> tid{0};
  long result = 0;
  std::thread thread{[&] {
    tid.store(::gettid());
    result = plainly(c);
  }};
  eventually([&] { return tid.load() != 0; });
  wait_until_blocked_in(tid.load(), c.number);
  EXPECT_EQ(send(tid.load()), 0);
  thread.join();
  EXPECT_EQ(result, -EINTR);
  EXPECT_EQ(handled.load(), 1);
}

// IOWQ-U3. Method: as above; the thread is seen to wait again. A flag tells another handler's run to end it, by the
// same signal without restart.
TEST_P(signals, with_restart_do_not_but_for_sleeps) {
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer delivers signals later";
  const std::unique_ptr<waiting> way = GetParam().make();
  const call c = way->what();
  std::atomic<pid_t> tid{0};
  std::atomic<bool> ended{false};
  long result = 0;
  const reserved_signal restarting{only_count, SA_RESTART};
  std::thread thread{[&] {
    tid.store(::gettid());
    result = plainly(c);
    ended.store(true);
  }};
  eventually([&] { return tid.load() != 0; });
  wait_until_blocked_in(tid.load(), c.number);
  EXPECT_EQ(send(tid.load()), 0);
  eventually([] { return handled.load() == 1; });
  if (GetParam().restarts) {
    wait_until_blocked_in(tid.load(), c.number);
    EXPECT_FALSE(ended.load());
    const reserved_signal interrupting{only_count};
    EXPECT_EQ(send(tid.load()), 0);
    thread.join();
  } else {
    thread.join();
  }
  EXPECT_EQ(result, -EINTR);
}

// IOWQ-U3. Method: a thread sends the signal to itself, which arrives before that call has returned, and so right
// before the next one. That is how the window looks in which it is lost. A second one, later, ends the call.
TEST_P(signals, that_arrive_just_before_the_call_are_lost) {
  const reserved_signal reserved{only_count};
  const std::unique_ptr<waiting> way = GetParam().make();
  const call c = way->what();
  std::atomic<pid_t> tid{0};
  long result = 0;
  int handled_before = 0;
  std::thread thread{[&] {
    tid.store(::gettid());
    send(::gettid());
    handled_before = handled.load();
    result = plainly(c);
  }};
  eventually([&] { return tid.load() != 0; });
  wait_until_blocked_in(tid.load(), c.number);  // so it is lost
  EXPECT_EQ(send(tid.load()), 0);
  thread.join();
  EXPECT_EQ(handled_before, under_tsan ? handled_before : 1);
  EXPECT_EQ(result, -EINTR);
}

INSTANTIATE_TEST_SUITE_P(all, signals, ::testing::ValuesIn(kinds),
                         [](const auto& c) { return std::string{c.param.name}; });

// IOWQ-U3. So a thread that knows that nobody sends it any more signals gets rid of those sent by one cheap call.
// Method: another thread sends many of them while the thread is busy.
TEST(signals_sent, have_all_been_handled_when_the_next_system_call_returns) {
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer delivers signals later";
  const reserved_signal reserved{only_count};
  for (int round = 0; round < 200; ++round) {
    handled.store(0);
    std::atomic<int> phase{0};
    int seen = -1;
    std::thread thread{[&] {
      phase.store(::gettid());
      while (phase.load() != -1) {
      }
      ::syscall(SYS_getppid);
      seen = handled.load();
    }};
    eventually([&] { return phase.load() > 0; });
    const pid_t tid = phase.load();
    int sent = 0;
    for (int i = 0; i < 5; ++i) sent += send(tid) == 0 ? 1 : 0;
    phase.store(-1);
    thread.join();
    ASSERT_EQ(seen, sent);  // real-time signals queue up, they are not merged
  }
}

// IOWQ-U3. A refused signal has to be sent again later; of the first 31 numbers one is never refused.
TEST(signals_sent, are_refused_with_eagain_where_no_more_may_be_queued_if_they_are_real_time) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const reserved_signal reserved{only_count};
    raw(SYS_setresuid, stranger, stranger, stranger);
    const rlimit none{0, 0};
    c.check(::setrlimit(RLIMIT_SIGPENDING, &none) == 0, "nothing may be queued");
    c.check(send(::gettid()) == -EAGAIN, "the signal is refused");
    c.check(handled.load() == 0, "and does not come");
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGUSR1, &ignored, nullptr);
    c.check(raw(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR1) == 0, "an old one is not");
  });
}

// IOWQ-U3. Method: the parent of a vfork() waits in a way that no handler ends. An exec or the end of the child does.
TEST(signals_sent, do_not_end_a_wait_that_cannot_be_interrupted) {
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer does not know vfork";
  const reserved_signal reserved{only_count};
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  std::atomic<pid_t> tid{0};
  std::atomic<bool> ended{false};
  std::thread thread{[&] {
    tid.store(::gettid());
    const int fd = pipe[0];
    static char byte;
    const pid_t child = ::vfork();
    if (child == 0) {
      static_cast<void>(::read(fd, &byte, 1));
      ::_exit(0);
    }
    ended.store(true);
    static_cast<void>(status_of(child));
  }};
  eventually([&] { return tid.load() != 0 && state_of(tid.load()) == 'D'; });
  EXPECT_EQ(send(tid.load()), 0);
  for (int looks = 0; looks < 100; ++looks) EXPECT_EQ(state_of(tid.load()), 'D');
  EXPECT_EQ(handled.load(), 0);
  EXPECT_FALSE(ended.load());
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  thread.join();
  EXPECT_EQ(handled.load(), 1);
  for (const int fd : pipe) ::close(fd);
}

}  // namespace
}  // namespace wring::test
