// SPDX-License-Identifier: Apache-2.0
// interruptible_call: a system call that a signal cannot miss: the proof of what src/base is to offer (IOWQ-U3).
//
// A signal that arrives between the last look at a flag and the system call is lost, and the call waits for ever. Here
// look and call are a few instructions, whose addresses the signal's handler knows. If it comes while the thread is
// among them, it makes the thread go on behind them, with -EINTR, as if the call had been interrupted. Behind the call
// it changes nothing, so what the call has done is never lost.
// Threads: any.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>

namespace wring::test {

#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool has_interruptible_calls = true;
#else
inline constexpr bool has_interruptible_calls = false;
#endif

// In a guard's word; the call is not made if it is set.
inline constexpr std::uint32_t cancelled = 2;

// The call's result, or -EINTR; -errno, as the kernel gives it.
long interruptible_call(const std::atomic<std::uint32_t>& word, long number, long a = 0, long b = 0, long c = 0,
                        long d = 0);

// To be called by the handler.
void skip_the_call(void* context) noexcept;

// The instructions from the look up to the call, and where a thread is that is told to skip it.
std::uintptr_t first_instruction() noexcept;
std::uintptr_t call_instruction() noexcept;  // the last one before the kernel
std::uintptr_t instruction_behind() noexcept;
// Where the thread of that context is.
std::uintptr_t instruction_of(void* context) noexcept;

}  // namespace wring::test
