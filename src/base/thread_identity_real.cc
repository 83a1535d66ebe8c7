// SPDX-License-Identifier: Apache-2.0
// thread_identity_real: the system calls themselves.

#include "base/thread_identity.h"

#include "base/annotations.h"
#include "base/mutex.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wring::base {

namespace {

// One id_change at a time: each reads what all of them write.
constinit mutex changing{rank::leaf};

// A child has a copy of the flag, and of the lock.
void before_fork() { changing.lock_for_fork(); }
void after_fork() { changing.unlock_after_fork(); }
[[gnu::constructor(101)]] void register_handlers() noexcept { ::pthread_atfork(before_fork, after_fork, after_fork); }

int outcome(long answer) noexcept { return answer == -1 ? -errno : static_cast<int>(answer); }

template <class... Args>
int raw(long number, Args... args) noexcept {
  return outcome(::syscall(number, args...));
}

constexpr std::uint32_t unchanged = ~std::uint32_t{0};  // also nobody's id: who asks to become that, stays

std::array<char, 64> path_of(std::uint32_t tid, const char* what) noexcept {
  std::array<char, 64> path{};
  if (tid == 0) {
    std::snprintf(path.data(), path.size(), "/proc/self/%s", what);
  } else {
    std::snprintf(path.data(), path.size(), "/proc/self/task/%u/%s", tid, what);
  }
  return path;
}

place place_in(const struct stat& s) noexcept { return {s.st_dev, s.st_ino}; }

}  // namespace

handle::~handle() {
  if (fd_ >= 0) ::close(fd_);
}

namespace self {

// ---- users and groups

id_set user() noexcept {
  id_set ids;
  raw(SYS_getresuid, &ids.real, &ids.effective, &ids.saved);
  ids.file = static_cast<std::uint32_t>(::syscall(SYS_setfsuid, unchanged));
  return ids;
}

id_set group() noexcept {
  id_set ids;
  raw(SYS_getresgid, &ids.real, &ids.effective, &ids.saved);
  ids.file = static_cast<std::uint32_t>(::syscall(SYS_setfsgid, unchanged));
  return ids;
}

id_change::id_change() noexcept WRING_NO_ANALYSIS {
  changing.lock();
  dumpable_ = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

id_change::~id_change() WRING_NO_ANALYSIS {
  // "Only root's dumps" cannot be asked for, and is what the system makes of the two others.
  if ((dumpable_ == 0 || dumpable_ == 1) && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != dumpable_) {
    ::prctl(PR_SET_DUMPABLE, dumpable_, 0, 0, 0);
  }
  changing.unlock();
}

int set_effective_user(std::uint32_t id) noexcept { return raw(SYS_setresuid, unchanged, id, unchanged); }
int set_effective_group(std::uint32_t id) noexcept { return raw(SYS_setresgid, unchanged, id, unchanged); }

// Both answer what was before, refused or not.
int set_file_user(std::uint32_t id) noexcept {
  ::syscall(SYS_setfsuid, id);
  return static_cast<std::uint32_t>(::syscall(SYS_setfsuid, unchanged)) == id ? 0 : -EPERM;
}
int set_file_group(std::uint32_t id) noexcept {
  ::syscall(SYS_setfsgid, id);
  return static_cast<std::uint32_t>(::syscall(SYS_setfsgid, unchanged)) == id ? 0 : -EPERM;
}

int supplementary_groups(std::span<std::uint32_t> ids) noexcept {
  return raw(SYS_getgroups, static_cast<int>(ids.size()), ids.data());
}
int set_supplementary_groups(std::span<const std::uint32_t> ids) noexcept {
  return raw(SYS_setgroups, static_cast<int>(ids.size()), ids.data());
}

namespace {

using capability_words = std::array<__user_cap_data_struct, 2>;

std::uint64_t joined(std::uint32_t low, std::uint32_t high) noexcept { return std::uint64_t{high} << 32 | low; }

}  // namespace

int capabilities(capability_set& set) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  capability_words words{};
  const int error = raw(SYS_capget, &header, words.data());
  set = {joined(words[0].effective, words[1].effective), joined(words[0].permitted, words[1].permitted),
         joined(words[0].inheritable, words[1].inheritable)};
  return error;
}

int set_capabilities(const capability_set& set) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  capability_words words{};
  for (unsigned i = 0; i < words.size(); ++i) {
    words.at(i) = {.effective = static_cast<std::uint32_t>(set.effective >> 32 * i),
                   .permitted = static_cast<std::uint32_t>(set.permitted >> 32 * i),
                   .inheritable = static_cast<std::uint32_t>(set.inheritable >> 32 * i)};
  }
  return raw(SYS_capset, &header, words.data());
}

// ---- places

int unshare_places() noexcept { return raw(SYS_unshare, CLONE_FS); }
int open_folder(const char* path) noexcept { return outcome(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)); }
int open_folder_of(std::uint32_t tid) noexcept { return open_folder(path_of(tid, "cwd").data()); }
int enter_folder(int folder) noexcept { return outcome(::fchdir(folder)); }
int enter_root(int folder) noexcept {
  const int error = enter_folder(folder);
  return error == 0 ? outcome(::chroot(".")) : error;
}

// By names that nobody has to be allowed to look up.
place folder() noexcept {
  struct stat s {};
  ::fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH);
  return place_in(s);
}
place root() noexcept {
  struct stat s {};
  ::stat("/", &s);
  return place_in(s);
}

std::uint32_t set_umask(std::uint32_t bits) noexcept { return ::umask(bits); }

int umask_of(std::uint32_t tid) noexcept {
  const handle file{outcome(::open(path_of(tid, "status").data(), O_RDONLY | O_CLOEXEC))};
  if (!file) return file.fd();
  std::array<char, 512> text{};
  const ssize_t bytes = ::read(file.fd(), text.data(), text.size() - 1);
  if (bytes < 0) return -errno;
  constexpr const char* key = "\nUmask:\t";
  const char* const found = std::strstr(text.data(), key);
  if (found == nullptr) return -ENOTSUP;  // before Linux 4.7
  return static_cast<int>(std::strtol(found + std::strlen(key), nullptr, 8));
}

int duplicate(int fd) noexcept {
  constexpr int above_standard = 3;
  return outcome(::fcntl(fd, F_DUPFD_CLOEXEC, above_standard));
}

int check_folder(int fd) noexcept {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return -errno;
  return S_ISDIR(s.st_mode) ? 0 : -EINVAL;
}

place place_of(int fd) noexcept {
  struct stat s {};
  ::fstat(fd, &s);
  return place_in(s);
}

std::size_t name_of(int fd, std::span<char> text) noexcept {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(path.data(), text.data(), text.size());
  return length > 0 ? static_cast<std::size_t>(length) : 0;
}

// ---- namespaces

namespace {

struct space_kind {
  const char* name;
  int flag;
};
constexpr std::array<space_kind, 4> spaces{
    {{"ns/net", CLONE_NEWNET}, {"ns/uts", CLONE_NEWUTS}, {"ns/ipc", CLONE_NEWIPC}, {"ns/mnt", CLONE_NEWNS}}};

const space_kind& kind_of(space which) noexcept { return spaces.at(static_cast<std::size_t>(which)); }

}  // namespace

int open_space(space which) noexcept {
  return outcome(::open(path_of(thread_id(), kind_of(which).name).data(), O_RDONLY | O_CLOEXEC));
}

int enter_space(space which, int fd) noexcept { return raw(SYS_setns, fd, kind_of(which).flag); }

int check_space(space which, int fd) noexcept {
  const int flag = outcome(::ioctl(fd, NS_GET_NSTYPE));
  if (flag == -EBADF) return flag;
  return flag == kind_of(which).flag ? 0 : -EINVAL;
}

int open_self() noexcept { return open_folder(path_of(thread_id(), "").data()); }

place space_of(int self, space which) noexcept {
  struct stat s {};
  ::fstatat(self, kind_of(which).name, &s, 0);
  return place_in(s);
}

// ---- priorities and limits

namespace {
constexpr int of_thread = 1;  // IOPRIO_WHO_PROCESS
}

int io_priority() noexcept { return raw(SYS_ioprio_get, of_thread, 0); }
int set_io_priority(int value) noexcept { return raw(SYS_ioprio_set, of_thread, 0, value); }

int nice_limit() noexcept {
  rlimit limit{};
  ::getrlimit(RLIMIT_NICE, &limit);
  constexpr rlim_t lowest_of_all = 40;  // -20
  return 20 - static_cast<int>(limit.rlim_cur < lowest_of_all ? limit.rlim_cur : lowest_of_all);
}

std::uint64_t file_size_limit() noexcept {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  return limit.rlim_cur;
}

// ---- groups of control

group_kind group_kind_of(int folder) noexcept {
  struct statfs fs {};
  ::fstatfs(folder, &fs);
  if (fs.f_type == CGROUP_SUPER_MAGIC) return group_kind::first_version;
  return fs.f_type == CGROUP2_SUPER_MAGIC ? group_kind::second_version : group_kind::none;
}

int enter_group(group_kind kind, int folder) noexcept {
  const char* const name = kind == group_kind::first_version ? "tasks" : "cgroup.threads";
  const handle file{outcome(::openat(folder, name, O_WRONLY | O_CLOEXEC))};
  if (!file) return file.fd();
  constexpr char caller = '0';
  return ::write(file.fd(), &caller, 1) == 1 ? 0 : -errno;
}

}  // namespace self

}  // namespace wring::base
