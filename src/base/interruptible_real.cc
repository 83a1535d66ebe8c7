// SPDX-License-Identifier: Apache-2.0
// interruptible_real: the instructions, the signal's handler, and which signal that is.

#include "base/interruptible.h"

#include "base/mutex.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>

// wring_call(word, call): the lower half of the word is looked at, `call` is a call_arguments.
#if defined(__x86_64__)
#define WRING_HAS_INTERRUPTIBLE_CALLS 1
asm(R"(
  .pushsection .text
  .type wring_call, @function
  .hidden wring_call, wring_call_look, wring_call_behind, wring_call_skipped
  .globl wring_call, wring_call_look, wring_call_behind, wring_call_skipped
wring_call:
  .cfi_startproc
  mov %rdi, %r11
  mov (%rsi), %rax
  mov 8(%rsi), %rdi
  mov 24(%rsi), %rdx
  mov 32(%rsi), %r10
  mov 40(%rsi), %r8
  mov 48(%rsi), %r9
  mov 16(%rsi), %rsi
wring_call_look:
  testl $2, (%r11)
  jnz wring_call_skipped
  syscall
wring_call_behind:
  ret
wring_call_skipped:
  mov $-4, %rax
  ret
  .cfi_endproc
  .size wring_call, . - wring_call
  .popsection
)");
#elif defined(__aarch64__)
#define WRING_HAS_INTERRUPTIBLE_CALLS 1
asm(R"(
  .pushsection .text
  .type wring_call, @function
  .hidden wring_call, wring_call_look, wring_call_behind, wring_call_skipped
  .globl wring_call, wring_call_look, wring_call_behind, wring_call_skipped
wring_call:
  .cfi_startproc
  mov x9, x0
  mov x10, x1
  ldr x8, [x10]
  ldp x0, x1, [x10, #8]
  ldp x2, x3, [x10, #24]
  ldp x4, x5, [x10, #40]
wring_call_look:
  ldr w11, [x9]
  tbnz w11, #1, wring_call_skipped
  svc #0
wring_call_behind:
  ret
wring_call_skipped:
  mov x0, #-4
  ret
  .cfi_endproc
  .size wring_call, . - wring_call
  .popsection
)");
#endif

#ifdef WRING_HAS_INTERRUPTIBLE_CALLS
extern "C" {
long wring_call(const void* word, const wring::base::call_arguments* call);
extern const char wring_call_look[];
extern const char wring_call_behind[];
extern const char wring_call_skipped[];
}
#endif

namespace wring::base {

static_assert(EINTR == 4 && call_cancelled == 2);
static_assert(sizeof(atomic<std::uint64_t>) == 8);

namespace {

struct chosen {
  mutex mu{rank::leaf};
  atomic<int> signal{0};  // 0: none yet
};
constinit chosen the_signal;

void handle(int, siginfo_t*, void* context) {
#ifdef WRING_HAS_INTERRUPTIBLE_CALLS
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  auto& at = machine.gregs[REG_RIP];
#else
  auto& at = machine.pc;
#endif
  const auto address = [](const char* label) { return reinterpret_cast<std::uintptr_t>(label); };
  const auto here = static_cast<std::uintptr_t>(at);
  if (here >= address(wring_call_look) && here < address(wring_call_behind)) {
    at = static_cast<std::remove_reference_t<decltype(at)>>(address(wring_call_skipped));
  }
#else
  static_cast<void>(context);
#endif
}

}  // namespace

int choose_interrupt(int signal) noexcept {
  const lock_guard lock{the_signal.mu};
  const int before = the_signal.signal.load(order::relaxed);
  if (before != 0) return signal == 0 || signal == before ? 0 : -EINVAL;
  if (signal == 0) signal = SIGRTMAX - 3;
  if (signal < SIGRTMIN || signal > SIGRTMAX) return -EINVAL;
  struct sigaction now {};
  if (::sigaction(signal, nullptr, &now) != 0) return -errno;
  if ((now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) return -EBUSY;
  struct sigaction ours {};
  ours.sa_sigaction = handle;
  ours.sa_flags = SA_SIGINFO;  // without SA_RESTART: the call has to end
  ::sigemptyset(&ours.sa_mask);
  if (::sigaction(signal, &ours, nullptr) != 0) return -errno;
  the_signal.signal.store(signal, order::release);  // pairs with accept(), interrupt()
  return 0;
}

void interruptee::accept() noexcept {
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, the_signal.signal.load(order::acquire));  // pairs with choose_interrupt()
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  state_.store(thread_id(), order::relaxed);
}

long interruptee::call(const atomic<std::uint64_t>& word, const call_arguments& call) noexcept {
#ifdef WRING_HAS_INTERRUPTIBLE_CALLS
  return wring_call(&word, &call);
#else
  if ((word.load(order::acquire) & call_cancelled) != 0) return -EINTR;  // pairs with who cancels
  const auto& v = call.values;
  const long r = ::syscall(call.number, v[0], v[1], v[2], v[3], v[4], v[5]);
  return r == -1 ? -errno : r;
#endif
}

int interruptee::interrupt() noexcept {
  const int signal = the_signal.signal.load(order::acquire);  // pairs with choose_interrupt()
  const auto tid = static_cast<pid_t>(state_.load(order::relaxed));
  return ::syscall(SYS_tgkill, ::getpid(), tid, signal) == 0 ? 0 : -errno;
}

void interruptee::take_interrupts() noexcept { ::syscall(SYS_gettid); }

}  // namespace wring::base
