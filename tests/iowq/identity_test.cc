// SPDX-License-Identifier: Apache-2.0
// Identities as values: captured, made from words, described, shared, refused (IOWQ-70, IOWQ-71).
//
// Method: what changes the process happens in forked children. Whether an identity can be put on is in
// tests/iowq/wardrobe_test.cc.
#include "iowq/dressing.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace wring::test {
namespace {

constexpr auto all_that_is_captured = [] {
  auto parts = static_cast<identity_part>((1U << 13) - 1);
  return static_cast<identity_part>(static_cast<unsigned>(parts) & ~1U);  // credentials, and not those for files alone
}();

int open_place(const std::string& path, int flags = O_PATH | O_DIRECTORY) {
  return ::open(path.c_str(), flags | O_CLOEXEC);
}

int error_of(const identity_options& o) { return identity::make(o).error().value(); }

std::size_t open_descriptors() { return entries_of("/proc/self/fd").size(); }

// ---- in words

TEST(identities, of_nobody_are_the_workers_own) {
  const identity none;
  EXPECT_EQ(none.parts(), identity_part::none);
  EXPECT_EQ(none.describe(), "the worker's own");
  EXPECT_EQ(none, identity::make({}).value());
  EXPECT_EQ(none, identity::capture(identity_part::none).value());
  EXPECT_EQ(of(none), nullptr);
}

TEST(identities, are_described_in_words) {
  temporary_folder folder;
  const int fd = open_place(folder.path(""));
  std::string path = folder.path("");
  path.pop_back();
  const auto text = [](const identity_options& o) { return identity::make(o).value().describe(); };
  EXPECT_EQ(text({.user = 1000, .group = 1000, .groups = {27, 4}, .folder = fd, .umask = 022}),
            "user 1000, group 1000 (4, 27), folder " + path + ", umask 0022");
  EXPECT_EQ(text({.user = 1, .group = 2, .effective = true}), "effective user 1, group 2");
  EXPECT_EQ(text({.root = fd, .nice = -3, .file_size = 4096}), "root " + path + ", nice -3, files of 4096 bytes");
  EXPECT_EQ(text({.io_priority = 2 << 13 | 6}), "I/O priority best-effort 6");
  EXPECT_EQ(text({.io_priority = 1 << 13}), "I/O priority real-time 0");
  EXPECT_EQ(text({.io_priority = 3 << 13}), "I/O priority idle");
  EXPECT_EQ(text({.io_priority = 0}), "I/O priority none");
  EXPECT_EQ(text({.file_size = ~std::uint64_t{0}}), "files of any size");
  const int net = open_place("/proc/self/ns/net", O_RDONLY);
  EXPECT_EQ(text({.net_namespace = net}), "namespace " + namespace_of(::gettid(), "net"));
  ::close(net);
  ::close(fd);
}

// Method: a user with a capability that files are concerned by.
TEST(identities, of_users_with_capabilities_say_so) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    std::thread{[&] {
      raw(SYS_setfsuid, stranger);
      capabilities some = own_capabilities();
      some.words[0].effective = 1U << CAP_DAC_OVERRIDE | 1U << CAP_SETUID;
      c.check(set_capabilities(some) == 0, "some are left");
      const std::string text = identity::capture(identity_part::file_credentials).value().describe();
      c.check(text == "user 61240, group 0, capabilities 0x2", text.c_str());
    }}.join();
  });
}

// IOWQ-U8: the limit comes along.
TEST(identities, have_the_parts_that_were_given) {
  const identity who = identity::make({.user = 1, .group = 2, .umask = 0, .io_priority = 0, .nice = 0}).value();
  EXPECT_EQ(who.parts(),
            identity_part::file_credentials | identity_part::umask | identity_part::io_priority | identity_part::nice);
  EXPECT_EQ(identity::make({.user = 1, .group = 2, .effective = true}).value().parts(), identity_part::credentials);
  EXPECT_EQ(identity::make({.file_size = 7}).value().parts(), identity_part::file_size);
  EXPECT_EQ(of(identity::make({.file_size = 7}).value())->file_size, 7U);
}

TEST(identities, that_make_no_sense_are_refused) {
  const std::uint32_t nobody = ~std::uint32_t{0};
  EXPECT_EQ(error_of({.user = 1}), EINVAL);
  EXPECT_EQ(error_of({.group = 1}), EINVAL);
  EXPECT_EQ(error_of({.groups = {1}}), EINVAL);
  EXPECT_EQ(error_of({.effective = true}), EINVAL);
  EXPECT_EQ(error_of({.user = nobody, .group = 1}), EINVAL);
  EXPECT_EQ(error_of({.user = 1, .group = nobody}), EINVAL);
  EXPECT_EQ(error_of({.user = 1, .group = 1, .groups = {nobody}}), EINVAL);
  EXPECT_EQ(error_of({.user = 1, .group = 1, .groups = std::vector<gid_t>(65537)}), EINVAL);
  EXPECT_EQ(error_of({.umask = 01000}), EINVAL);
  EXPECT_EQ(error_of({.nice = -21}), EINVAL);
  EXPECT_EQ(error_of({.nice = 20}), EINVAL);
  EXPECT_EQ(error_of({.io_priority = -1}), EINVAL);
  EXPECT_EQ(error_of({.io_priority = 4 << 13}), EINVAL);
  EXPECT_EQ(error_of({.io_priority = 4}), EINVAL) << "no class has no level";
  EXPECT_EQ(error_of({.folder = -2}), EBADF);
  EXPECT_EQ(error_of({.root = 1'000'000}), EBADF);
  EXPECT_EQ(error_of({.net_namespace = 1'000'000}), EBADF);
  EXPECT_EQ(error_of({.cgroup = "/no/such/group"}), ENOENT);
  EXPECT_EQ(error_of({.cgroup = "/proc"}), EINVAL) << "is a folder of something else";
}

TEST(identities, of_descriptors_of_the_wrong_kind_are_refused) {
  const int file = open_place("/proc/self/exe", O_PATH);
  const int folder = open_place("/");
  const int uts = open_place("/proc/self/ns/uts", O_RDONLY);
  EXPECT_EQ(error_of({.folder = file}), EINVAL);
  EXPECT_EQ(error_of({.root = file}), EINVAL);
  EXPECT_EQ(error_of({.net_namespace = uts}), EINVAL);
  EXPECT_EQ(error_of({.ipc_namespace = uts}), EINVAL);
  EXPECT_EQ(error_of({.mount_namespace = uts}), EINVAL);
  EXPECT_EQ(error_of({.uts_namespace = open_place("/", O_RDONLY)}), EINVAL);
  EXPECT_EQ(error_of({.uts_namespace = uts}), 0);
  EXPECT_EQ(error_of({.folder = folder, .root = folder}), 0);
}

// ---- captured

// IOWQ-71. Method: all parts, of a thread that differs from its process in each that needs no right.
TEST(captured_identities, are_those_of_the_calling_thread) {
  temporary_folder folder;
  std::string path = folder.path("");
  path.pop_back();
  in_a_child([&](claims& c) {
    const rlimit limit{1 << 20, RLIM_INFINITY};
    c.check(::setrlimit(RLIMIT_FSIZE, &limit) == 0, "there is a limit");
    std::thread{[&] {
      raw(SYS_unshare, CLONE_FS);
      c.check(::chdir(path.c_str()) == 0, "a thread goes somewhere");
      ::umask(0137);
      raw(SYS_ioprio_set, 1, 0, 3 << 13);
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
      const identity who = identity::capture(identity_part::folder | identity_part::root | identity_part::umask |
                                             identity_part::io_priority | identity_part::nice |
                                             identity_part::file_size | identity_part::uts_namespace)
                               .value();
      const std::string expected = "folder " + path + ", root /, umask 0137, I/O priority idle, nice 19, " +
                                   "files of 1048576 bytes, namespace " + namespace_of(::gettid(), "uts");
      check_seen(c, who.describe(), expected, "captured");
    }}.join();
    c.check(identity::capture(identity_part::umask).value().describe() != "umask 0137", "the process is another");
  });
}

TEST(captured_identities, have_all_parts_that_were_asked_for) {
  const identity who = identity::capture(all_that_is_captured).value();
  EXPECT_EQ(who.parts(), all_that_is_captured);
  EXPECT_EQ(identity::capture().value().parts(), identity_part::usual);
  EXPECT_EQ(identity::capture(identity_part::file_credentials | identity_part::credentials).error().value(), EINVAL);
  EXPECT_EQ(identity::capture(static_cast<identity_part>(1U << 13)).error().value(), EINVAL);
  EXPECT_FALSE(identity::capture().value() == identity::capture().value()) << "two descriptions";
}

// Method: a working folder that is gone, and one that its user may not go to.
TEST(captured_identities, need_a_folder_that_may_be_entered_but_not_one_that_has_a_name) {
  temporary_folder folder;
  in_a_child([&](claims& c) {
    c.check(::chdir(folder.path("").c_str()) == 0, "the process goes there");
    std::string path = folder.path("");
    path.pop_back();
    ::rmdir(path.c_str());
    c.check(identity::capture(identity_part::folder).value().describe() == "folder " + path + " (deleted)", "gone");
  });
  WRING_NEEDS_ROOT();
  temporary_folder closed;
  ASSERT_EQ(::chmod(closed.path("").c_str(), 0700), 0);
  in_a_child([&](claims& c) {
    c.check(::chdir(closed.path("").c_str()) == 0 && give_up_everything(), "a user is where he may not go");
    c.check(identity::capture(identity_part::folder).error().value() == EACCES, "the folder is refused");
    c.check(identity::capture(identity_part::umask).has_value(), "nothing else is");
  });
}

// Method: as few descriptors as there are; the error, and afterwards as many open ones as before.
TEST(captured_identities, without_descriptors_are_refused_and_leave_none) {
  in_a_child([](claims& c) {
    const int next = ::dup(0);
    ::close(next);
    for (int more = 0; more < 3; ++more) {
      const auto before = static_cast<rlim_t>(next + more);
      rlimit limit{};
      ::getrlimit(RLIMIT_NOFILE, &limit);
      const rlimit few{before, limit.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &few);
      const int error = identity::capture(identity_part::folder | identity_part::root | identity_part::umask |
                                          identity_part::net_namespace)
                            .error()
                            .value();
      const int made = more == 0 ? error_of({.folder = 0}) : 0;
      ::setrlimit(RLIMIT_NOFILE, &limit);
      c.check(error == EMFILE, "there are no descriptors");
      c.check(made == 0 || made == EINVAL || made == EBADF, "what is no folder is found before it is duplicated");
      const int now = ::dup(0);
      ::close(now);
      c.check(now == next, "none is left open");
    }
  });
}

// ---- shared

// IOWQ-U5. Method: count of open descriptors, while identities come and go, are worn, and refused.
TEST(descriptions, close_their_descriptors_with_their_last_user) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    const std::size_t before = open_descriptors();
    {
      const identity who = identity::capture(all_that_is_captured).value();
      c.check(open_descriptors() > before + 5, "there are some");
      identity copy = who;
      const std::size_t with_one = open_descriptors();
      const identity another = copy;
      c.check(open_descriptors() == with_one, "copies share them");
      std::thread{[&] {
        wardrobe w;
        c.check(w.put_on(of(copy)) == dressing::ok, "it is put on");
        c.check(w.take_off() == dressing::ok && open_descriptors() == with_one, "and taken off without a trace");
        c.check(w.put_on(of(copy)) == dressing::ok, "a thread ends with it");
      }}.join();
      copy = identity{};
      c.check(open_descriptors() == with_one, "the others have them");
    }
    c.check(open_descriptors() == before, "and the last one closes them");
    std::thread{[&] {
      wardrobe w;
      for (const bool tainted : {false, true}) {
        {
          const int folder = open_place("/proc");
          const identity who = identity::make({.folder = folder}).value();
          ::close(folder);
          c.check(w.put_on(of(who)) == dressing::ok, "it is put on");
        }
        c.check(open_descriptors() > before, "who wears it holds it");
        if (tainted) c.check(refuse_calls({SYS_fchdir}), "the way back is blocked");
        c.check(w.take_off() == (tainted ? dressing::tainted : dressing::ok), "taken off, or not");
        c.check(tainted || open_descriptors() == before, "nothing is left");
      }
    }}.join();
    c.check(open_descriptors() == before, "nothing is left of the tainted one");
  });
}

TEST(descriptions, are_shared_by_copies) {
  identity first = identity::make({.umask = 077}).value();
  const identity second = first;
  EXPECT_EQ(first, second);
  EXPECT_EQ(of(first), of(second));
  const identity third = std::move(first);
  EXPECT_EQ(third, second);
  EXPECT_EQ(of(first), nullptr) << "what was moved from is nobody";
  first = third;
  EXPECT_EQ(first, third);
  identity& same = first;
  first = same;
  EXPECT_EQ(first, third);
  first = identity::make({.umask = 077}).value();
  EXPECT_FALSE(first == third) << "equal words, two descriptions";
  first = std::move(same);
  EXPECT_EQ(first.describe(), "umask 0077");
}

// Method: threads copy and drop one identity; the address sanitizer and the thread sanitizer look on.
TEST(descriptions, are_counted_by_all_threads) {
  identity who = identity::make({.umask = 077}).value();
  together(4, [&who](int) {
    for (int i = 0; i < 2000; ++i) {
      identity copy = who;
      const identity moved = std::move(copy);
      ASSERT_EQ(moved, who);
    }
  });
  std::array<identity, 2> copies{who, who};
  together(2, [&copies](int i) { copies.at(static_cast<std::size_t>(i)) = identity{}; });
  EXPECT_EQ(who.describe(), "umask 0077");
}

// ---- supported

// IOWQ-U4, IOWQ-U10. Method: root may all; then the same process without rights.
TEST(supported_parts, are_those_that_a_thread_may_change_and_change_back) {
  const std::vector<identity_part> for_all{identity_part::none, identity_part::folder, identity_part::umask,
                                           identity_part::io_priority, identity_part::file_size};
  for (const identity_part part : for_all) EXPECT_TRUE(identity::supported(part)) << static_cast<unsigned>(part);
  EXPECT_FALSE(identity::supported(static_cast<identity_part>(1U << 13)));
  WRING_NEEDS_ROOT();
  const std::vector<identity_part> for_root{identity_part::file_credentials,
                                            identity_part::credentials,
                                            identity_part::root,
                                            identity_part::nice,
                                            identity_part::net_namespace,
                                            identity_part::uts_namespace,
                                            identity_part::ipc_namespace,
                                            identity_part::mount_namespace};
  in_a_child([&](claims& c) {
    const std::string home = working_folder();
    for (const identity_part part : for_root) c.check(identity::supported(part), "root may");
    c.check(
        identity::supported(static_cast<identity_part>((1U << 13) - 1)) == identity::supported(identity_part::cgroup),
        "all at once");
    c.check(fsuid() == 0 && working_folder() == home, "nothing has changed");
    const rlimit no_nice{0, 0};
    c.check(::setrlimit(RLIMIT_NICE, &no_nice) == 0 && give_up_everything(), "the process may do nothing");
    for (const identity_part part : for_root) c.check(!identity::supported(part), "others may not");
    for (const identity_part part : for_all) c.check(identity::supported(part), "what all may");
    c.check(!identity::supported(identity_part::umask | identity_part::root), "of several all are needed");
    c.check(!identity::supported(identity_part::cgroup), "nor enter groups");
  });
}

}  // namespace
}  // namespace wring::test
