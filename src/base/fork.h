// SPDX-License-Identifier: Apache-2.0
// fork: what a process and the children it forks agree on.
//
// A forked child has one thread, and a copy of memory that other threads of the parent were about to change. Who
// keeps state that other threads share renews it in the child; what lies with users carries the generation in
// which it was used last. vfork() and posix_spawn() call no handler: their child shares the parent's memory, or
// runs nothing of ours.
// Threads: any.
#pragma once

#include "base/sync.h"

#include <cstdint>

namespace wring::base {

struct fork_handlers {
  void (*before)();     // by the thread that forks
  void (*in_parent)();  // afterwards, by the same thread
  void (*in_child)();   // by its copy
};
// Called at every fork() from now on; `handlers` must stay. The process's own handlers run before ours when it forks,
// and after ours in parent and child, so they may use what ours guard: ours were registered when the library was
// loaded.
void on_fork(const fork_handlers& handlers) noexcept;

#ifdef WRING_SIM
inline std::uint32_t fork_generation() noexcept { return 0; }  // simulated processes do not fork
#else
extern std::uint32_t forks;  // written by the only thread of a child
// How many forks lie between the first process of the program and this one.
inline std::uint32_t fork_generation() noexcept { return forks; }
#endif

}  // namespace wring::base
