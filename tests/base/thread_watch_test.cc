// SPDX-License-Identifier: Apache-2.0
// What is seen of threads from outside, on the real machine: the ground of finding blocked callbacks that said nothing.
//
// Method: threads are led into a state, then looked at until it shows; the program's time limit ends what never does.
// What a machine or a user may deny is denied to a forked child.
#include "base/thread_watch.h"

#include "base/sync.h"
#include "support/forked.h"
#include "support/gate.h"
#include "support/sandbox.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace wring::base {
namespace {

using test::claims;
using test::eventually;
using test::gate;
using test::in_forked_child;
using test::in_sandbox;
using test::sandbox;
using test::sandboxed;

// A thread whose number is known before it begins with what it does.
class subject {
 public:
  explicit subject(std::function<void()> body)
      : thread_{[this, body = std::move(body)] {
          tid_ = thread_id();
          known_.open();
          go_.wait();
          body();
        }} {
    known_.wait();
  }
  ~subject() { join(); }
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;

  [[nodiscard]] std::uint32_t tid() const { return tid_; }
  void go() { go_.open(); }
  void join() {
    go();
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::uint32_t tid_ = 0;
  gate known_;
  gate go_;
  std::thread thread_;
};

// Where the system forbids rings there is nothing to test about them; the sandboxes below are about that.
#define SKIP_WITHOUT_RINGS()                                        \
  if (switch_ring probe; probe.open(thread_id()) != 0) {            \
    GTEST_SKIP() << "this system lets nobody see context switches"; \
  }                                                                 \
  static_assert(true)

bool proc_is_there() { return ::access("/proc/self/task", X_OK) == 0; }

// Lines of /proc/self/maps that belong to a ring.
std::vector<std::string> mapped_rings() {
  std::vector<std::string> found;
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[perf_event]") != std::string::npos) found.push_back(line);
  }
  return found;
}

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

unsigned first_allowed_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  unsigned cpu = 0;
  while (!CPU_ISSET(cpu, &set)) ++cpu;
  return cpu;
}

// How often the thread has lost its CPU without wanting to.
int preemptions(std::uint32_t tid) {
  std::ifstream status{"/proc/self/task/" + std::to_string(tid) + "/status"};
  const std::string key = "nonvoluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoi(line.substr(key.size()));
  }
  return 0;
}

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe(fd.data()), 0); }
  ~pipe_pair() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  void write_one() const { ASSERT_EQ(::write(fd[1], "x", 1), 1); }
  void read_one() const {
    char byte = 0;
    ASSERT_EQ(::read(fd[0], &byte, 1), 1);
  }

  std::array<int, 2> fd{};
};

// ---- what is seen -----------------------------------------------------------------------------------------------

// Both see it, and its CPU clock stands still.
void expect_seen_waiting(const subject& s, const switch_ring& ring) {
  eventually([&] { return ring.look() == thread_sight::waiting; });
  eventually([&] { return look_at_stat(s.tid()) == thread_sight::waiting; });
}

TEST(thread_watch, sees_a_thread_wait_for_a_futex) {
  SKIP_WITHOUT_RINGS();
  gate opened;
  subject waiter{[&] { opened.wait(); }};
  switch_ring ring;
  ASSERT_EQ(ring.open(waiter.tid()), 0);
  waiter.go();
  expect_seen_waiting(waiter, ring);
  opened.open();
}

TEST(thread_watch, sees_a_thread_wait_for_a_pipe_and_its_cpu_clock_stand_still) {
  SKIP_WITHOUT_RINGS();
  const pipe_pair pipe;
  subject reader{[&] { pipe.read_one(); }};
  switch_ring ring;
  ASSERT_EQ(ring.open(reader.tid()), 0);
  // Not before it has left the first wait, in which it is seen as well.
  const std::int64_t before = cpu_time_of(reader.tid());
  reader.go();
  eventually([&] { return cpu_time_of(reader.tid()) > before && ring.look() == thread_sight::waiting; });
  expect_seen_waiting(reader, ring);
  const std::int64_t used = cpu_time_of(reader.tid());
  EXPECT_GT(used, 0);
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(cpu_time_of(reader.tid()), used);
  pipe.write_one();
}

// Method: short sleeps, again and again, one of which each look finds.
TEST(thread_watch, sees_a_thread_sleep) {
  SKIP_WITHOUT_RINGS();
  atomic<bool> done{false};
  subject sleeper{[&] {
    constexpr timespec short_time{.tv_sec = 0, .tv_nsec = 5'000'000};
    while (!done.load(order::relaxed)) ::nanosleep(&short_time, nullptr);
  }};
  switch_ring ring;
  ASSERT_EQ(ring.open(sleeper.tid()), 0);
  sleeper.go();
  expect_seen_waiting(sleeper, ring);
  done.store(true, order::relaxed);
}

// As the kernel says it: 'S', 'D', 'R'.
char state_of(std::uint32_t tid) {
  std::ifstream status{"/proc/self/task/" + std::to_string(tid) + "/status"};
  const std::string key = "State:\t";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return line[key.size()];
  }
  return '?';
}

// Method: a thread that has made a child which it lets run first is in such a wait until the child ends, as if it
// waited for a disk. The child has memory of its own, and calls nothing but the system.
TEST(thread_watch, sees_a_thread_wait_that_no_signal_may_wake) {
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc";
  const pipe_pair child_is_there;
  const pipe_pair child_may_end;
  subject parent{[&] {
    const long child = ::syscall(SYS_clone, CLONE_VFORK | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    ASSERT_GE(child, 0);
    if (child == 0) {
      char byte = 'x';
      ::syscall(SYS_write, child_is_there.fd[1], &byte, 1);
      ::syscall(SYS_read, child_may_end.fd[0], &byte, 1);
      ::syscall(SYS_exit_group, 0);
    }
    EXPECT_EQ(test::status_of(static_cast<pid_t>(child)), 0);
  }};
  parent.go();
  child_is_there.read_one();  // its parent waits, or is about to
  eventually([&] { return state_of(parent.tid()) != 'R'; });
  const char state = state_of(parent.tid());
  const thread_sight seen = look_at_stat(parent.tid());
  child_may_end.write_one();
  parent.join();
  if (state != 'D') GTEST_SKIP() << "this kernel calls it " << state;
  EXPECT_EQ(seen, thread_sight::waiting);
}

TEST(thread_watch, sees_a_computing_thread_run_and_its_cpu_clock_move) {
  SKIP_WITHOUT_RINGS();
  atomic<bool> done{false};
  subject runner{[&] {
    while (!done.load(order::relaxed)) cpu_relax();
  }};
  switch_ring ring;
  ASSERT_EQ(ring.open(runner.tid()), 0);
  runner.go();
  eventually([&] { return ring.look() == thread_sight::running; });
  eventually([&] { return look_at_stat(runner.tid()) == thread_sight::running; });
  const std::int64_t used = cpu_time_of(runner.tid());
  eventually([&] { return cpu_time_of(runner.tid()) > used; });
  done.store(true, order::relaxed);
}

// Method: two spinners share a CPU, so one of them is always preempted; looked at until each was so ten times.
TEST(thread_watch, never_takes_a_preempted_thread_for_a_waiting_one) {
  SKIP_WITHOUT_RINGS();
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc to count preemptions";
  atomic<bool> done{false};
  atomic<int> pinned{0};
  const unsigned cpu = first_allowed_cpu();
  const auto spin = [&] {
    pin_to(cpu);
    pinned.fetch_add(1, order::seq_cst);
    while (!done.load(order::relaxed)) cpu_relax();
  };
  subject one{spin};
  subject other{spin};
  std::array<switch_ring, 2> rings;
  const std::array tids{one.tid(), other.tid()};
  for (std::size_t i = 0; i < 2; ++i) ASSERT_EQ(rings[i].open(tids[i]), 0);
  one.go();
  other.go();
  eventually([&] { return pinned.load(order::seq_cst) == 2; });
  const std::array before{preemptions(tids[0]), preemptions(tids[1])};
  std::array<int, 2> wrong{};
  eventually([&] {
    bool enough = true;
    for (std::size_t i = 0; i < 2; ++i) {
      for (int looks = 0; looks < 1'000; ++looks) wrong[i] += rings[i].look() == thread_sight::waiting ? 1 : 0;
      wrong[i] += look_at_stat(tids[i]) == thread_sight::waiting ? 1 : 0;
      enough = enough && preemptions(tids[i]) >= before[i] + 10;
    }
    return enough;
  });
  done.store(true, order::relaxed);
  EXPECT_EQ(wrong[0], 0);
  EXPECT_EQ(wrong[1], 0);
}

TEST(switch_ring, of_a_sleeping_thread_knows_nothing_until_it_moves) {
  SKIP_WITHOUT_RINGS();
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc to see it sleep";
  const pipe_pair pipe;
  subject waiter{[&] { pipe.read_one(); }};
  eventually([&] { return look_at_stat(waiter.tid()) == thread_sight::waiting; });
  switch_ring ring;
  ASSERT_EQ(ring.open(waiter.tid()), 0);
  EXPECT_EQ(ring.look(), thread_sight::unknown);
  waiter.go();
  eventually([&] { return ring.look() == thread_sight::waiting; });  // in the pipe
  pipe.write_one();
}

// Method: more switches than a page has room for.
TEST(switch_ring, goes_on_when_its_page_is_full) {
  SKIP_WITHOUT_RINGS();
  const pipe_pair there;
  const pipe_pair back;
  constexpr int rounds = 10'000;
  subject echo{[&] {
    for (int i = 0; i < rounds; ++i) {
      there.read_one();
      back.write_one();
    }
    there.read_one();
  }};
  switch_ring ring;
  ASSERT_EQ(ring.open(echo.tid()), 0);
  echo.go();
  for (int i = 0; i < rounds; ++i) {
    there.write_one();
    back.read_one();
    // It writes, runs, or waits for the next byte: nothing else, wherever the newest record lies.
    ASSERT_NE(ring.look(), thread_sight::unknown);
  }
  eventually([&] { return ring.look() == thread_sight::waiting; });
  there.write_one();
}

// ---- what it takes ----------------------------------------------------------------------------------------------

TEST(switch_ring, takes_no_descriptor_while_it_is_open) {
  SKIP_WITHOUT_RINGS();
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc to count descriptors";
  const std::size_t before = test::entries_of("/proc/self/fd").size();
  std::vector<switch_ring> rings(20);
  for (switch_ring& ring : rings) ASSERT_EQ(ring.open(thread_id()), 0);
  EXPECT_EQ(test::entries_of("/proc/self/fd").size(), before);
  EXPECT_EQ(mapped_rings().size(), 20U);
}

TEST(switch_ring, leaves_nothing_behind) {
  SKIP_WITHOUT_RINGS();
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc to count descriptors";
  const std::size_t before = test::entries_of("/proc/self/fd").size();
  switch_ring ring;
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_EQ(ring.open(thread_id()), 0) << i;
    if (i % 2 == 0) ring.close();  // else open() does
  }
  EXPECT_EQ(mapped_rings().size(), 1U);
  ring.close();
  EXPECT_FALSE(ring.is_open());
  EXPECT_EQ(ring.look(), thread_sight::unknown);
  EXPECT_EQ(mapped_rings().size(), 0U);
  EXPECT_EQ(test::entries_of("/proc/self/fd").size(), before);
}

TEST(thread_watch, of_a_thread_that_has_ended_is_unknown_and_harmless) {
  subject s{[] {}};
  const std::uint32_t tid = s.tid();
  switch_ring ring;
  const bool was_open = ring.open(tid) == 0;
  s.join();
  eventually([&] { return look_at_stat(tid) == thread_sight::unknown; });  // it goes a moment after it was joined
  eventually([&] { return cpu_time_of(tid) == -ESRCH; });
  static_cast<void>(ring.look());
  EXPECT_EQ(ring.is_open(), was_open);
  if (was_open) {
    EXPECT_EQ(ring.open(tid), -ESRCH);
  }
  EXPECT_FALSE(ring.is_open());
}

// Method: the first thread of a process keeps its number when it ends before the others.
TEST(thread_watch, of_a_first_thread_that_has_ended_is_unknown) {
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc";
  EXPECT_EQ(in_forked_child([](claims&) {
              std::thread{[first = thread_id()] {
                while (look_at_stat(first) != thread_sight::unknown) yield();
                test::end_child(0);
              }}.detach();
              ::syscall(SYS_exit, 1);  // of this thread alone
            }),
            0);
}

// To the kernel, 0 is often the caller.
TEST(thread_watch, of_thread_0_is_nothing) {
  EXPECT_EQ(look_at_stat(0), thread_sight::unknown);
  EXPECT_EQ(cpu_time_of(0), -ESRCH);
  switch_ring ring;
  EXPECT_EQ(ring.open(0), -ESRCH);
  EXPECT_FALSE(ring.is_open());
}

// Method: the child has something of its own where the parent has the ring.
TEST(switch_ring, of_the_parent_is_closed_in_a_forked_child_and_touches_nothing_there) {
  SKIP_WITHOUT_RINGS();
  if (!proc_is_there()) GTEST_SKIP() << "there is no /proc to find the ring";
  switch_ring ring;
  ASSERT_EQ(ring.open(thread_id()), 0);
  const std::vector<std::string> maps = mapped_rings();
  ASSERT_EQ(maps.size(), 1U);
  auto* const place = reinterpret_cast<void*>(std::stoull(maps[0], nullptr, 16));
  EXPECT_EQ(in_forked_child([&](claims& c) {
              c.check(mapped_rings().empty(), "the kernel does not copy rings");
              c.check(!ring.is_open(), "the parent's ring is not open");
              c.check(ring.look() == thread_sight::unknown, "nothing is seen in it");
              constexpr std::size_t bytes = 4'096;
              void* const own = ::mmap(place, bytes, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
              c.check(own == place, "its place is free");
              ring.close();
              *static_cast<volatile char*>(own) = 1;  // a crash, if it was unmapped
              c.check(ring.open(thread_id()) == 0, "one of the child's own can be opened");
              c.check(ring.is_open(), "that is open");
            }),
            0);
  EXPECT_TRUE(ring.is_open());
}

// ---- what works here --------------------------------------------------------------------------------------------

// What is allowed, as an attempt shows; the probe has to agree.
bool rings_are_allowed() {
  switch_ring ring;
  return ring.open(thread_id()) == 0;
}

std::string text_of(const watch_probe& p) {
  std::ostringstream text;
  text << "rings " << p.rings << " (" << p.rings_why << "), stat " << p.stat << " (" << p.stat_why << "), CPU clock "
       << p.cpu_clock << " (" << p.cpu_clock_why << ')';
  return text.str();
}

TEST(thread_watch_probe, finds_what_works_and_says_why_the_rest_does_not) {
  const watch_probe p = probe_thread_watch();
  EXPECT_EQ(p.rings, rings_are_allowed()) << text_of(p);
  EXPECT_EQ(p.stat, proc_is_there()) << text_of(p);
  EXPECT_TRUE(p.cpu_clock) << text_of(p);
  EXPECT_EQ(p.rings_why.empty(), p.rings);
  EXPECT_EQ(p.stat_why.empty(), p.stat);
  EXPECT_EQ(p.cpu_clock_why.empty(), p.cpu_clock);
}

// Method: everybody shares one CPU with six spinners.
TEST(thread_watch_probe, is_right_on_a_busy_machine) {
  const bool expected = rings_are_allowed();
  EXPECT_EQ(in_forked_child([expected](claims& c) {
              pin_to(first_allowed_cpu());
              atomic<bool> done{false};
              std::vector<std::thread> spinners;
              for (int i = 0; i < 6; ++i) {
                spinners.emplace_back([&] {
                  while (!done.load(order::relaxed)) cpu_relax();
                });
              }
              for (int i = 0; i < 3; ++i) {
                const watch_probe p = probe_thread_watch();
                c.check(p.rings == expected && p.stat == proc_is_there() && p.cpu_clock, text_of(p).c_str());
              }
              done.store(true, order::relaxed);
              for (std::thread& t : spinners) t.join();
            }),
            0);
}

// Method: a thread of a strict policy keeps its only CPU from the next one until it waits or yields.
TEST(thread_watch_probe, ends_under_a_strict_scheduling_policy) {
  constexpr int not_allowed = 2;
  const int status = in_forked_child(
      [](claims& c) {
        pin_to(first_allowed_cpu());
        const sched_param lowest{.sched_priority = 1};
        if (::sched_setscheduler(0, SCHED_FIFO, &lowest) != 0) ::_exit(not_allowed);
        const watch_probe p = probe_thread_watch();
        c.check(p.cpu_clock, text_of(p).c_str());
      },
      20);
  if (status == not_allowed) GTEST_SKIP() << "this user may not choose a scheduling policy";
  EXPECT_EQ(status, 0);
}

TEST(thread_watch_probe, leaves_alone_what_is_not_asked_for) {
  const watch_probe p = probe_thread_watch({.rings = false, .stat = false, .cpu_clock = false});
  EXPECT_FALSE(p.rings || p.stat || p.cpu_clock);
  EXPECT_EQ(p.rings_why, "not asked for");
  EXPECT_EQ(p.stat_why, "not asked for");
  EXPECT_EQ(p.cpu_clock_why, "not asked for");
}

// ---- where something is denied ----------------------------------------------------------------------------------

#define IN_SANDBOX(kind, ...)                                                      \
  do {                                                                             \
    const sandboxed s = in_sandbox(sandbox::kind, __VA_ARGS__);                    \
    if (!s.entered) GTEST_SKIP() << "this machine has no such sandbox: " << s.why; \
    EXPECT_EQ(s.status, 0);                                                        \
  } while (false)

// Everything but rings; those as an attempt shows.
void check_all(claims& c) {
  const watch_probe p = probe_thread_watch();
  c.check(p.rings == rings_are_allowed() && p.stat && p.cpu_clock, text_of(p).c_str());
}

void check_no_rings(claims& c, const char* why) {
  const watch_probe p = probe_thread_watch();
  c.check(!p.rings && p.rings_why == why && p.stat && p.cpu_clock, text_of(p).c_str());
}

TEST(thread_watch_probe, as_another_user_finds_what_works) { IN_SANDBOX(other_uid, check_all); }

// Their memory is limited, so this would fail if closing did not give it back.
TEST(switch_ring, of_another_user_gives_its_memory_back) {
  IN_SANDBOX(other_uid, [](claims& c) {
    if (!rings_are_allowed()) return;
    switch_ring ring;
    for (int i = 0; i < 1'000; ++i) c.check(ring.open(thread_id()) == 0, "it can be opened again");
  });
}

TEST(thread_watch_probe, without_permission_finds_the_rest) {
  IN_SANDBOX(perf_eperm, [](claims& c) { check_no_rings(c, "perf_event_open: Operation not permitted"); });
}

TEST(thread_watch_probe, without_the_system_call_finds_the_rest) {
  IN_SANDBOX(perf_enosys, [](claims& c) { check_no_rings(c, "perf_event_open: Function not implemented"); });
}

TEST(thread_watch_probe, without_memory_for_rings_finds_the_rest) {
  IN_SANDBOX(no_memlock, [](claims& c) {
    switch_ring ring;
    c.check(ring.open(thread_id()) == -ENOMEM, "there is no memory for one ring more");
    check_no_rings(c, "no memory may be locked for a ring");
  });
}

TEST(thread_watch_probe, without_cpu_clocks_finds_the_rest) {
  IN_SANDBOX(no_clocks, [](claims& c) {
    const watch_probe p = probe_thread_watch();
    c.check(p.rings == rings_are_allowed() && p.stat == proc_is_there() && !p.cpu_clock, text_of(p).c_str());
    c.check(p.cpu_clock_why == "clock_gettime of a thread's CPU clock: Operation not permitted", text_of(p).c_str());
  });
}

TEST(thread_watch_probe, without_proc_finds_the_rest) {
  IN_SANDBOX(no_proc, [](claims& c) {
    const watch_probe p = probe_thread_watch();
    c.check(p.rings == rings_are_allowed() && !p.stat && !p.stat_why.empty() && p.cpu_clock, text_of(p).c_str());
  });
}

TEST(thread_watch_probe, sees_its_own_process_where_others_are_hidden) { IN_SANDBOX(hidepid, check_all); }

// Method: the filter kills whoever asks for a ring, so who is alive has not asked.
TEST(thread_watch_probe, can_be_kept_from_what_would_kill_the_process) {
  IN_SANDBOX(perf_kills, [](claims& c) {
    const watch_probe p = probe_thread_watch({.rings = false});
    c.check(!p.rings && p.stat && p.cpu_clock, text_of(p).c_str());
  });
  EXPECT_EQ(in_sandbox(sandbox::perf_kills, [](claims&) { probe_thread_watch(); }).status, 1000 + SIGSYS);
}

// Method: the user may have no more threads.
TEST(thread_watch_probe, without_a_thread_looks_at_the_caller) {
  IN_SANDBOX(other_uid, [](claims& c) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    thread t;
    c.check(thread_create(
                t, {}, [](void*) {}, nullptr) == -EAGAIN,
            "threads are refused");
    check_all(c);
  });
}

}  // namespace
}  // namespace wring::base
