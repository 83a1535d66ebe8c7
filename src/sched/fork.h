// SPDX-License-Identifier: Apache-2.0
// fork: keeps the runtimes of a process usable in the children it forks.
//
// Before the fork the locks that guard what is shared and cannot be made anew are taken: the lists of runtimes and
// queues, and recycled memory. In the child everything else starts afresh, in place, without threads.
// Threads: any. Locks: the list's (rank runtime).
#pragma once

namespace wring::detail {

class core;

void follow_forks(core& c);
void ignore_forks(core& c) noexcept;

// Whether this runtime still exists and waits for its start() (WQ-145).
bool is_early(const core& c) noexcept;

// The lock of the default runtime (runtime.cc), outside of all others.
void lock_default_for_fork() noexcept;
void unlock_default_after_fork() noexcept;

}  // namespace wring::detail
