// SPDX-License-Identifier: Apache-2.0
// What the system lets a thread have: priorities, the size of files, groups of control (IOWQ-U8, IOWQ-U9, IOWQ-U10).
#include "iowq/facts.h"
#include "iowq/groups.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstring>
#include <string>
#include <vector>

namespace wring::test {
namespace {

// As in linux/ioprio.h, which older systems do not have.
constexpr int ioprio_of_thread = 1;
constexpr int best_effort_lowest = 2 << 13 | 7;
constexpr int idle_class = 3 << 13;

long own_ioprio() { return raw(SYS_ioprio_get, ioprio_of_thread, 0); }
long set_ioprio(int value) { return raw(SYS_ioprio_set, ioprio_of_thread, 0, value); }
int own_nice() { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }
int set_nice(int nice) { return ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice) == 0 ? 0 : -errno; }

void give_up_root() { raw(SYS_setresuid, stranger, stranger, stranger); }

// IOWQ-U10.
TEST(priorities, for_input_and_output_are_those_of_a_thread) {
  in_a_child([](claims& c) {
    const long before = own_ioprio();
    beside(
        [&] {
          c.check(set_ioprio(best_effort_lowest) == 0, "a thread may be lower");
          c.check(own_ioprio() == best_effort_lowest, "it is");
        },
        [&] { c.check(own_ioprio() == before, "the other one is not"); });
  });
}

// IOWQ-U10. Restoring needs no privilege, other than with nice values.
TEST(priorities, for_input_and_output_are_raised_again_without_privilege) {
  in_a_child([](claims& c) {
    beside(
        [&] {
          if (::geteuid() == 0) give_up_root();
          const long before = own_ioprio();
          c.check(set_ioprio(idle_class) == 0, "the lowest class is for everybody");
          c.check(set_ioprio(static_cast<int>(before)) == 0, "and back");
          c.check(set_ioprio(0) == 0, "and none at all");
          c.check(set_ioprio(1 << 13) == -EPERM, "real-time is not");
        },
        [] {});
  });
}

// IOWQ-U10.
TEST(priorities, nice_values_are_those_of_a_thread) {
  in_a_child([](claims& c) {
    const int before = own_nice();
    beside(
        [&] {
          c.check(set_nice(before + 3) == 0, "a thread may be nicer");
          c.check(own_nice() == before + 3, "it is");
        },
        [&] { c.check(own_nice() == before, "the other one is not"); });
  });
}

// A trap: a worker that cannot come back would be nice to whomever it works for next.
TEST(priorities, nice_values_do_not_come_back_without_privilege_unless_a_limit_allows_it) {
  WRING_NEEDS_ROOT();
  in_a_child([](claims& c) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NICE, &limit);
    limit.rlim_cur = 0;
    c.check(::setrlimit(RLIMIT_NICE, &limit) == 0, "nobody may be less nice");
    beside(
        [&] {
          give_up_root();
          c.check(set_nice(5) == 0, "a thread may be nicer");
          c.check(set_nice(0) == -EACCES, "and not come back");
        },
        [] {});
    const rlimit zero{20, 20};
    if (::setrlimit(RLIMIT_NICE, &zero) != 0) return;  // that takes a privilege which not even root has everywhere
    beside(
        [&] {
          give_up_root();
          c.check(set_nice(5) == 0, "a thread may be nicer");
          c.check(set_nice(0) == 0, "and come back");
        },
        [] {});
  });
}

// ---- the size of files
// -----------------------------------------------------------------------------------------------

int signal_pending_for_this_thread(int number) {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, number);
}

// IOWQ-U8. Method: the limit is asked for by the id of one thread, which is taken for that of the process.
TEST(file_size_limit, is_that_of_the_process) {
  in_a_child([](claims& c) {
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    beside(
        [&] {
          const rlimit small{4096, before.rlim_max};
          c.check(raw(SYS_prlimit64, ::gettid(), RLIMIT_FSIZE, &small, nullptr) == 0, "a thread sets it for itself");
        },
        [&] {
          rlimit now{};
          ::getrlimit(RLIMIT_FSIZE, &now);
          c.check(now.rlim_cur == 4096, "and everybody has it");
        });
  });
}

// IOWQ-U8. Workers block the signal, as all that are not faults; it then stays where it is.
TEST(file_size_limit, sends_a_signal_to_the_thread_that_writes_beyond_it) {
  temporary_folder folder;
  folder.write("file", "");
  in_a_child([&folder](claims& c) {
    const rlimit small{4096, RLIM_INFINITY};
    c.check(::setrlimit(RLIMIT_FSIZE, &small) == 0, "there is a limit");
    beside(
        [&] {
          sigset_t blocked;
          ::sigemptyset(&blocked);
          ::sigaddset(&blocked, SIGXFSZ);
          ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
          const int fd = ::open(folder.path("file").c_str(), O_WRONLY | O_CLOEXEC);
          const std::vector<char> text(4097);
          c.check(::pwrite(fd, text.data(), text.size(), 0) == 4096, "what fits is written");
          c.check(signal_pending_for_this_thread(SIGXFSZ) == 0, "without a signal");
          c.check(::pwrite(fd, text.data(), 1, 4096) == -1 && errno == EFBIG, "what is beyond is refused");
          c.check(signal_pending_for_this_thread(SIGXFSZ) == 1, "with one, which stays pending");
          ::close(fd);
        },
        [&] { c.check(signal_pending_for_this_thread(SIGXFSZ) == 0, "the other thread has none"); });
  });
}

// ---- groups of control
// -----------------------------------------------------------------------------------------------

class groups_v1 : public ::testing::TestWithParam<const char*> {};

// IOWQ-U9. In the first version every controller takes single threads, that of block devices too.
TEST_P(groups_v1, take_single_threads) {
  const std::string controller = GetParam();
  const std::string own = folder_of(controller);
  if (own.empty()) GTEST_SKIP() << "no hierarchy of " << controller;
  const group small{own + "/wring-facts-" + std::to_string(::getpid())};
  if (!small.made()) GTEST_SKIP() << "no group may be made in " << own << ": " << std::strerror(errno);
  in_a_child([&](claims& c) {
    const std::string before = group_of(::gettid(), controller);
    beside(
        [&] {
          const std::string id = std::to_string(::gettid());
          c.check(put(small.file("tasks"), id) == 0, "a thread enters the group");
          c.check(group_of(::gettid(), controller) != before, "it is there");
          c.check(put(own + "/tasks", id) == 0, "it leaves it");
          c.check(group_of(::gettid(), controller) == before, "it is back");
          c.check(put(small.file("tasks"), id) == 0, "and once more");
        },
        [&] { c.check(group_of(::gettid(), controller) == before, "the other thread is where it was"); });
  });
}

INSTANTIATE_TEST_SUITE_P(all, groups_v1, ::testing::Values("cpu", "pids", "blkio"),
                         [](const auto& c) { return std::string{c.param}; });

// IOWQ-U9. Method: the child moves into a group of its own; below it is one for threads.
TEST(groups_v2, take_single_threads_where_they_are_threaded) {
  const std::string own = folder_of("");
  if (own.empty()) GTEST_SKIP() << "no hierarchy of the second version";
  const group process{own + "/wring-facts-" + std::to_string(::getpid())};
  if (!process.made()) GTEST_SKIP() << "no group may be made in " << own << ": " << std::strerror(errno);
  const group threads{process.below("threads")};
  ASSERT_TRUE(threads.made());
  in_a_child([&](claims& c) {
    c.check(put(process.file("cgroup.procs"), std::to_string(::getpid())) == 0, "the process enters the group");
    beside(
        [&] {
          const std::string id = std::to_string(::gettid());
          c.check(put(threads.file("cgroup.threads"), id) == -EOPNOTSUPP, "a group of processes takes no thread");
          c.check(put(threads.file("cgroup.type"), "threaded") == 0, "one of threads");
          c.check(put(threads.file("cgroup.threads"), id) == 0, "takes it");
          c.check(group_of(::gettid(), "").ends_with("/threads"), "it is there");
        },
        [&] { c.check(!group_of(::gettid(), "").ends_with("/threads"), "the other thread is where it was"); });
  });
}

// IOWQ-U9.
TEST(groups_v2, that_are_threaded_do_not_divide_input_and_output) {
  const std::string own = folder_of("");
  if (own.empty()) GTEST_SKIP() << "no hierarchy of the second version";
  if ((" " + contents(own + "/cgroup.subtree_control")).find(" io") == std::string::npos)
    GTEST_SKIP() << "the controller \"io\" is not in this hierarchy, or not passed on in it";
  const group process{own + "/wring-facts-" + std::to_string(::getpid())};
  if (!process.made()) GTEST_SKIP() << "no group may be made in " << own << ": " << std::strerror(errno);
  const group threads{process.below("threads")};
  ASSERT_TRUE(threads.made());
  EXPECT_EQ(put(threads.file("cgroup.type"), "threaded"), 0);
  EXPECT_NE(put(process.file("cgroup.subtree_control"), "+io"), 0);
}

}  // namespace
}  // namespace wring::test
