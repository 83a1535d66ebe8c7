// SPDX-License-Identifier: Apache-2.0
// What a worker wears is seen while it wears it, and never afterwards (IOWQ-70, IOWQ-72, IOWQ-128).
//
// Method: forked children. A thread with a wardrobe asks the kernel after each step, in tests/iowq/parts.h for each
// part, while the rest of the process does the same.
#include "iowq/dressing.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <thread>

namespace wring::test {
namespace {

class leakage : public each_part {};

// IOWQ-72, IOWQ-128. Method: one shape, the other, an identity that leaves the part out, and none, in all orders in
// which one can follow another.
TEST_P(leakage, of_a_part_is_seen_after_no_step) {
  if (const std::string why = unavailable(); !why.empty()) GTEST_SKIP() << why;
  in_a_child([this](claims& c) {
    its().begin();
    const identity first = its().make(0);
    const identity second = its().make(1);
    const identity another = another_than(kind());
    const std::string own = its().seen();
    c.check(its().expected(0) != own && its().expected(1) != own, "a change can be seen");
    beside(
        [&] {
          wardrobe w;
          const auto step = [&](const identity& who, const std::string& expected, const char* when) {
            c.check(w.put_on(of(who)) == dressing::ok, when);
            c.check(w.worn() == of(who), "it is worn");
            check_seen(c, its().seen(), expected, when);
          };
          step(first, its().expected(0), "the first");
          step(second, its().expected(1), "the second after the first");
          step(another, own, "one that leaves the part out, after the second");
          step(first, its().expected(0), "the first after that");
          step({}, own, "none after the first");
          step(second, its().expected(1), "the second after none");
          c.check(w.take_off() == dressing::ok && w.worn() == nullptr, "taken off");
          check_seen(c, its().seen(), own, "taken off");
          step(another, own, "one that leaves the part out, after none");
          step(second, its().expected(1), "the second after that");
          step(first, its().expected(0), "the first after the second");
        },
        [&] { check_seen(c, its().seen(), own, "the rest of the process"); });
    check_seen(c, its().seen(), own, "the rest of the process afterwards");
  });
}

INSTANTIATE_TEST_SUITE_P(all, leakage, names_of_parts([](const part_kind&) { return true; }), name_of_case);

// IOWQ-70. Method: whoever is asked for anything in between is refused.
TEST(worn_identities, are_put_on_again_without_a_system_call) {
  temporary_folder folder;
  in_a_child([&folder](claims& c) {
    const int fd = ::open(folder.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const identity who = identity::make({.folder = fd, .umask = 077, .io_priority = 3 << 13}).value();
    const identity copy = who;
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(who)) == dressing::ok, "it is put on");
      c.check(refuse_calls({SYS_getresuid, SYS_setfsuid, SYS_capget, SYS_fchdir, SYS_newfstatat, SYS_umask,
                            SYS_ioprio_get, SYS_ioprio_set, SYS_openat}),
              "calls are refused");
      c.check(w.put_on(of(copy)) == dressing::ok, "a copy is the same");
      c.check(w.take_off() == dressing::tainted, "the calls were refused");
    }}.join();
    ::close(fd);
  });
}

// IOWQ-128. Method: a process that is not root has capabilities, which do not follow the user.
TEST(worn_identities, take_capabilities_for_files_from_who_is_not_root) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  folder.write("of_root", "x");
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(folder.path("of_root").c_str(), 0600), 0);
  in_a_child([&folder](claims& c) {
    const capabilities all = own_capabilities();
    const auto readable = [&folder] { return ::open(folder.path("of_root").c_str(), O_RDONLY | O_CLOEXEC) >= 0; };
    c.check(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && ::setresuid(stranger, stranger, stranger) == 0, "not root");
    c.check(set_capabilities(all) == 0 && readable(), "but with all capabilities");
    for (const bool effective : {false, true}) {
      const identity user =
          identity::make({.user = stranger + 1, .group = strange_group, .effective = effective}).value();
      const identity root = identity::make({.user = 0, .group = 0}).value();
      std::thread{[&] {
        wardrobe w;
        c.check(w.put_on(of(user)) == dressing::ok && !readable(), "another user may not read it");
        c.check(own_capabilities().effective(CAP_SETUID) == !effective, "what files are not concerned by is kept");
        c.check(w.put_on(of(root)) == dressing::ok && readable(), "root for files may");
        c.check(w.put_on(of(user)) == dressing::ok && !readable(), "and the user may not again");
        c.check(w.take_off() == dressing::ok && readable(), "the thread itself may");
        c.check(own_capabilities().words[0].effective == all.words[0].effective, "as it has what it had");
      }}.join();
    }
    // Who leaves an effective user of root's loses even what is permitted, if root is none of the others.
    const identity root = identity::make({.user = 0, .group = 0, .effective = true}).value();
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(root)) == dressing::refused, "a way without return is not taken");
      c.check(own_capabilities().words[0].permitted == all.words[0].permitted, "nothing is lost");
    }}.join();
  });
}

// IOWQ-71. Method: captured by a thread that is somebody, put on by another one.
TEST(worn_identities, are_those_of_the_thread_that_captured) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0777), 0);
  in_a_child([&folder](claims& c) {
    identity who;
    std::thread{[&] {
      const std::array<gid_t, 2> groups{other_group, strange_group};
      raw(SYS_unshare, CLONE_FS);
      c.check(::chdir(folder.path("").c_str()) == 0, "it goes somewhere");
      ::umask(0137);
      raw(SYS_setgroups, groups.size(), groups.data());
      raw(SYS_setfsgid, strange_group);
      raw(SYS_setfsuid, stranger);
      who = identity::capture().value();
    }}.join();
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(who)) == dressing::ok, "another thread becomes that");
      c.check(::open("made", O_CREAT | O_WRONLY | O_CLOEXEC, 0777) >= 0, "it makes a file");
      struct stat s {};
      ::stat("made", &s);
      c.check(s.st_uid == stranger && s.st_gid == strange_group && (s.st_mode & 0777) == 0640,
              "as the other one would");
      c.check(!own_capabilities().effective(CAP_DAC_OVERRIDE), "without capabilities for files");
      c.check(w.take_off() == dressing::ok, "and is itself again");
    }}.join();
    c.check(::access(folder.path("made").c_str(), F_OK) == 0, "in the folder of the other one");
  });
}

// IOWQ-70. Method: root, folder and umask together, one left out after the other; mounts move both of the first.
TEST(worn_identities, put_on_root_folder_and_mounts_in_their_order) {
  WRING_NEEDS_ROOT();
  temporary_folder top;
  top.write("inside/mark", "x");
  top.write("mark-of-root", "x");
  in_a_child([&top](claims& c) {
    const std::string home = working_folder();
    const int root = ::open(top.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int folder = ::open(top.path("inside").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const int mounts = ::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    const auto in_root = [] { return ::access("/mark-of-root", F_OK) == 0; };
    std::thread{[&] {
      wardrobe w;
      const identity both = identity::make({.folder = folder, .root = root}).value();
      c.check(w.put_on(of(both)) == dressing::ok && in_root() && working_folder() == "/inside", "root and folder");
      const identity all = identity::make({.folder = folder, .root = root, .mount_namespace = mounts}).value();
      c.check(w.put_on(of(all)) == dressing::ok && in_root() && working_folder() == "/inside", "behind mounts");
      const identity only_root = identity::make({.root = root, .mount_namespace = mounts}).value();
      c.check(w.put_on(of(only_root)) == dressing::ok && in_root() && working_folder() == "/",
              "a folder that is left out");
      const identity only_folder = identity::make({.folder = folder}).value();
      c.check(w.put_on(of(only_folder)) == dressing::ok && !in_root() && ::access("mark", F_OK) == 0, "no root");
      const identity outside = identity::make({.root = root}).value();
      c.check(w.put_on(of(outside)) == dressing::ok && in_root(), "root alone");
      c.check(w.take_off() == dressing::ok && !in_root() && working_folder() == home, "none of them");
    }}.join();
  });
}

// IOWQ-U5. Method: a folder that only root may enter. Whoever holds a handle of it was allowed to, then.
TEST(worn_identities, enter_the_folder_before_they_are_somebody_else) {
  WRING_NEEDS_ROOT();
  temporary_folder closed;
  ASSERT_EQ(::chmod(closed.path("").c_str(), 0700), 0);
  in_a_child([&closed](claims& c) {
    const int fd = ::open(closed.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const identity user = identity::make({.user = stranger, .group = strange_group, .folder = fd}).value();
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(user)) == dressing::ok && fsuid() == stranger, "the user is put on");
      c.check(working_folder() + "/" == closed.path(""), "and the folder");
      c.check(::open("x", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES, "where that user may see nothing");
      c.check(w.take_off() == dressing::ok, "and taken off");
    }}.join();
  });
}

// ---- what is a worker's own

// IOWQ-72. Method: the process goes elsewhere while a worker, which has unshared its places, is somewhere else.
TEST(own_places, are_those_of_the_process_when_an_identity_is_taken_off) {
  temporary_folder worn;
  temporary_folder later;
  in_a_child([&](claims& c) {
    const int fd = ::open(worn.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const identity both = identity::make({.folder = fd, .umask = 0123}).value();
    const identity only_umask = identity::make({.umask = 0321}).value();
    gate dressed;
    gate moved;
    std::thread worker{[&] {
      wardrobe w;
      c.check(w.put_on(of(both)) == dressing::ok, "it is put on");
      dressed.open();
      moved.wait();
      c.check(w.put_on(of(only_umask)) == dressing::ok, "another one leaves the folder out");
      c.check(working_folder() + "/" == later.path(""), "the folder is where the process has gone");
      c.check(w.take_off() == dressing::ok && ::umask(0) == 057, "and the umask what it has set");
    }};
    dressed.wait();
    c.check(::chdir(later.path("").c_str()) == 0, "the process goes elsewhere");
    ::umask(057);
    moved.open();
    worker.join();
  });
}

// IOWQ-71. Method: an owner that has unshared its places, and one that has ended.
TEST(own_places, are_those_of_the_owner_while_it_is_there) {
  temporary_folder worn;
  temporary_folder owners;
  in_a_child([&](claims& c) {
    const int fd = ::open(worn.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const identity folder = identity::make({.folder = fd, .umask = 0123}).value();
    const std::string home = working_folder();
    ::umask(011);
    gate moved;
    gate done;
    gate ended;
    pid_t tid = 0;
    std::thread owner{[&] {
      raw(SYS_unshare, CLONE_FS);
      c.check(::chdir(owners.path("").c_str()) == 0, "the owner is somewhere");
      ::umask(044);
      tid = ::gettid();
      moved.open();
      done.wait();
    }};
    moved.wait();
    std::thread worker{[&] {
      wardrobe w{static_cast<std::uint32_t>(tid)};
      c.check(w.put_on(of(folder)) == dressing::ok && w.take_off() == dressing::ok, "put on, taken off");
      c.check(working_folder() + "/" == owners.path("") && ::umask(044) == 044, "it is where the owner is");
      c.check(w.put_on(of(folder)) == dressing::ok, "once more");
      done.open();
      ended.wait();
      c.check(w.take_off() == dressing::ok, "and the owner has ended");
      c.check(working_folder() + "/" == owners.path("") && ::umask(031) == 044, "the worker is where it was");
      wardrobe later{static_cast<std::uint32_t>(tid)};
      c.check(later.put_on(of(folder)) == dressing::ok && later.take_off() == dressing::ok, "put on, taken off");
      c.check(working_folder() + "/" == owners.path("") && ::umask(0) == 031, "once more where it was");
    }};
    owner.join();
    eventually([tid] { return ::access(proc_of(tid, "cwd").c_str(), F_OK) != 0; });
    ended.open();
    worker.join();
    c.check(working_folder() == home, "the process never moved");
  });
}

// IOWQ-72. Method: a thread becomes somebody for good between two identities.
TEST(own_credentials, are_asked_anew_each_time) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const identity user = identity::make({.user = stranger, .group = strange_group}).value();
    std::thread{[&] {
      wardrobe w;
      c.check(w.put_on(of(user)) == dressing::ok && w.take_off() == dressing::ok && fsuid() == 0, "root at first");
      raw(SYS_setfsuid, stranger + 5);
      c.check(w.put_on(of(user)) == dressing::ok && fsuid() == stranger, "the user");
      c.check(w.take_off() == dressing::ok && fsuid() == stranger + 5, "and the new own one");
    }}.join();
  });
}

// ---- the process

// Method: two threads change users as fast as they can, a third looks when they are done; and for each value
// that the flag can have.
TEST(processes, stay_as_dumpable_as_they_were) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const identity user = identity::make({.user = stranger, .group = strange_group}).value();
    const identity group = identity::make({.user = 0, .group = strange_group, .effective = true}).value();
    for (const int dumpable : {1, 0}) {
      c.check(::prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0) == 0, "the flag can be set");
      together(2, [&](int i) {
        wardrobe w;
        for (int round = 0; round < 500; ++round) {
          c.check(w.put_on(of(i == 0 ? user : group)) == dressing::ok && w.take_off() == dressing::ok, "to and fro");
        }
      });
      c.check(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == dumpable, "the flag is what it was");
    }
  });
}

// Method: forks while another thread changes users; the flag is copied with the memory.
TEST(processes, fork_children_that_are_as_dumpable) {
  WRING_NEEDS_ROOT();
  if (under_tsan) GTEST_SKIP() << "the thread sanitizer wants no forks of several threads";
  in_a_child([](claims& c) {
    const identity user = identity::make({.user = stranger, .group = strange_group}).value();
    c.check(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "the flag can be set");
    std::atomic<bool> enough{false};
    std::thread changing{[&] {
      wardrobe w;
      while (!enough.load()) {
        w.put_on(of(user));
        w.take_off();
      }
    }};
    for (int i = 0; i < 200; ++i) {
      const int status = in_forked_child([&](claims& child) {
        child.check(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1, "a child has the flag");
        wardrobe w;
        child.check(w.put_on(of(user)) == dressing::ok && w.take_off() == dressing::ok, "and may change users itself");
      });
      c.check(status == 0, "a child is as dumpable");
    }
    enough.store(true);
    changing.join();
  });
}

}  // namespace
}  // namespace wring::test
