// SPDX-License-Identifier: Apache-2.0
// syscall: the system calls wring makes, apart from those behind base/sync.h and base/clock.h. All
// return a value >= 0 or -errno.
#pragma once

#include <cstddef>

namespace wring::base::syscall {

// Number of CPUs in the affinity mask of the process.
int affinity_count() noexcept;
// The CPU the caller runs on; a hint, outdated when it returns.
int current_cpu() noexcept;
// Names the calling thread (first 15 characters).
int set_thread_name(const char* name) noexcept;

}  // namespace wring::base::syscall
