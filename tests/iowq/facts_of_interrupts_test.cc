// SPDX-License-Identifier: Apache-2.0
// Three ways to interrupt a call that no signal misses, and a protocol that hits nothing else (IOWQ-82, IOWQ-83,
// IOWQ-U3).
#include "iowq/facts.h"
#include "iowq/waits.h"

#include <poll.h>
#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>

namespace wring::test {
namespace {

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
  std::function<void()> before_sending;
  void set_tid() { tid_ = ::gettid(); }
  [[nodiscard]] int repeated() const { return repeated_; }

 private:
  static constexpr std::uint32_t open = 1;
  static_assert(open != cancelled);

  void signal_locked() {
    if ((word_.load() & open) == 0) return;
    if (before_sending) before_sending();
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

// IOWQ-U3: one signal each.
TEST_P(interrupts, by_instructions_end_ten_thousand_calls_and_hit_no_other_one) {
  if (!has_interruptible_calls) GTEST_SKIP() << "not for this processor";
  cancel_many(guarded_worker::manner::by_instructions, GetParam(), 10'000);
}

// IOWQ-U3, the third way, for calls that others make: the signal is repeated until the guard is left.
TEST_P(interrupts, by_repetition_end_ten_thousand_calls_and_hit_no_other_one) {
  cancel_many(guarded_worker::manner::by_repetition, GetParam(), 10'000);
}

bool blocked_in_read_of(pid_t tid, int fd) {
  char begins[32];
  std::snprintf(begins, sizeof begins, "%d 0x%x ", SYS_read, static_cast<unsigned>(fd));
  return state_of(tid) == 'S' && contents(proc_of(tid, "syscall")).starts_with(begins);
}
bool blocked_in_a_futex(pid_t tid) {
  return state_of(tid) == 'S' && contents(proc_of(tid, "syscall")).starts_with(std::to_string(SYS_futex) + " ");
}

// IOWQ-U3. Method: the canceller is held between its look, which finds the guard open, and its signal, until the call
// has ended and the thread waits again: for the lock, as it should, or in a call outside of the guard, which would be
// hit.
TEST(interrupts_that_come_late, are_waited_for_at_the_end_of_the_guard) {
  if (!calls_are_seen()) GTEST_SKIP() << "/proc does not tell in which system call a thread is";
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer delivers signals when it likes";
  const reserved_signal reserved{only_count};
  guarded_worker worker{guarded_worker::manner::by_instructions};
  read_of_a_pipe guarded;
  read_of_a_pipe unguarded;
  std::atomic<pid_t> tid{0};
  std::array<long, 2> results{};
  std::atomic<bool> ended{false};
  std::thread thread{[&] {
    worker.set_tid();
    worker.begin(1);
    tid.store(::gettid());
    results[0] = worker.guarded(guarded.what());
    results[1] = plainly(unguarded.what());
    ended.store(true);
    worker.end();
  }};
  eventually([&] { return tid.load() != 0 && blocked_in_read_of(tid.load(), guarded.fd()); });
  worker.before_sending = [&] {
    guarded.write();
    eventually([&] { return blocked_in_a_futex(tid.load()) || blocked_in_read_of(tid.load(), unguarded.fd()); });
  };
  std::thread canceller{[&] { EXPECT_TRUE(worker.cancel(1)); }};
  eventually([&] { return ended.load() || (handled.load() == 1 && blocked_in_read_of(tid.load(), unguarded.fd())); });
  unguarded.write();
  thread.join();
  canceller.join();
  EXPECT_EQ(results[0], 1);  // what the call has done is told, although it was cancelled
  EXPECT_EQ(results[1], 1);
}

INSTANTIATE_TEST_SUITE_P(all, interrupts, ::testing::ValuesIn(kinds),
                         [](const auto& c) { return std::string{c.param.name}; });

}  // namespace
}  // namespace wring::test
