// SPDX-License-Identifier: Apache-2.0
// syscall_real: the system calls themselves.

#include "base/syscall.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace wring::base::syscall {

namespace {

// The kernel's largest mask has 8192 CPUs.
constexpr unsigned mask_cpus_max = 1u << 16;

class cpu_mask {
 public:
  explicit cpu_mask(unsigned cpus) noexcept : set_{CPU_ALLOC(cpus)}, bytes_{CPU_ALLOC_SIZE(cpus)} {
    if (set_) CPU_ZERO_S(bytes_, set_.get());
  }
  explicit operator bool() const noexcept { return set_ != nullptr; }
  [[nodiscard]] cpu_set_t* set() const noexcept { return set_.get(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool has(unsigned cpu) const noexcept { return CPU_ISSET_S(cpu, bytes_, set_.get()); }
  void add(unsigned cpu) noexcept { CPU_SET_S(cpu, bytes_, set_.get()); }

 private:
  struct freed {
    void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
  };
  std::unique_ptr<cpu_set_t, freed> set_;
  std::size_t bytes_;
};

class descriptor {
 public:
  explicit descriptor(int fd) noexcept : fd_{fd} {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::vector<unsigned> affinity() {
  std::vector<unsigned> cpus;
  // The kernel refuses a mask smaller than its own, so ask with growing ones.
  for (const unsigned size : {1024U, 8192U, mask_cpus_max}) {
    const cpu_mask mask{size};
    if (!mask) break;
    if (::sched_getaffinity(0, mask.bytes(), mask.set()) == 0) {
      for (unsigned cpu = 0; cpu < size; ++cpu) {
        if (mask.has(cpu)) cpus.push_back(cpu);
      }
      break;
    }
    if (errno != EINVAL) break;
  }
  return cpus;
}

int set_affinity(std::span<const unsigned> cpus) noexcept {
  if (cpus.empty()) return -EINVAL;
  const unsigned last = *std::max_element(cpus.begin(), cpus.end());
  if (last >= mask_cpus_max) return -EINVAL;
  cpu_mask mask{last + 1};
  if (!mask) return -ENOMEM;
  for (const unsigned cpu : cpus) mask.add(cpu);
  return ::sched_setaffinity(0, mask.bytes(), mask.set()) == 0 ? 0 : -errno;
}

int current_cpu() noexcept {
  const int cpu = ::sched_getcpu();
  return cpu >= 0 ? cpu : -errno;
}

int current_nice() noexcept {
  errno = 0;
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
  return errno == 0 ? nice : 0;
}

int set_nice(int nice) noexcept {
  // On Linux the priority of a "process" is that of one thread.
  return ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice) == 0 ? 0 : -errno;
}

unsigned process_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NPROC, &limit) != 0) return ~0U;
  return static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur, ~0U));
}

int set_thread_name(const char* name) noexcept {
  char cut[16] = {};
  std::strncpy(cut, name, sizeof cut - 1);
  return -::pthread_setname_np(::pthread_self(), cut);
}

int read_file(const char* path, std::size_t bytes_max, std::string& text) {
  text.clear();
  // Without waiting: in place of a file there may be a pipe.
  const descriptor file{::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.fd() < 0) return -errno;
  std::size_t filled = 0;
  for (;;) {
    text.resize(std::min(bytes_max + 1, std::max(2 * filled, std::size_t{4096})));
    const ssize_t got = ::read(file.fd(), text.data() + filled, text.size() - filled);
    const int error = got < 0 ? -errno : 0;
    if (error == -EINTR) continue;
    if (got > 0) filled += static_cast<std::size_t>(got);
    if (got > 0 && filled <= bytes_max) continue;
    text.resize(std::min(filled, bytes_max));
    return filled > bytes_max ? -EFBIG : error;
  }
}

}  // namespace wring::base::syscall
