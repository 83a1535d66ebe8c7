// SPDX-License-Identifier: Apache-2.0
// sync_real: futexes, fences and threads of the machine.

#include "base/sync.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace wring::base {

constinit bool heavy_fence_available = false;

namespace {

// Before anybody's static constructors can start a worker.
[[gnu::constructor(101)]] void register_heavy_fence() noexcept {
  heavy_fence_available = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace

void heavy_fence_slow() noexcept {
  fence_full();
  if (heavy_fence_available) ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

int futex_wait_raw(const std::uint32_t* word, std::uint32_t expected, instant deadline) noexcept {
  timespec until{};
  const timespec* timeout = nullptr;
  if (deadline != never) {
    until.tv_sec = static_cast<time_t>(deadline.ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(deadline.ns % 1'000'000'000);
    timeout = &until;
  }
  // The bitset form takes an absolute CLOCK_MONOTONIC time, which is what clock::now() counts.
  const long r =
      ::syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout, nullptr, FUTEX_BITSET_MATCH_ANY);
  return r == 0 ? 0 : -errno;
}

int futex_wake_raw(const std::uint32_t* word, int count) noexcept {
  const long r = ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
  return r >= 0 ? static_cast<int>(r) : 0;  // EFAULT: the word's owner has gone, so nobody sleeps there
}

void yield() noexcept { ::sched_yield(); }

std::uint32_t thread_id() noexcept { return static_cast<std::uint32_t>(::gettid()); }

namespace {

stack_bounds ask_stack() noexcept {
  pthread_attr_t attr;
  if (::pthread_getattr_np(::pthread_self(), &attr) != 0) return {0, 0};
  void* low = nullptr;
  std::size_t bytes = 0;
  ::pthread_attr_getstack(&attr, &low, &bytes);
  ::pthread_attr_destroy(&attr);
  const auto base = reinterpret_cast<std::uintptr_t>(low);
  return {base, base + bytes};
}

stack_bounds& own_bounds() noexcept {
  [[gnu::tls_model("initial-exec")]] static thread_local stack_bounds bounds = ask_stack();
  return bounds;
}

struct start_order {
  void (*entry)(void*);
  void* argument;
  sigset_t signals;  // of the thread that created it, or of the one that created that one: of the program
  char name[16];
};

// Of a thread of ours: what it would have had as one of the program's; null for these.
const sigset_t*& program_signals() noexcept {
  [[gnu::tls_model("initial-exec")]] static thread_local const sigset_t* signals = nullptr;
  return signals;
}

void* start_thread(void* p) {
  const std::unique_ptr<start_order> order{static_cast<start_order*>(p)};
  ::pthread_setname_np(::pthread_self(), order->name);
  // What lies above is not ours to use: libc's data, and the thread-local variables of the whole program.
  own_bounds().high = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  program_signals() = &order->signals;
  order->entry(order->argument);
  return nullptr;
}

}  // namespace

int thread_create(thread& t, const thread_options& options, void (*entry)(void*), void* argument) noexcept {
  std::unique_ptr<start_order> order{new (std::nothrow) start_order{entry, argument, {}, {}}};
  if (!order) return -ENOMEM;
  std::strncpy(order->name, options.name, sizeof order->name - 1);

  pthread_attr_t attr;
  if (const int e = ::pthread_attr_init(&attr); e != 0) return -e;
  // The C library takes its guard page and the thread's static variables out of what is asked for.
  constexpr std::size_t library_share = std::size_t{16} << 10;
  int error = options.stack_bytes != 0 ? ::pthread_attr_setstacksize(&attr, options.stack_bytes + library_share) : 0;
  if (error == 0) {
    // Threads of the library take no signals of the process: they start with all of them blocked. What a callback
    // causes itself still reaches the process's own handler.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) ::sigdelset(&all, own);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    order->signals = program_signals() != nullptr ? *program_signals() : before;
    pthread_t handle{};
    error = ::pthread_create(&handle, &attr, start_thread, order.get());
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error == 0) {
      static_cast<void>(order.release());  // start_thread() owns it now
      t.handle_ = handle;
      t.joinable_ = true;
    }
  }
  ::pthread_attr_destroy(&attr);
  return -error;
}

void thread_join(thread& t) noexcept {
  if (!t.joinable_) return;
  ::pthread_join(t.handle_, nullptr);
  t.joinable_ = false;
}

bool thread_try_join(thread& t) noexcept {
  if (t.joinable_ && ::pthread_tryjoin_np(t.handle_, nullptr) == 0) t.joinable_ = false;
  return !t.joinable_;
}

void fail(const char* text) noexcept {
  std::fputs(text, stderr);  // one call, so that two failing threads do not mix their lines
  std::fflush(stderr);
  std::abort();
}

stack_bounds thread_stack() noexcept { return own_bounds(); }

void renew_thread_in_child() noexcept {
  register_heavy_fence();
  if (program_signals() != nullptr) ::pthread_sigmask(SIG_SETMASK, program_signals(), nullptr);
}

}  // namespace wring::base
