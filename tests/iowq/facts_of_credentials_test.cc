// SPDX-License-Identifier: Apache-2.0
// The identity of a thread: which part of it is its own, how a change is refused, and what else a change does
// (IOWQ-U4).
//
// Method: forked children. A thread changes itself by raw system calls while another one looks at itself.
#include "iowq/facts.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>

#include <vector>

namespace wring::test {
namespace {

long become(uid_t id) { return raw(SYS_setresuid, id, id, id); }

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(256);
  const long n = raw(SYS_getgroups, 256, groups.data());
  groups.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return groups;
}

// 0 or -errno.
int try_to_read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ::close(fd);
  return 0;
}

// IOWQ-U4.
TEST(credentials, raw_setresuid_changes_the_calling_thread_only) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const user_ids before = uids();
    beside(
        [&] {
          c.check(become(stranger) == 0, "root may");
          c.check(uids() == user_ids{stranger, stranger, stranger}, "the thread is somebody else");
          c.check(become(0) == -EPERM, "there is no way back without the capability");
          c.check(uids() == user_ids{stranger, stranger, stranger}, "a refused change changes nothing");
        },
        [&] { c.check(uids() == before, "the other thread is who it was"); });
  });
}

// IOWQ-U4. Method: the same change by the C library's function.
TEST(credentials, the_c_librarys_setresuid_changes_all_threads) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    beside([&] { c.check(::setresuid(stranger, stranger, stranger) == 0, "root may"); },
           [&] {
             c.check(uids() == user_ids{stranger, stranger, stranger}, "the other thread followed");
           });
  });
}

// A trap: while one thread has given up the privilege by a raw call, the rest of the process cannot use the C library
// to change itself. It ends the process, since it could not change all threads.
TEST(credentials, the_c_librarys_setresuid_aborts_if_a_thread_may_not_follow) {
  WRING_NEEDS_ROOT();
  const int status = in_forked_child([](claims& c) {
    beside([&] { c.check(become(stranger) == 0, "root may"); },
           [&] { static_cast<void>(::setresuid(stranger + 1, stranger + 1, stranger + 1)); });
  });
  EXPECT_EQ(status, 1000 + SIGABRT);
}

// A trap: where it may follow, it does, and is somebody else for files as well.
TEST(credentials, the_c_librarys_setresuid_replaces_the_user_for_files_of_all_threads) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    gate changed;
    gate all_changed;
    std::thread thread{[&] {
      raw(SYS_setfsuid, stranger);
      changed.open();
      all_changed.wait();
      c.check(fsuid() == stranger + 1, "the thread is whom the process has become");
    }};
    changed.wait();
    c.check(::setresuid(stranger + 1, stranger + 1, stranger + 1) == 0, "root may, and the thread may");
    all_changed.open();
    thread.join();
  });
}

// IOWQ-U4. Method: the saved id stays root's; capabilities follow the effective one down and up again.
TEST(credentials, a_saved_uid_of_root_is_a_way_back) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    beside(
        [&] {
          const capabilities before = own_capabilities();
          c.check(raw(SYS_setresuid, -1, stranger, -1) == 0, "root may");
          c.check(fsuid() == stranger, "files are accessed as the effective user");
          c.check(!own_capabilities().effective(CAP_SETUID), "effective capabilities are gone");
          c.check(own_capabilities().permitted(CAP_SETUID), "they are permitted still");
          c.check(raw(SYS_setresuid, -1, 0, -1) == 0, "and back");
          c.check(fsuid() == 0, "files too");
          c.check(own_capabilities().effective(CAP_SETUID) == before.effective(CAP_SETUID), "with all it had");
        },
        [] {});
  });
}

// IOWQ-U4.
TEST(credentials, raw_setresgid_and_setgroups_change_the_calling_thread_only) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const user_ids before = gids();
    const std::vector<gid_t> groups_before = own_groups();
    beside(
        [&] {
          const std::array<gid_t, 2> groups{strange_group, other_group};
          c.check(raw(SYS_setgroups, groups.size(), groups.data()) == 0, "root may set groups");
          c.check(raw(SYS_setresgid, strange_group, strange_group, strange_group) == 0, "and the group");
          c.check(own_groups() == std::vector<gid_t>{groups.begin(), groups.end()}, "the thread has the groups");
          c.check(gids() == user_ids{strange_group, strange_group, strange_group}, "and the group");
          c.check(become(stranger) == 0, "root may");
          c.check(raw(SYS_setgroups, 0, nullptr) == -EPERM, "groups are refused with EPERM");
          c.check(raw(SYS_setresgid, 0, 0, 0) == -EPERM, "the group is refused with EPERM");
          c.check(own_groups().size() == 2, "and they are what they were");
        },
        [&] {
          c.check(gids() == before, "the other thread has its group");
          c.check(own_groups() == groups_before, "and its groups");
        });
  });
}

// IOWQ-U4.
TEST(credentials, setfsuid_and_setfsgid_change_the_calling_thread_only_and_never_say_that_they_failed) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    beside(
        [&] {
          c.check(raw(SYS_setfsgid, strange_group) == 0, "it answers what was before");
          c.check(raw(SYS_setfsuid, stranger) == 0, "it answers what was before");
          c.check(fsuid() == stranger && fsgid() == strange_group, "the thread is somebody else, for files");
          c.check(uids() == user_ids{0, 0, 0}, "and for nothing else");
        },
        [&] { c.check(fsuid() == 0 && fsgid() == 0, "the other thread is who it was"); });
    beside(
        [&] {
          c.check(become(stranger) == 0, "root may");
          c.check(raw(SYS_setfsuid, 0) == static_cast<long>(stranger), "the answer of a refusal is that of a success");
          c.check(fsuid() == stranger, "only a second call tells that nothing has changed");
          c.check(raw(SYS_setfsgid, strange_group) == 0, "the same of the group");
          c.check(fsgid() == 0, "which is what it was");
        },
        [] {});
  });
}

// IOWQ-U4.
TEST(credentials, capset_changes_the_calling_thread_only) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const capabilities all = own_capabilities();
    beside(
        [&] {
          capabilities none = all;
          for (auto& word : none.words) word.effective = 0;
          c.check(set_capabilities(none) == 0, "effective ones may be dropped");
          c.check(!own_capabilities().effective(CAP_DAC_OVERRIDE), "they are");
          c.check(set_capabilities(all) == 0, "and taken again while they are permitted");
          c.check(own_capabilities().effective(CAP_DAC_OVERRIDE), "they are there");
          for (auto& word : none.words) word.permitted = 0;
          c.check(set_capabilities(none) == 0, "permitted ones may be dropped");
          c.check(set_capabilities(all) == -EPERM, "and are refused with EPERM from then on");
        },
        [&] { c.check(own_capabilities().effective(CAP_DAC_OVERRIDE), "the other thread has what it had"); });
  });
}

// IOWQ-U4. Method: a file of root's and one of the stranger's, each for its owner only.
TEST(credentials, of_the_thread_decide_about_files) {
  WRING_NEEDS_ROOT();
  temporary_folder folder;
  folder.write("of_root", "x");
  folder.write("of_stranger", "x");
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(folder.path("of_root").c_str(), 0600), 0);
  ASSERT_EQ(::chmod(folder.path("of_stranger").c_str(), 0600), 0);
  ASSERT_EQ(::chown(folder.path("of_stranger").c_str(), stranger, strange_group), 0);
  in_a_child([&folder](claims& c) {
    beside(
        [&] {
          raw(SYS_setfsuid, stranger);
          c.check(!own_capabilities().effective(CAP_DAC_OVERRIDE), "leaving root takes the capabilities for files");
          c.check(own_capabilities().effective(CAP_SETUID), "and no other");
          c.check(try_to_read(folder.path("of_root")) == -EACCES, "root's file is refused");
          c.check(try_to_read(folder.path("of_stranger")) == 0, "the own one is not");
          raw(SYS_setfsuid, 0);
          c.check(try_to_read(folder.path("of_root")) == 0, "back as root all is as before");
        },
        [&] { c.check(try_to_read(folder.path("of_root")) == 0, "the other thread may go on"); });
  });
}

// A trap: who is not root but has capabilities keeps them when the uid changes, so they have to be set as well.
TEST(credentials, a_change_between_users_that_are_not_root_keeps_effective_capabilities) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    beside(
        [&] {
          const capabilities all = own_capabilities();
          c.check(raw(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "capabilities may be kept");
          c.check(become(stranger) == 0, "root may");
          c.check(set_capabilities(all) == 0, "a user with capabilities");
          c.check(raw(SYS_setfsuid, stranger + 1) == static_cast<long>(stranger), "goes on as another one for files");
          c.check(fsuid() == stranger + 1, "which works");
          c.check(own_capabilities().effective(CAP_DAC_OVERRIDE), "and may read everything all the same");
        },
        [] {});
  });
}

// A trap: the flag belongs to the memory, which all threads share. Without it there are no core dumps, and what /proc
// says of the process belongs to root.
TEST(credentials, a_change_in_one_thread_makes_the_whole_process_not_dumpable) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    c.check(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "it is dumpable at first");
    beside(
        [&] { raw(SYS_setfsuid, stranger); },
        [&] { c.check(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1, "a change of a thread's user for files is enough"); });
    c.check(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "the flag can be set again");
    c.check(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1, "at any time");
    beside([&] { c.check(raw(SYS_setgroups, 0, nullptr) == 0, "groups are changed"); },
           [&] { c.check(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1, "groups alone do not do that"); });
  });
}

// So a worker that is somebody else must not create workers.
TEST(credentials, a_new_thread_is_who_its_creator_is_at_that_moment) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    beside(
        [&] {
          raw(SYS_setfsuid, stranger);
          std::thread{[&] { c.check(fsuid() == stranger, "the new thread is the stranger, too"); }}.join();
        },
        [] {});
    std::thread{[&] { c.check(fsuid() == 0, "one made by another thread is root"); }}.join();
  });
}

}  // namespace
}  // namespace wring::test
