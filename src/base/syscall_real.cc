// SPDX-License-Identifier: Apache-2.0
// syscall_real: the system calls themselves.

#include "base/syscall.h"

#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace wring::base::syscall {

int affinity_count() noexcept {
  // The kernel refuses a mask smaller than its own, so ask with growing ones.
  for (int cpus = 1024; cpus <= 1 << 16; cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set{CPU_ALLOC(static_cast<std::size_t>(cpus)),
                                                               [](cpu_set_t* s) { CPU_FREE(s); }};
    if (!set) return -ENOMEM;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    CPU_ZERO_S(bytes, set.get());
    if (::sched_getaffinity(0, bytes, set.get()) == 0) return CPU_COUNT_S(bytes, set.get());
    if (errno != EINVAL) return -errno;
  }
  return -EINVAL;
}

int current_cpu() noexcept {
  const int cpu = ::sched_getcpu();
  return cpu >= 0 ? cpu : -errno;
}

int set_thread_name(const char* name) noexcept {
  char cut[16] = {};
  std::strncpy(cut, name, sizeof cut - 1);
  return -::pthread_setname_np(::pthread_self(), cut);
}

}  // namespace wring::base::syscall
