// SPDX-License-Identifier: Apache-2.0
// thread_state: what a thread of this process is doing, and what a code address is called; for reports to people.
//
// All of it is a look at something that moves: outdated when it returns, and as complete as the system allows.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>

namespace wring::base {

struct thread_state {
  char state = '?';  // as in /proc: R running, S sleeping, D uninterruptible, T stopped, Z zombie; '?' unknown
  std::string call;  // the system call it is in, "read of fd 5 (pipe:[1234])"; empty: in none, or not known
  std::string kernel_function;  // where in the kernel it waits; empty: nowhere, or not known
};

// `tid` is that thread's thread_id(). Never fails: what cannot be read stays as it is above.
thread_state look_at_thread(std::uint32_t tid);

// "symbol+0x12 (libfoo.so+0x1234)", or as much of it as is known; addr2line understands the second offset.
std::string describe_code(const void* address);

}  // namespace wring::base
