// SPDX-License-Identifier: Apache-2.0
// Where a thread is: working folder, root, umask, open files, namespaces (IOWQ-U5, IOWQ-U6, IOWQ-U10).
//
// Method: forked children. A thread moves while another one looks at where itself is.
#include "iowq/facts.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace wring::test {
namespace {

mode_t current_umask() {
  const mode_t m = ::umask(0);
  ::umask(m);
  return m;
}

class descriptor {
 public:
  explicit descriptor(const char* path, int flags = O_RDONLY) : fd_{::open(path, flags | O_CLOEXEC)} {}
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// IOWQ-U5.
TEST(places, of_all_threads_are_one_until_a_thread_unshares_them) {
  temporary_folder folder;
  in_a_child([&folder](claims& c) {
    const std::string home = working_folder();
    beside([&] { c.check(::chdir(folder.path("").c_str()) == 0, "a thread goes somewhere"); },
           [&] { c.check(working_folder() != home, "the other one is there, too"); });
    c.check(::chdir(home.c_str()) == 0, "all go home");
    ::umask(022);
    beside(
        [&] {
          c.check(raw(SYS_unshare, CLONE_FS) == 0, "needs no privilege");
          c.check(::chdir(folder.path("").c_str()) == 0, "a thread goes somewhere");
          ::umask(077);
          c.check(working_folder() != home && current_umask() == 077, "it is there");
        },
        [&] {
          c.check(working_folder() == home, "the other one is not");
          c.check(current_umask() == 022, "and has its umask");
        });
  });
}

// IOWQ-U5. A worker that has unshared is alone for good, and does not see where the process goes.
TEST(places, of_a_thread_that_has_unshared_do_not_follow_the_process) {
  temporary_folder folder;
  in_a_child([&folder](claims& c) {
    const std::string home = working_folder();
    gate unshared;
    gate moved;
    std::thread thread{[&] {
      c.check(raw(SYS_unshare, CLONE_FS) == 0, "needs no privilege");
      unshared.open();
      moved.wait();
      c.check(working_folder() == home, "it stays where it was");
      c.check(::chdir("/proc/self/cwd") == 0 && working_folder() != home, "/proc leads to where the process is");
      c.check(contents("/proc/self/status").find("Umask:\t0057") != std::string::npos, "and tells its umask");
    }};
    unshared.wait();
    c.check(::chdir(folder.path("").c_str()) == 0, "the process goes somewhere");
    ::umask(057);
    moved.open();
    thread.join();
  });
}

// A trap: a worker that has unshared must not create workers, which would be wherever it goes.
TEST(places, are_shared_between_a_thread_that_has_unshared_and_those_that_it_makes) {
  temporary_folder folder;
  in_a_child([&folder](claims& c) {
    const std::string home = working_folder();
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          gate made;
          gate moved;
          std::thread child{[&] {
            made.open();
            moved.wait();
            c.check(working_folder() != home, "the new thread went along");
          }};
          made.wait();
          c.check(::chdir(folder.path("").c_str()) == 0, "a thread goes somewhere");
          moved.open();
          child.join();
        },
        [&] { c.check(working_folder() == home, "the process did not"); });
  });
}

// IOWQ-U5. Method: a handle that only names a folder, of one that its user may not even list.
TEST(places, are_reached_by_a_handle_that_only_names_them) {
  temporary_folder folder;
  folder.write("inside/file", "x");
  ASSERT_EQ(::chmod(folder.path("inside").c_str(), 0111), 0);
  const descriptor handle{folder.path("inside").c_str(), O_PATH | O_DIRECTORY};
  ASSERT_GE(handle.fd(), 0);
  in_a_child([&handle](claims& c) {
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          c.check(::fchdir(handle.fd()) == 0, "a thread goes there");
          c.check(::access("file", F_OK) == 0, "and sees what is there");
          // Without going anywhere.
          c.check(::faccessat(handle.fd(), "file", F_OK, 0) == 0, "as does who only names it");
        },
        [&] { c.check(::access("file", F_OK) != 0, "the process does not"); });
  });
}

// IOWQ-U5. Who may go to a folder is asked when somebody goes there, not when the handle is made.
TEST(places, that_a_handle_names_are_refused_to_whom_may_not_go_there) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0700), 0);
  const descriptor handle{folder.path("").c_str(), O_PATH | O_DIRECTORY};
  in_a_child([&handle](claims& c) {
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          raw(SYS_setfsuid, stranger);
          c.check(::fchdir(handle.fd()) == -1 && errno == EACCES, "so the folder is taken before the user");
        },
        [] {});
  });
}

// IOWQ-U5.
TEST(roots, are_changed_for_a_thread_that_has_unshared_and_only_by_who_has_the_privilege) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  folder.write("mark", "x");
  in_a_child([&folder](claims& c) {
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          c.check(::chroot(folder.path("").c_str()) == 0 && ::access("/mark", F_OK) == 0, "the root is another");
          const descriptor up{".", O_PATH | O_DIRECTORY};
          c.check(::fchdir(up.fd()) == 0, "a handle from outside of it is still good");
        },
        [&] { c.check(::access("/mark", F_OK) != 0, "the process has its root"); });
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          raw(SYS_setresuid, -1, stranger, -1);
          c.check(::chroot("/") == -1 && errno == EPERM, "without the capability it is refused with EPERM");
        },
        [] {});
  });
}

// IOWQ-U5. Method: /proc knows the process's root, so a thread can come back.
TEST(roots, are_left_again_by_a_handle_of_the_old_one) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  folder.write("mark", "x");
  in_a_child([&folder](claims& c) {
    beside(
        [&] {
          raw(SYS_unshare, CLONE_FS);
          const descriptor old{"/", O_PATH | O_DIRECTORY};
          c.check(::chroot(folder.path("").c_str()) == 0, "the root is another");
          c.check(::fchdir(old.fd()) == 0 && ::chroot(".") == 0, "who kept a handle goes back");
          c.check(::access("/mark", F_OK) != 0, "and is");
        },
        [] {});
  });
}

// IOWQ-U6. Method: one pipe made before, one after; both as numbers only.
TEST(files, of_a_thread_that_has_unshared_them_are_copies) {
  in_a_child([](claims& c) {
    std::array<int, 2> before{};
    std::array<int, 2> after{};
    c.check(::pipe(before.data()) == 0, "there is a pipe");
    beside(
        [&] {
          c.check(raw(SYS_unshare, CLONE_FILES) == 0, "needs no privilege");
          c.check(::close(before[0]) == 0, "it closes its copy");
          c.check(::fcntl(before[0], F_GETFD) == -1 && errno == EBADF, "which is closed");
          c.check(::pipe(after.data()) == 0, "it opens something else");
          ::close(before[1]);
        },
        [&] {
          c.check(::fcntl(before[0], F_GETFD) != -1, "the process has its own still");
          c.check(after[1] <= before[1] || ::fcntl(after[1], F_GETFD) == -1, "and not what the thread has opened");
        });
  });
}

// ---- namespaces
// ------------------------------------------------------------------------------------------------------

struct namespace_kind {
  const char* name;
  int flag;
};

class namespaces : public ::testing::TestWithParam<namespace_kind> {};

// IOWQ-U10. Method: a thread makes a namespace, and goes back and forth between that and the process's.
TEST_P(namespaces, are_entered_by_one_thread) {
  WRING_NEEDS_ROOT();
  const namespace_kind kind = GetParam();
  in_a_child([kind](claims& c) {
    const std::string own = namespace_of(::gettid(), kind.name);
    beside(
        [&] {
          c.check(raw(SYS_unshare, kind.flag) == 0, "root may make one");
          c.check(namespace_of(::gettid(), kind.name) != own, "a thread has a namespace of its own");
          const descriptor back{("/proc/self/ns/" + std::string{kind.name}).c_str()};
          c.check(raw(SYS_setns, back.fd(), kind.flag) == 0, "it goes back to that of the process");
          c.check(namespace_of(::gettid(), kind.name) == own, "and is there");
        },
        [&] { c.check(namespace_of(::gettid(), kind.name) == own, "the other thread is where it was"); });
  });
}

// IOWQ-U10.
TEST_P(namespaces, are_refused_with_eperm_without_the_capability) {
  WRING_NEEDS_ROOT();
  const namespace_kind kind = GetParam();
  in_a_child([kind](claims& c) {
    const descriptor own{("/proc/self/ns/" + std::string{kind.name}).c_str()};
    beside(
        [&] {
          raw(SYS_setresuid, -1, stranger, -1);
          c.check(raw(SYS_setns, own.fd(), kind.flag) == -EPERM, "even that in which one is");
        },
        [] {});
  });
}

INSTANTIATE_TEST_SUITE_P(all, namespaces,
                         ::testing::Values(namespace_kind{"net", CLONE_NEWNET}, namespace_kind{"uts", CLONE_NEWUTS},
                                           namespace_kind{"ipc", CLONE_NEWIPC},
                                           namespace_kind{"cgroup", CLONE_NEWCGROUP}),
                         [](const auto& c) { return std::string{c.param.name}; });

// IOWQ-U10.
TEST(namespaces_of_mounts, are_entered_by_a_thread_that_has_unshared_its_places) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const std::string own = namespace_of(::gettid(), "mnt");
    const descriptor process{"/proc/self/ns/mnt"};
    beside(
        [&] {
          c.check(raw(SYS_setns, process.fd(), CLONE_NEWNS) == -EINVAL, "not while others share them");
          c.check(raw(SYS_unshare, CLONE_FS) == 0 && raw(SYS_unshare, CLONE_NEWNS) == 0, "a namespace of its own");
          c.check(namespace_of(::gettid(), "mnt") != own, "it is another");
          c.check(::chdir("/proc") == 0, "it goes somewhere there");
          c.check(raw(SYS_setns, process.fd(), CLONE_NEWNS) == 0, "and back to the process's mounts");
          c.check(namespace_of(::gettid(), "mnt") == own, "it is back");
          c.check(working_folder() == "/", "and at the root of them: folder and root are to be set after the mounts");
        },
        [&] { c.check(namespace_of(::gettid(), "mnt") == own, "the other thread is where it was"); });
  });
}

// IOWQ-U10. Method: unsharing the mounts unshares the places without being told.
TEST(namespaces_of_mounts, take_the_places_of_a_thread_along) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const std::string home = working_folder();
    beside([&] { c.check(raw(SYS_unshare, CLONE_NEWNS) == 0 && ::chdir("/proc") == 0, "a thread goes somewhere"); },
           [&] { c.check(working_folder() == home, "the other one is where it was"); });
  });
}

// IOWQ-U10.
TEST(namespaces_of_users, are_refused_to_a_process_of_several_threads) {
  in_a_child([](claims& c) {
    const descriptor own{"/proc/self/ns/user"};
    beside([&] { c.check(raw(SYS_unshare, CLONE_NEWUSER) == -EINVAL, "unshare says so"); },
           [&] { c.check(raw(SYS_setns, own.fd(), CLONE_NEWUSER) == -EINVAL, "and setns, too"); });
  });
}

// IOWQ-U10. The call succeeds, which looks like more than it is.
TEST(namespaces_of_processes, are_those_of_children_and_keep_a_thread_from_making_others) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const std::string own = namespace_of(::gettid(), "pid");
    beside(
        [&] {
          c.check(raw(SYS_unshare, CLONE_NEWPID) == 0, "a thread asks for one");
          c.check(namespace_of(::gettid(), "pid") == own, "and is where it was");
          pthread_t thread{};
          const int error = ::pthread_create(
              &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
          c.check(error == EINVAL, "but may not make threads any more");
          if (error == 0) ::pthread_join(thread, nullptr);
        },
        [] {});
  });
}

// IOWQ-U10.
TEST(namespaces_of_time, are_refused_to_a_process_of_several_threads) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const descriptor own{"/proc/self/ns/time"};
    if (own.fd() < 0) return;  // the kernel has none
    beside([&] { c.check(raw(SYS_setns, own.fd(), 0x80 /* CLONE_NEWTIME */) == -EUSERS, "with an error of its own"); },
           [] {});
  });
}

}  // namespace
}  // namespace wring::test
