// SPDX-License-Identifier: Apache-2.0
// identity: who, and where, a thread is; what an item of an io_pool takes along from its submitter (IOWQ-70, IOWQ-71).
//
// On Linux most of that belongs to single threads. A worker takes an item's identity on before it runs the item, makes
// sure that it has it, and gives it up when it goes idle or its next item has another one. What the system refuses
// fails the item; it never runs as somebody else.
#pragma once

#include <wring/result.h>
#include <wring/version.h>

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace wring {

namespace detail {
struct identity_data;
class io_item_access;
}  // namespace detail

// What an identity says; the rest is that of the worker. A set: combine with |.
enum class identity_part : std::uint32_t {
  none = 0,
  // For access to files: user and group, supplementary groups, effective capabilities. Needs CAP_SETUID and CAP_SETGID,
  // unless they are the worker's already.
  file_credentials = 1U << 0,
  // The same, and the effective user and group, which decide about signals and what sockets tell their peers, and all
  // effective capabilities. Root's: only of a process that has root among its real and saved users.
  credentials = 1U << 1,
  folder = 1U << 2,       // the working directory
  root = 1U << 3,         // of names that begin with /; needs CAP_SYS_CHROOT
  umask = 1U << 4,        // of files that are made
  io_priority = 1U << 5,  // as ioprio_set(2)
  nice = 1U << 6,         // nicer than the worker only where it may come back: CAP_SYS_NICE or RLIMIT_NICE
  // RLIMIT_FSIZE belongs to processes, so this one is kept by io_call::write() and its kin: EFBIG, and no signal.
  file_size = 1U << 7,
  // For CPU time, number of threads, CPUs; a threaded group, or any of the first version. Where the version is 2,
  // input and output are not divided among threads.
  cgroup = 1U << 8,
  net_namespace = 1U << 9,     // namespaces need CAP_SYS_ADMIN
  uts_namespace = 1U << 10,    // the host's name
  ipc_namespace = 1U << 11,    // System V IPC, message queues
  mount_namespace = 1U << 12,  // takes folder and root along: without these, they are the root, and that of the mounts
  places = folder | root | umask,
  // What a request wants that was not made with anything else in mind.
  usual = file_credentials | folder | umask | io_priority,
};
[[nodiscard]] constexpr identity_part operator|(identity_part a, identity_part b) noexcept {
  return static_cast<identity_part>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr identity_part operator&(identity_part a, identity_part b) noexcept {
  return static_cast<identity_part>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}

// An identity in words, for who works for others without being them: a server for its clients. What is not given is the
// worker's. Descriptors are duplicated and may be closed afterwards.
struct identity_options {
  std::optional<uid_t> user = {};  // with `group` and `groups`, or none of them
  std::optional<gid_t> group = {};
  std::vector<gid_t> groups = {};  // supplementary
  bool effective = false;          // identity_part::credentials instead of file_credentials
  int folder = -1;                 // a directory, O_PATH will do
  int root = -1;                   // likewise
  std::optional<mode_t> umask = {};
  std::optional<int> io_priority = {};          // as ioprio_set(2) wants it
  std::optional<int> nice = {};                 // -20..19
  std::optional<std::uint64_t> file_size = {};  // in bytes
  std::string cgroup = {};                      // the directory of the group, "/sys/fs/cgroup/…"
  int net_namespace = -1;                       // as /proc/*/ns/net
  int uts_namespace = -1;
  int ipc_namespace = -1;
  int mount_namespace = -1;
};

// A value that is cheap to copy: all copies share one description, which never changes and holds the descriptors. Items
// that share a copy follow each other on a worker without a system call. It is not tied to a pool, and may be destroyed
// while items that have it are queued. Any thread may use any copy.
class WRING_EXPORT identity {
 public:
  // None: the worker's own.
  identity() noexcept = default;
  // That of the calling thread, in so far. Some microseconds, with a descriptor for each place and namespace: capture
  // once, and again when it has changed. Errors: EMFILE, ENFILE, ENOMEM; EACCES: the working directory may not be
  // opened; EINVAL: file_credentials and credentials; ENOENT: of umask, cgroup and namespaces, where there is no /proc.
  static result<identity> capture(identity_part parts = identity_part::usual);
  // Errors: EINVAL: out of range, a user without a group or the reverse, a descriptor of the wrong kind, a cgroup that
  // is none; EBADF; EMFILE, ENFILE, ENOMEM; that of opening the cgroup. Whether the process may become that is found
  // out by the first item. A user other than root gets no capabilities.
  static result<identity> make(const identity_options& options);

  ~identity();
  identity(const identity& other) noexcept;
  identity(identity&& other) noexcept;
  identity& operator=(const identity& other) noexcept;
  identity& operator=(identity&& other) noexcept;

  [[nodiscard]] identity_part parts() const noexcept;
  // For people: "user 1000, group 1000 (4, 27), folder /srv/a, umask 0022".
  [[nodiscard]] std::string describe() const;

  // Of the same description: capture() twice gives two.
  friend bool operator==(const identity& a, const identity& b) noexcept { return a.data_ == b.data_; }

  // Whether this process can change such a thing of one of its threads, and come back: tried in a thread that ends
  // then, so nothing is changed. Of several parts: all of them. Any thread; some tenths of a millisecond.
  static bool supported(identity_part parts);

 private:
  friend class detail::io_item_access;
  friend struct detail::identity_data;
  detail::identity_data* data_ = nullptr;  // counts its users
};

}  // namespace wring
