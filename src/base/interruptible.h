// SPDX-License-Identifier: Apache-2.0
// interruptible: system calls that another thread can end, by a signal that they cannot miss.
//
// A signal that arrives between the last look at a flag and the system call is lost, and the call waits for ever. Here
// look and call are a few instructions, whose addresses the signal's handler knows. If it comes while the thread is
// among them, it makes the thread go on behind them, with -EINTR, as if the call had been interrupted. Behind the call
// it changes nothing, so what the call has done is never lost. Where wring has no such instructions (processors other
// than x86-64 and arm64), or a sanitizer delivers signals when it likes, who interrupts has to repeat the signal.
// Threads: any, unless said otherwise.
#pragma once

#include "base/sync.h"

namespace wring::base {

// Of a guard's word; the call is not made while it is set.
inline constexpr std::uint64_t call_cancelled = 2;

// Simulations have no system calls: there values[0] is the address of an atomic<std::uint32_t>, and the call waits
// until that is not 0, and returns it.
struct call_arguments {
  long number;
  long values[6];
};

// The signal that interrupts calls, in all of the process; 0: SIGRTMAX - 3. The first call decides. -EINVAL: it is no
// real-time signal, or another one was chosen; -EBUSY: the program handles it.
int choose_interrupt(int signal) noexcept;

// A thread of wring whose calls can be interrupted.
class interruptee {
 public:
  // The calling thread is the one. After choose_interrupt().
  void accept() noexcept;
  // By that thread. The result, or -errno; -EINTR also if the word says `call_cancelled`, and if interrupt() hits it.
  long call(const atomic<std::uint64_t>& word, const call_arguments& call) noexcept;
  // By any thread, while that one exists and after accept(). 0 or -errno; -EAGAIN: no more of them may be queued.
  int interrupt() noexcept;
  // By that thread: all that was sent has been handled on return. One system call.
  void take_interrupts() noexcept;

 private:
  atomic<std::uint32_t> state_{0};  // its thread_id(); in simulations 1 if a signal is on its way
};

}  // namespace wring::base
