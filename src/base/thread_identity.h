// SPDX-License-Identifier: Apache-2.0
// thread_identity: who and where the calling thread is, as far as Linux keeps that for each thread by itself.
//
// Raw system calls: the C library's functions of these names change all threads of the process. What returns int
// returns a value >= 0 or -errno. What a call changed is known when somebody has asked: some fail without a word.
// Threads: each for itself.
#pragma once

#include <linux/capability.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace wring::base {

// Owns a descriptor.
class handle {
 public:
  handle() noexcept = default;
  explicit handle(int fd) noexcept : fd_{fd} {}  // negative, an error say: none
  handle(handle&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  handle& operator=(handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~handle();
  [[nodiscard]] int fd() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// What a name or a descriptor leads to. Two that are equal, while both are held, are one.
struct place {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  friend bool operator==(const place&, const place&) = default;
};

namespace self {

// ---- users and groups

struct id_set {
  std::uint32_t real = 0;
  std::uint32_t effective = 0;
  std::uint32_t saved = 0;
  std::uint32_t file = 0;  // for access to files
  friend bool operator==(const id_set&, const id_set&) = default;
};
id_set user() noexcept;
id_set group() noexcept;

// Ids are changed while one exists. Linux takes a change for a reason to make the process, all of it, not dumpable:
// without core dumps, its /proc root's. This puts back what the process had. One at a time in a process; a fork waits.
class id_change {
 public:
  id_change() noexcept;
  id_change(const id_change&) = delete;
  id_change& operator=(const id_change&) = delete;
  ~id_change();

 private:
  int dumpable_;
};
// The effective one takes that for files along; real and saved ones stay, they are the way back.
int set_effective_user(std::uint32_t id) noexcept;
int set_effective_group(std::uint32_t id) noexcept;
// -EPERM: it is not what was asked for, whatever the reason.
int set_file_user(std::uint32_t id) noexcept;
int set_file_group(std::uint32_t id) noexcept;

inline constexpr std::size_t supplementary_groups_max = 65536;
// How many there are; fills `ids` if they fit, -EINVAL: they do not. Of an empty span: only their number.
int supplementary_groups(std::span<std::uint32_t> ids) noexcept;
int set_supplementary_groups(std::span<const std::uint32_t> ids) noexcept;

// Sets of bits.
struct capability_set {
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;
};
constexpr std::uint64_t capability_bit(unsigned capability) noexcept { return std::uint64_t{1} << capability; }
// Those that concern files: what leaving root by set_file_user() takes (capabilities(7)).
inline constexpr std::uint64_t file_capabilities = capability_bit(CAP_CHOWN) | capability_bit(CAP_DAC_OVERRIDE) |
                                                   capability_bit(CAP_DAC_READ_SEARCH) | capability_bit(CAP_FOWNER) |
                                                   capability_bit(CAP_FSETID) | capability_bit(CAP_LINUX_IMMUTABLE) |
                                                   capability_bit(CAP_MAC_OVERRIDE) | capability_bit(CAP_MKNOD);
int capabilities(capability_set& set) noexcept;
int set_capabilities(const capability_set& set) noexcept;

// ---- places

// Until then folder, root and umask are the process's, or those of the thread that made this one. For good.
int unshare_places() noexcept;
// Names a folder, "/" or "." say, without opening it: a descriptor.
int open_folder(const char* path) noexcept;
// The working folder of a thread, by its thread_id(); 0: of the process. -ENOENT also: there is no /proc.
int open_folder_of(std::uint32_t tid) noexcept;
int enter_folder(int folder) noexcept;
int enter_root(int folder) noexcept;  // also the working folder, then
place folder() noexcept;
place root() noexcept;
// Returns the former one. Of a thread that has not unshared: of all that share it.
std::uint32_t set_umask(std::uint32_t bits) noexcept;
// As open_folder_of().
int umask_of(std::uint32_t tid) noexcept;

// Another descriptor of the same; -EBADF, -EMFILE.
int duplicate(int fd) noexcept;
// -EINVAL: that is no folder.
int check_folder(int fd) noexcept;
place place_of(int fd) noexcept;
// Text for people: a path, "net:[4026531840]". Returns its length, cut off if it does not fit.
std::size_t name_of(int fd, std::span<char> text) noexcept;

// ---- namespaces

enum class space : std::uint8_t { net, uts, ipc, mount };
int open_space(space which) noexcept;
// Mounts: only who has unshared its places; root and working folder are the root of the mounts then.
int enter_space(space which, int fd) noexcept;
// -EINVAL: that is no such namespace.
int check_space(space which, int fd) noexcept;
// The caller in /proc, good wherever it goes.
int open_self() noexcept;
place space_of(int self, space which) noexcept;

// ---- priorities and limits; the nice value is in base/syscall.h

int io_priority() noexcept;
int set_io_priority(int value) noexcept;
// The lowest nice value that RLIMIT_NICE allows without a privilege; 20: none.
int nice_limit() noexcept;
// RLIMIT_FSIZE, in bytes; the greatest number: none.
std::uint64_t file_size_limit() noexcept;

// ---- groups of control

enum class group_kind : std::uint8_t { none, first_version, second_version };
// Whether a folder is one, and of which version.
group_kind group_kind_of(int folder) noexcept;
int enter_group(group_kind kind, int folder) noexcept;

}  // namespace self

}  // namespace wring::base
