// SPDX-License-Identifier: Apache-2.0
// syscall: the system calls wring makes, apart from those behind base/sync.h and base/clock.h. All
// return a value >= 0 or -errno.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace wring::base::syscall {

// The CPUs in the affinity mask of the calling thread, ascending; none if the system does not tell.
std::vector<unsigned> affinity();
// Replaces that mask; the system leaves out what the thread's cpuset forbids. -EINVAL: none is left.
int set_affinity(std::span<const unsigned> cpus) noexcept;
// The CPU the caller runs on; a hint, outdated when it returns.
int current_cpu() noexcept;
// Nice value of the calling thread; 0 if the system does not tell.
int current_nice() noexcept;
// Nice value of the calling thread alone, -20 (first) to 19 (last). -EACCES, -EPERM: not allowed to.
int set_nice(int nice) noexcept;
// RLIMIT_NPROC: how many threads the user may have; ~0U: as many as there may be.
unsigned process_limit() noexcept;
// Names the calling thread (first 15 characters).
int set_thread_name(const char* name) noexcept;
// Replaces `text` by what the file holds. -EFBIG if that is more than `bytes_max`; `text` is cut off there then.
// Never waits for a writer. Simulations have no files.
int read_file(const char* path, std::size_t bytes_max, std::string& text);

}  // namespace wring::base::syscall
