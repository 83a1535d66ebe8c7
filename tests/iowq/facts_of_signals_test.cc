// SPDX-License-Identifier: Apache-2.0
// How a signal ends a system call that waits, how it can miss one, and a protocol that neither misses nor hits anything
// else (IOWQ-82, IOWQ-83, IOWQ-U3).
#include "iowq/facts.h"
#include "iowq/interruptible_call.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace wring::test {
namespace {

int interrupt() { return SIGRTMIN + 7; }

std::atomic<int> handled{0};

void only_count(int, siginfo_t*, void*) { handled.fetch_add(1); }
void count_and_skip(int, siginfo_t*, void* context) {
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

long send(pid_t tid) { return raw(SYS_tgkill, ::getpid(), tid, interrupt()); }

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

long number_of(const void* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); }

class read_of_a_pipe final : public waiting {
 public:
  read_of_a_pipe() { EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0); }
  ~read_of_a_pipe() override {
    for (const int fd : pipe_) ::close(fd);
  }
  call what() override { return {SYS_read, pipe_[0], number_of(&byte_), 1}; }
  void write() const { EXPECT_EQ(::write(pipe_[1], "x", 1), 1); }
  [[nodiscard]] int fd() const { return pipe_[0]; }

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

constexpr std::array<kind_of_waiting, 5> kinds{{
    {"read", make<read_of_a_pipe>, true},
    {"accept", make<accept_of_a_socket>, true},
    {"futex", make<wait_for_a_futex>, true},
    {"nanosleep", make<sleep_of_an_hour>, false},
    {"flock", make<lock_of_a_file>, true},
}};

long plainly(const call& c) { return raw(c.number, c.a, c.b, c.c, c.d); }

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

// IOWQ-83. So a thread that knows that nobody sends it any more signals gets rid of those sent by one cheap call.
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

// IOWQ-82. Method: the parent of a vfork() waits in a way that no handler ends. An exec or the end of the child does.
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

// ---- three ways to lose none
// -----------------------------------------------------------------------------------------

// IOWQ-U3, the first way, for what can be polled. Method: the signal is blocked and pending before the call that lets
// it in and waits, in one.
TEST(no_signal_is_lost, by_ppoll_which_unblocks_it_and_waits_in_one) {
  const reserved_signal reserved{only_count};
  const read_of_a_pipe pipe;
  std::thread{[&] {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, interrupt());
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    send(::gettid());
    EXPECT_EQ(handled.load(), 0);
    pollfd p{.fd = pipe.fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::ppoll(&p, 1, nullptr, &before), -1);
    EXPECT_EQ(errno, EINTR);
  }}.join();
}

// IOWQ-U3, the second way, for all calls. Method: the thread goes step by step through the instructions from the look
// up to the call. Before one of them the signal is made to arrive. Without the handler's help it is lost right before
// the call, which is seen as a byte that has been taken out of the pipe.
#if defined(__x86_64__)
std::atomic<std::uintptr_t> arrive_at{0};
std::atomic<int> steps_inside{0};
constexpr greg_t trap_flag = 0x100;

void step(int, siginfo_t*, void* context) {
  auto& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
  const std::uintptr_t at = instruction_of(context);
  const bool inside = at >= first_instruction() && at < instruction_behind();
  if (inside) steps_inside.fetch_add(1);
  if (inside && at == arrive_at.load()) send(::gettid());  // it is blocked until this handler returns to there
  const bool left = !inside && steps_inside.load() != 0;   // the first step after the call is the one behind its return
  if (at == arrive_at.load() || left) flags &= ~trap_flag;
}

[[gnu::noinline]] void step_from_here() { asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n" ::: "cc", "memory"); }

long call_with_a_signal_before(std::uintptr_t instruction, const call& c) {
  const std::atomic<std::uint32_t> word{0};
  struct sigaction trap {};
  struct sigaction before {};
  trap.sa_sigaction = step;
  trap.sa_flags = SA_SIGINFO;
  ::sigfillset(&trap.sa_mask);
  ::sigaction(SIGTRAP, &trap, &before);
  arrive_at.store(instruction);
  steps_inside.store(0);
  step_from_here();
  const long result = interruptible_call(word, c.number, c.a, c.b, c.c, c.d);
  ::sigaction(SIGTRAP, &before, nullptr);
  return result;
}

TEST(no_signal_is_lost, by_a_handler_that_knows_the_instructions_before_the_call) {
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer delivers signals when it likes";
  read_of_a_pipe pipe;
  const call c = pipe.what();
  int instructions = 0;
  for (std::uintptr_t at = first_instruction(); at < instruction_behind(); ++at) {
    {
      const reserved_signal helpless{only_count};
      pipe.write();
      EXPECT_EQ(call_with_a_signal_before(at, c), 1) << "lost before the byte at " << at - first_instruction();
      if (handled.load() == 0) {  // no instruction begins there: the thread has gone through all of them
        EXPECT_GE(steps_inside.load(), 3);
        continue;
      }
    }
    const reserved_signal reserved{count_and_skip};
    ++instructions;
    EXPECT_EQ(call_with_a_signal_before(at, c), -EINTR) << "nothing is in the pipe, and yet it returned";
    pipe.write();
    EXPECT_EQ(call_with_a_signal_before(at, c), -EINTR) << "the call was not made";
    EXPECT_EQ(plainly(c), 1) << "so the byte is still there";
  }
  EXPECT_EQ(instructions, 3);  // look, jump, call
}

// Method: the handler's part alone, for a thread that is right behind the call.
TEST(no_signal_is_lost, and_nothing_that_a_call_has_done) {
  ucontext_t context{};
  auto& pc = context.uc_mcontext.gregs[REG_RIP];
  for (const std::uintptr_t at : {first_instruction() - 1, instruction_behind(), instruction_behind() + 1}) {
    pc = static_cast<greg_t>(at);
    skip_the_call(&context);
    EXPECT_EQ(instruction_of(&context), at);
  }
  pc = static_cast<greg_t>(call_instruction());
  skip_the_call(&context);
  EXPECT_GT(instruction_of(&context), instruction_behind());
}
#endif

// ---- the protocol
// ----------------------------------------------------------------------------------------------------

// Of one worker: what it is in, and whether that may be interrupted.
class guarded_worker {
 public:
  enum class manner : std::uint8_t { by_instructions, by_repetition };
  explicit guarded_worker(manner m) : manner_{m} {}

  void begin(int item) {
    const std::lock_guard lock{mu_};
    word_.store(0);
    item_ = item;
  }
  void end() {
    const std::lock_guard lock{mu_};
    item_ = 0;
    ended_.notify_all();
  }
  // -ECANCELED: not made, or interrupted.
  long guarded(const call& c) {
    long result = -ECANCELED;
    if ((word_.fetch_or(open) & cancelled) == 0)
      result =
          manner_ == manner::by_instructions ? interruptible_call(word_, c.number, c.a, c.b, c.c, c.d) : plainly(c);
    if ((word_.fetch_and(~open) & cancelled) == 0) return result;
    { const std::lock_guard nobody_sends{mu_}; }
    ::syscall(SYS_getppid);  // what has been sent has been handled now
    return result == -EINTR ? -ECANCELED : result;
  }

  // True: the item runs.
  bool cancel(int item) {
    std::unique_lock lock{mu_};
    if (item_ != item) return false;
    word_.fetch_or(cancelled);
    signal_locked();
    // What a timer would do. A call that waits is hit at the latest by the next one.
    using std::chrono::milliseconds;
    for (auto pause = milliseconds{1};; pause = std::min(2 * pause, milliseconds{64})) {
      if (manner_ == manner::by_instructions && !under_tsan) {
        ended_.wait(lock, [&] { return item_ != item; });
      } else if (!ended_.wait_for(lock, pause, [&] { return item_ != item; })) {
        repeated_ += 1;
        signal_locked();
        continue;
      }
      return true;
    }
  }
  void set_tid() { tid_ = ::gettid(); }
  [[nodiscard]] int repeated() const { return repeated_; }

 private:
  static constexpr std::uint32_t open = 1;
  static_assert(open != cancelled);

  void signal_locked() {
    if ((word_.load() & open) == 0) return;
    EXPECT_EQ(send(tid_), 0);
  }

  const manner manner_;
  std::mutex mu_;
  std::condition_variable ended_;
  std::atomic<std::uint32_t> word_{0};
  int item_ = 0;
  pid_t tid_ = 0;
  int repeated_ = 0;
};

// Each item waits for ever and is cancelled at a random moment; the next one reads a byte that comes then, and must not
// be disturbed. Without a deadline: a signal that is lost makes it hang.
void cancel_many(guarded_worker::manner manner, const kind_of_waiting& kind, int times) {
  const reserved_signal reserved{manner == guarded_worker::manner::by_instructions ? count_and_skip : only_count};
  guarded_worker worker{manner};
  const std::unique_ptr<waiting> way = kind.make();
  read_of_a_pipe pipe;
  std::atomic<int> begun{0};
  int other_results = 0;
  int disturbed = 0;
  std::thread thread{[&] {
    worker.set_tid();
    for (int i = 1; i <= times; ++i) {
      worker.begin(i);
      begun.store(i);
      other_results += worker.guarded(way->what()) == -ECANCELED ? 0 : 1;
      worker.end();
      worker.begin(-i);
      disturbed += worker.guarded(pipe.what()) == 1 ? 0 : 1;
      worker.end();
    }
  }};
  std::minstd_rand random{20'26};
  for (int i = 1; i <= times; ++i) {
    while (begun.load() != i) std::this_thread::yield();
    for (auto spins = random() % 2048; spins != 0; --spins) static_cast<void>(begun.load());
    EXPECT_TRUE(worker.cancel(i));
    pipe.write();
  }
  thread.join();
  EXPECT_EQ(other_results, 0);
  EXPECT_EQ(disturbed, 0);
  ::testing::Test::RecordProperty("repeated", worker.repeated());
}

class interrupts : public ::testing::TestWithParam<kind_of_waiting> {};

// IOWQ-82, IOWQ-83, IOWQ-U3: one signal each.
TEST_P(interrupts, by_instructions_end_ten_thousand_calls_and_hit_no_other_one) {
  if (!has_interruptible_calls) GTEST_SKIP() << "not for this processor";
  cancel_many(guarded_worker::manner::by_instructions, GetParam(), 10'000);
}

// IOWQ-U3, the third way, for calls that others make: the signal is repeated until the guard is left.
TEST_P(interrupts, by_repetition_end_ten_thousand_calls_and_hit_no_other_one) {
  cancel_many(guarded_worker::manner::by_repetition, GetParam(), 10'000);
}

INSTANTIATE_TEST_SUITE_P(all, interrupts, ::testing::ValuesIn(kinds),
                         [](const auto& c) { return std::string{c.param.name}; });

}  // namespace
}  // namespace wring::test
