// SPDX-License-Identifier: Apache-2.0

#include "iowq/parts.h"

#include "iowq/facts.h"
#include "iowq/groups.h"
#include "support/temporary_folder.h"

#include <wring/result.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>

namespace wring::test {
namespace {

// A descriptor that is closed at the end.
class owned_fd {
 public:
  owned_fd() = default;
  explicit owned_fd(const std::string& path, int flags = O_PATH | O_DIRECTORY)
      : fd_{::open(path.c_str(), flags | O_CLOEXEC)} {}
  owned_fd(const owned_fd&) = delete;
  owned_fd& operator=(const owned_fd&) = delete;
  ~owned_fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  void take(int fd) { fd_ = fd; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// A name below `path` that no other thread uses.
std::string own_name(const std::string& path) { return path + "/of_" + std::to_string(::gettid()); }

struct stat make_and_look(const std::string& name) {
  struct stat s {};
  const int fd = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0777);
  if (fd >= 0) ::fstat(fd, &s);
  ::close(fd);
  ::unlink(name.c_str());
  return s;
}

const char* readable(const std::string& path) {
  const owned_fd file{path, O_RDONLY};
  return file.fd() >= 0 ? "yes" : "no";
}

std::string groups() {
  std::vector<gid_t> ids(256);
  ids.resize(static_cast<std::size_t>(raw(SYS_getgroups, 256, ids.data())));
  std::string text;
  for (const gid_t id : ids) text += " " + std::to_string(id);
  return text;
}

// Whose files are made, and what may be read: a file of root's, and one of the group `other_group`.
class file_owner : public part {
 public:
  file_owner() {
    ::chmod(folder_.path("").c_str(), 0777);
    folder_.write("of_root", "x");
    folder_.write("of_group", "x");
    ::chmod(folder_.path("of_root").c_str(), 0600);
    ::chmod(folder_.path("of_group").c_str(), 0640);
    static_cast<void>(::chown(folder_.path("of_group").c_str(), 0, other_group));
  }
  identity make(int shape) override { return identity::make(options(shape)).value(); }
  std::string expected(int shape) override {
    return shape == 0 ? "makes files of 61240:61241, reads root's no, the group's yes, groups 61242"
                      : "makes files of 61250:61251, reads root's no, the group's no, groups";
  }
  std::string seen() override {
    const struct stat s = make_and_look(own_name(folder_.path("")));
    return "makes files of " + std::to_string(s.st_uid) + ":" + std::to_string(s.st_gid) + ", reads root's " +
           readable(folder_.path("of_root")) + ", the group's " + readable(folder_.path("of_group")) + ", groups" +
           groups();
  }

 protected:
  static identity_options options(int shape) {
    if (shape == 0) return {.user = stranger, .group = strange_group, .groups = {other_group}};
    return {.user = stranger + 10, .group = strange_group + 10};
  }

 private:
  temporary_folder folder_;
};

// The same, and as whom the other end of a socket sees it.
class socket_peer : public file_owner {
 public:
  identity make(int shape) override {
    identity_options o = options(shape);
    o.effective = true;
    return identity::make(o).value();
  }
  std::string expected(int shape) override {
    return file_owner::expected(shape) + (shape == 0 ? ", peer 61240:61241" : ", peer 61250:61251");
  }
  std::string seen() override {
    std::array<int, 2> ends{};
    ucred peer{};
    socklen_t size = sizeof peer;
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
    ::getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &peer, &size);
    ::close(ends[0]);
    ::close(ends[1]);
    return file_owner::seen() + ", peer " + std::to_string(peer.uid) + ":" + std::to_string(peer.gid);
  }
};

class working_place : public part {
 public:
  identity make(int shape) override { return identity::make({.folder = at(shape).fd()}).value(); }
  std::string expected(int shape) override {
    std::string path = (shape == 0 ? first_ : second_).path("");
    path.pop_back();
    return path;
  }
  std::string seen() override { return working_folder(); }

 private:
  [[nodiscard]] const owned_fd& at(int shape) const { return shape == 0 ? first_fd_ : second_fd_; }
  temporary_folder first_;
  temporary_folder second_;
  owned_fd first_fd_{first_.path("")};
  owned_fd second_fd_{second_.path("")};
};

// By a file that is at the top.
class root_place : public part {
 public:
  root_place() {
    first_.write("wring-mark-0", "x");
    second_.write("wring-mark-1", "x");
  }
  identity make(int shape) override {
    const owned_fd fd{(shape == 0 ? first_ : second_).path("")};
    return identity::make({.root = fd.fd()}).value();
  }
  std::string expected(int shape) override { return "mark " + std::to_string(shape); }
  std::string seen() override {
    if (::access("/wring-mark-0", F_OK) == 0) return "mark 0";
    return ::access("/wring-mark-1", F_OK) == 0 ? "mark 1" : "no mark";
  }

 private:
  temporary_folder first_;
  temporary_folder second_;
};

class mode_of_files : public part {
 public:
  mode_of_files() { ::chmod(folder_.path("").c_str(), 0777); }
  identity make(int shape) override { return identity::make({.umask = shape == 0 ? 0177 : 0713}).value(); }
  std::string expected(int shape) override { return shape == 0 ? "600" : "64"; }
  std::string seen() override {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%o", make_and_look(own_name(folder_.path(""))).st_mode & 0777);
    return text.data();
  }

 private:
  temporary_folder folder_;
};

class disk_priority : public part {
 public:
  identity make(int shape) override { return identity::make({.io_priority = value(shape)}).value(); }
  std::string expected(int shape) override { return std::to_string(value(shape)); }
  std::string seen() override { return std::to_string(raw(SYS_ioprio_get, 1, 0)); }

 private:
  static int value(int shape) { return shape == 0 ? 2 << 13 | 7 : 3 << 13; }
};

// Down and up again.
class cpu_priority : public part {
 public:
  identity make(int shape) override { return identity::make({.nice = value(shape)}).value(); }
  std::string expected(int shape) override { return std::to_string(value(shape)); }
  std::string seen() override { return std::to_string(nice()); }

 private:
  static int nice() { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }
  [[nodiscard]] int value(int shape) const { return shape == 0 ? before_ + 4 : before_ + 2; }
  const int before_ = nice();
};

// In the hierarchy of "pids", which exists wherever the first version does.
class group_of_first_version : public part {
 public:
  group_of_first_version() {
    const std::string own = folder_of("pids");
    if (own.empty()) return;
    for (int shape = 0; shape < 2; ++shape) groups_.at(static_cast<std::size_t>(shape)).emplace(path(own, shape));
  }
  [[nodiscard]] std::string obstacle() const override {
    if (!groups_[0]) return "no hierarchy of the first version";
    return groups_[0]->made() && groups_[1]->made() ? "" : "no group may be made";
  }
  identity make(int shape) override { return identity::make({.cgroup = path(folder_of("pids"), shape)}).value(); }
  std::string expected(int shape) override { return path(before_ == "/" ? "" : before_, shape); }
  std::string seen() override { return group_of(::gettid(), "pids"); }

 private:
  [[nodiscard]] std::string path(const std::string& above, int shape) const {
    return above + (above.ends_with('/') ? "" : "/") + "wring-part-" + id_ + "-" + std::to_string(shape);
  }
  const std::string id_ = std::to_string(::getpid());
  const std::string before_ = group_of(::gettid(), "pids");
  std::array<std::optional<group>, 2> groups_;
};

// Groups for threads below one that the child enters.
class group_of_second_version : public part {
 public:
  group_of_second_version() {
    const std::string own = folder_of("");
    if (own.empty()) return;
    process_.emplace(own + (own.ends_with('/') ? "" : "/") + "wring-part-" + std::to_string(::getpid()));
    if (!process_->made()) return;
    for (int shape = 0; shape < 2; ++shape) {
      auto& g = threads_.at(static_cast<std::size_t>(shape));
      g.emplace(process_->below(name(shape)));
      threaded_ = put(g->file("cgroup.type"), "threaded") == 0 && threaded_;
    }
  }
  [[nodiscard]] std::string obstacle() const override {
    if (!process_) return "no hierarchy of the second version";
    return process_->made() && threaded_ ? "" : "no group of threads may be made";
  }
  void begin() override { put(process_->file("cgroup.procs"), std::to_string(::getpid())); }
  identity make(int shape) override { return identity::make({.cgroup = process_->below(name(shape))}).value(); }
  std::string expected(int shape) override { return name(shape); }
  std::string seen() override {
    const std::string path = group_of(::gettid(), "");
    return path.substr(path.rfind('/') + 1);
  }

 private:
  static const char* name(int shape) { return shape == 0 ? "one" : "two"; }
  std::optional<group> process_;
  std::array<std::optional<group>, 2> threads_;  // below it, so gone before it
  bool threaded_ = true;
};

// Two that threads made and left behind.
class name_space : public part {
 public:
  template <class Furnish>
  name_space(const char* name, int flag, const Furnish& furnish) : name_{name} {
    for (int shape = 0; shape < 2; ++shape) {
      std::thread{[&] {
        if (raw(SYS_unshare, flag) != 0) return;
        furnish(shape);
        seen_.at(static_cast<std::size_t>(shape)) = namespace_of(::gettid(), name);
        made_.at(static_cast<std::size_t>(shape))
            .take(::open(proc_of(::gettid(), ("ns/" + name_).c_str()).c_str(), O_RDONLY | O_CLOEXEC));
      }}.join();
    }
  }
  [[nodiscard]] std::string obstacle() const override {
    return made_[0].fd() >= 0 && made_[1].fd() >= 0 ? "" : "no namespace may be made";
  }
  std::string expected(int shape) override { return seen_.at(static_cast<std::size_t>(shape)); }
  std::string seen() override { return namespace_of(::gettid(), name_.c_str()); }

 protected:
  [[nodiscard]] int fd(int shape) const { return made_.at(static_cast<std::size_t>(shape)).fd(); }

 private:
  std::string name_;
  std::array<owned_fd, 2> made_;
  std::array<std::string, 2> seen_;
};

class network : public name_space {
 public:
  network() : name_space{"net", CLONE_NEWNET, [](int) {}} {}
  identity make(int shape) override { return identity::make({.net_namespace = fd(shape)}).value(); }
};

class ipc_objects : public name_space {
 public:
  ipc_objects() : name_space{"ipc", CLONE_NEWIPC, [](int) {}} {}
  identity make(int shape) override { return identity::make({.ipc_namespace = fd(shape)}).value(); }
};

std::string name_of_host() {
  std::array<char, 65> text{};
  ::gethostname(text.data(), text.size());
  return text.data();
}

class host_name : public name_space {
 public:
  host_name()
      : name_space{"uts", CLONE_NEWUTS, [](int shape) {
                     const std::string name = host(shape);
                     static_cast<void>(::sethostname(name.c_str(), name.size()));
                   }} {}
  identity make(int shape) override { return identity::make({.uts_namespace = fd(shape)}).value(); }
  std::string expected(int shape) override { return host(shape); }
  std::string seen() override { return name_of_host(); }

 private:
  static std::string host(int shape) { return "wring-part-" + std::to_string(shape); }
};

// By a file in what is mounted on a folder there.
class mounts : private temporary_folder, public name_space {
 public:
  mounts()
      : name_space{"mnt", CLONE_NEWNS, [this](int shape) {
                     ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
                     ::mount("tmpfs", path("").c_str(), "tmpfs", 0, nullptr);
                     write("mark-" + std::to_string(shape), "x");
                   }} {}
  identity make(int shape) override { return identity::make({.mount_namespace = fd(shape)}).value(); }
  std::string expected(int shape) override {
    return "mark " + std::to_string(shape) + ", in /, " + name_space::expected(shape);
  }
  std::string seen() override {
    const auto there = [this](const char* name) { return ::access(path(name).c_str(), F_OK) == 0; };
    return (there("mark-0")   ? "mark 0"
            : there("mark-1") ? "mark 1"
                              : "no mark") +
           (", in " + working_folder()) + ", " + name_space::seen();
  }
};

template <class Part>
std::unique_ptr<part> a() {
  return std::make_unique<Part>();
}

}  // namespace

const std::vector<part_kind>& part_kinds() {
  static const std::vector<part_kind> kinds{
      {"file_credentials", true, a<file_owner>, {SYS_setfsuid, SYS_setfsgid, SYS_setgroups}},
      {"credentials", true, a<socket_peer>, {SYS_setresuid, SYS_setresgid, SYS_setgroups}},
      {"folder", false, a<working_place>, {SYS_fchdir}},
      {"root", true, a<root_place>, {SYS_chroot}},
      {"umask", false, a<mode_of_files>, {SYS_umask}},
      {"io_priority", false, a<disk_priority>, {SYS_ioprio_set}},
      {"nice", true, a<cpu_priority>, {SYS_setpriority}},
      {"group_of_first_version", true, a<group_of_first_version>, {SYS_write}},
      {"group_of_second_version", true, a<group_of_second_version>, {SYS_write}},
      {"net", true, a<network>, {SYS_setns}},
      {"uts", true, a<host_name>, {SYS_setns}},
      {"ipc", true, a<ipc_objects>, {SYS_setns}},
      {"mounts", true, a<mounts>, {SYS_setns, SYS_fchdir}},
  };
  return kinds;
}

const part_kind& kind_named(const std::string& name) {
  for (const part_kind& kind : part_kinds()) {
    if (name == kind.name) return kind;
  }
  throw std::invalid_argument{name};
}

}  // namespace wring::test
