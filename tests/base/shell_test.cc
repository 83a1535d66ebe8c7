// SPDX-License-Identifier: Apache-2.0
// The shell under the door: clock, futexes, threads and system calls of the real machine.
#include "base/sync.h"

#include "base/crew.h"
#include "base/syscall.h"
#include "support/gate.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace wring::base {
namespace {

TEST(clock, never_goes_back) {
  instant before = clock::now();
  for (int i = 0; i < 100'000; ++i) {
    const instant now = clock::now();
    ASSERT_LE(before, now);
    before = now;
  }
  EXPECT_LT(before, never);
}

TEST(clock, ticks_agree_with_time) {
  const std::uint64_t rate = clock::ticks_per_us();
  ASSERT_GT(rate, 0u);
  const instant start = clock::now();
  const std::uint64_t ticks_start = clock::ticks();
  while ((clock::now() - start).count() < 200'000) {
  }
  EXPECT_GE((clock::ticks() - ticks_start) / rate, 100u) << "200 us were at least half as many by the counter";
}

TEST(clock, instants_are_ordered_and_differences_have_a_sign) {
  const instant a{1'000};
  const instant b = a + std::chrono::microseconds{1};
  EXPECT_EQ(b.ns, 2'000u);
  EXPECT_EQ((b - a).count(), 1'000);
  EXPECT_EQ((a - b).count(), -1'000);
  EXPECT_LT(b, never);
}

TEST(futex, another_value_does_not_wait) {
  atomic<std::uint32_t> word{1};
  EXPECT_EQ(futex_wait(word, 2), -EAGAIN);
  EXPECT_EQ(futex_wait(word, 2, instant{0}), -EAGAIN);
}

TEST(futex, a_deadline_in_the_past_returns_at_once) {
  atomic<std::uint32_t> word{1};
  EXPECT_EQ(futex_wait(word, 1, instant{0}), -ETIMEDOUT);
  EXPECT_EQ(futex_wait(word, 1, clock::now()), -ETIMEDOUT);
}

TEST(futex, a_deadline_does_not_end_the_wait_early) {
  atomic<std::uint32_t> word{1};
  const instant deadline = clock::now() + std::chrono::milliseconds{2};
  int r = 0;
  do r = futex_wait(word, 1, deadline);
  while (r == 0 || r == -EINTR);
  EXPECT_EQ(r, -ETIMEDOUT);
  EXPECT_GE(clock::now(), deadline);
}

TEST(futex, waking_nobody_wakes_nobody) {
  atomic<std::uint32_t> word{1};
  EXPECT_EQ(futex_wake(word, 1), 0);
}

// Method: the waker repeats until the kernel says that it woke the sleeper.
TEST(futex, wake_counts_the_threads_it_woke) {
  atomic<std::uint32_t> word{1};
  int woken = 0;
  test::run_crew<2>([&](std::size_t me) {
    if (me == 0) {
      while (word.load(order::acquire) == 1) futex_wait(word, 1);
    } else {
      while ((woken = futex_wake(word, 1)) == 0) yield();
      word.store(2, order::release);
      futex_wake(word, 1);
    }
  });
  EXPECT_EQ(woken, 1);
}

// Method: store buffering. In each round both threads write their word and read the other's; if both read what
// was there before, the pair of fences did not order them. They start together, by varying distances; on a
// machine so busy that they seldom run at the same time, this finds little.
TEST(fences, light_and_heavy_order_a_store_before_a_load) {
  constexpr int rounds = 20'000;
  alignas(cache_line) atomic<int> x{0};
  alignas(cache_line) atomic<int> y{0};
  alignas(cache_line) atomic<int> gate{0};
  std::array<int, 2> saw{};
  int both_missed = 0;
  const auto meet = [&](int phase) {
    gate.fetch_add(1, order::acq_rel);
    for (int spins = 0; gate.load(order::acquire) < 2 * phase; ++spins) {
      if (spins > 3'000) yield();
    }
  };
  test::run_crew<2>([&](std::size_t me) {
    for (int i = 1; i <= rounds; ++i) {
      meet(2 * i - 1);
      for (int wait = me == 0 ? i % 8 : i / 8 % 8; wait > 0; --wait) static_cast<void>(gate.load(order::relaxed));
      if (me == 0) {
        x.store(i, order::relaxed);
        fence_light();
        saw[0] = y.load(order::relaxed);
      } else {
        y.store(i, order::relaxed);
        fence_heavy();
        saw[1] = x.load(order::relaxed);
      }
      meet(2 * i);
      if (me == 0 && saw[0] != i && saw[1] != i) ++both_missed;
    }
  });
  EXPECT_EQ(both_missed, 0);
}

struct report {
  std::array<char, 16> name{};
  sigset_t blocked{};
  std::uint32_t id = 0;
  stack_bounds stack{};
  std::uintptr_t local = 0;
};

void fill(void* p) {
  report& r = *static_cast<report*>(p);
  ::pthread_getname_np(::pthread_self(), r.name.data(), r.name.size());
  ::pthread_sigmask(SIG_SETMASK, nullptr, &r.blocked);
  r.id = thread_id();
  r.stack = thread_stack();
  r.local = reinterpret_cast<std::uintptr_t>(&p);
}

report report_of(const thread_options& options) {
  report r;
  thread t;
  EXPECT_FALSE(t.joinable());
  EXPECT_EQ(thread_create(t, options, fill, &r), 0);
  EXPECT_TRUE(t.joinable());
  thread_join(t);
  EXPECT_FALSE(t.joinable());
  return r;
}

TEST(thread, runs_under_its_name_cut_to_fifteen_characters) {
  EXPECT_STREQ(report_of({.name = "short"}).name.data(), "short");
  EXPECT_STREQ(report_of({.name = "a-name-that-is-too-long"}).name.data(), "a-name-that-is-");
}

TEST(thread, takes_no_signals_and_leaves_its_creators_mask_alone) {
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const report r = report_of({.name = "mask"});
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(::sigismember(&r.blocked, SIGINT), 1);
  EXPECT_EQ(::sigismember(&r.blocked, SIGTERM), 1);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal));
  }
}

TEST(thread, has_an_id_and_a_stack_of_the_size_asked_for) {
  constexpr std::size_t asked = std::size_t{512} << 10;
  const report r = report_of({.name = "stack", .stack_bytes = asked});
  EXPECT_NE(r.id, 0u);
  EXPECT_NE(r.id, thread_id());
#ifndef __SANITIZE_THREAD__  // which keeps its own state of a thread on that thread's stack
  EXPECT_GE(r.stack.high - r.stack.low, asked);
#endif
  EXPECT_LE(r.stack.high - r.stack.low, 2 * asked) << "the default is 8 MiB; sanitizers add something";
#ifndef __SANITIZE_ADDRESS__  // which may keep locals elsewhere
  EXPECT_GT(r.local, r.stack.low);
  EXPECT_LT(r.local, r.stack.high);
#endif
}

// Method: the thread is held, first in its function and then in the destructor of a thread-local variable.
TEST(thread, a_try_to_join_fails_until_the_threads_own_variables_are_destroyed) {
  struct course {
    test::gate returns;
    test::counter destroying;
    test::gate ends;
  };
  struct held_at_end {
    course* of = nullptr;
    ~held_at_end() {
      of->destroying.add();
      of->ends.wait();
    }
  };
  course c;
  thread t;
  EXPECT_TRUE(thread_try_join(t)) << "there is no thread";
  const auto entry = [](void* p) {
    static thread_local held_at_end held;
    held.of = static_cast<course*>(p);
    held.of->returns.wait();
  };
  ASSERT_EQ(thread_create(t, {.name = "held"}, entry, &c), 0);
  EXPECT_FALSE(thread_try_join(t));
  c.returns.open();
  c.destroying.wait_for(1);
  EXPECT_FALSE(thread_try_join(t));
  EXPECT_TRUE(t.joinable());
  c.ends.open();
  test::eventually([&] { return thread_try_join(t); });
  EXPECT_FALSE(t.joinable());
}

TEST(thread, a_stack_that_cannot_be_had_is_an_error_and_not_an_exception) {
  report r;
  thread t;
  EXPECT_LT(thread_create(t, {.stack_bytes = std::size_t{1} << 60}, fill, &r), 0);
  EXPECT_FALSE(t.joinable());
  EXPECT_EQ(r.id, 0u);
}

TEST(thread_slot, each_thread_and_tag_has_its_own) {
  struct one;
  struct two;
  int mine = 0;
  EXPECT_EQ((thread_slot<one, int>::get()), nullptr);
  thread_slot<one, int>::get() = &mine;
  EXPECT_EQ((thread_slot<two, int>::get()), nullptr);
  test::run_crew<2>([&](std::size_t) {
    int own = 0;
    EXPECT_EQ((thread_slot<one, int>::get()), nullptr);
    thread_slot<one, int>::get() = &own;
    EXPECT_EQ((thread_slot<one, int>::get()), &own);
  });
  EXPECT_EQ((thread_slot<one, int>::get()), &mine);
  thread_slot<one, int>::get() = nullptr;
}

TEST(syscall, knows_the_cpu_and_the_affinity_mask_of_the_calling_thread) {
  const std::vector<unsigned> cpus = syscall::affinity();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  EXPECT_GE(syscall::current_cpu(), 0);
}

// Method: a thread that confines itself must be told by the system that it is confined, and its creator is not.
TEST(syscall, changes_the_affinity_mask_of_the_calling_thread_alone) {
  const std::vector<unsigned> before = syscall::affinity();
  test::run_crew<1>([&](std::size_t) {
    EXPECT_EQ(syscall::set_affinity({}), -EINVAL);
    EXPECT_EQ(syscall::set_affinity(std::array{1u << 20}), -EINVAL) << "no system has that many";
    EXPECT_EQ(syscall::set_affinity(std::array{before.back()}), 0);
    EXPECT_EQ(syscall::affinity(), std::vector{before.back()});
    EXPECT_EQ(static_cast<unsigned>(syscall::current_cpu()), before.back());
  });
  EXPECT_EQ(syscall::affinity(), before);
}

TEST(syscall, changes_the_nice_value_of_the_calling_thread_alone) {
  const int before = ::getpriority(PRIO_PROCESS, 0);
  test::run_crew<1>([](std::size_t) {
    EXPECT_EQ(syscall::set_nice(19), 0);
    EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), 19);
  });
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), before);
}

// Method: files of every size around the limit, and things that are no files. A pipe without a writer must not hold
// the reader up.
TEST(syscall, reads_a_file_up_to_a_limit) {
  const test::temporary_folder folder;
  std::string text = "old";
  for (const std::size_t bytes : {0U, 1U, 4095U, 4096U, 4097U, 9999U, 10'000U}) {
    folder.write("file", std::string(bytes, 'x'));
    EXPECT_EQ(syscall::read_file(folder.path("file").c_str(), 10'000, text), 0);
    EXPECT_EQ(text, std::string(bytes, 'x'));
    EXPECT_EQ(syscall::read_file(folder.path("file").c_str(), 4096, text), bytes > 4096 ? -EFBIG : 0);
    EXPECT_EQ(text.size(), std::min<std::size_t>(bytes, 4096));
  }
  EXPECT_EQ(syscall::read_file(folder.path("gone").c_str(), 10, text), -ENOENT);
  EXPECT_EQ(text, "");
  EXPECT_EQ(syscall::read_file(folder.path("").c_str(), 10, text), -EISDIR);
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(syscall::read_file(folder.path("pipe").c_str(), 10, text), 0);
}

TEST(syscall, names_the_calling_thread) {
  test::run_crew<1>([](std::size_t) {
    EXPECT_EQ(syscall::set_thread_name("named-afterwards"), 0);
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    EXPECT_STREQ(name.data(), "named-afterward");
  });
}

}  // namespace
}  // namespace wring::base
