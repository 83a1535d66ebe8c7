// SPDX-License-Identifier: Apache-2.0
// io_pool on real threads: what runs, what blocks, what is cancelled, whose it is, and that nothing is left.
#include "iowq/waits.h"
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::is_root;
using test::make;
using test::test_runtime;

// IOWQ-10: wrong options leave nothing behind.
TEST(io_pool, refuses_wrong_options) {
  test_runtime rt;
  for (const io_pool_options& wrong : {io_pool_options{.bounded = 0},
                                       {.unbounded = 0},
                                       {.bounded = 40'000},
                                       {.queue_size = 0},
                                       {.hard_cap = 0},
                                       {.idle_timeout = 0ms},
                                       {.callbacks = {.do_work = [](io_work&, io_call&, void*) {}}},
                                       {.interrupt_signal = SIGUSR1}}) {
    const auto made = io_pool::create(rt, wrong);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error(), std::errc::invalid_argument);
  }
  eventually([] { return test::threads_named("io-wrk") == 0; });
}

// IOWQ-7, IOWQ-14, IOWQ-33, IOWQ-42, IOWQ-92, IOWQ-120: no thread before the first item, none after the end.
TEST(io_pool, has_threads_from_its_first_item_to_its_end) {
  test_runtime rt;
  {
    io_pool pool{rt, {.name = "p"}};
    EXPECT_EQ(test::threads_named("io-wrk"), 0U);
    EXPECT_EQ(pool.submit_for_result({}, [] { return 7; }).get(), 7);
    EXPECT_EQ(test::threads_named("io-wrk"), 1U);
    pool.audit();
  }
  eventually([] { return test::threads_named("io-wrk") == 0; });
}

// IOWQ-3, IOWQ-4, IOWQ-20, IOWQ-21, IOWQ-23, IOWQ-25, IOWQ-31, IOWQ-111, IOWQ-123: unbounded items that never end fill
// their limit, and bounded ones start all the same. Who runs those does not take one of the others when it is idle.
TEST(io_pool, endless_items_do_not_hold_up_the_others) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  io_pool pool{rt, {.name = "p", .unbounded = 3}};
  std::atomic<int> failed{0};
  constexpr int endless = 1'000;
  for (int i = 0; i < endless; ++i) {
    pool.submit(
        {.unbounded = true}, [&](io_call& call) { make(call, pipe.what()); },
        [&](std::error_code e) { failed += e ? 1 : 0; });
  }
  eventually([&] { return pool.stats().unbounded.blocked == 3; });
  EXPECT_EQ(pool.submit_for_result({}, [] { return 1; }).get(), 1);
  EXPECT_EQ(pool.stats().unbounded.workers_most, 3U);
  pool.exit_start();
  EXPECT_TRUE(pool.end(std::chrono::nanoseconds::max()));
  EXPECT_EQ(failed.load(), endless - 3) << "those that ran were interrupted";
}

// IOWQ-46: 64 items that wait, announced, for a 65th.
TEST(io_pool, items_that_wait_for_one_behind_them_get_it) {
  test_runtime rt;
  gate last;
  {
    io_pool pool{rt, {.name = "p", .bounded = 100}};
    for (int i = 0; i < 64; ++i) {
      pool.submit([&](io_call& call) { call.interruptible([&] { last.wait(); }); });
    }
    pool.submit([&] { last.open(); });
  }
}

// IOWQ-U1: the same without a word: who waits in the kernel is found by looking.
TEST(io_pool, items_that_block_without_saying_so_are_found) {
  test_runtime rt;
  gate last;
  std::atomic<int> ran{0};
  {
    io_pool pool{rt, {.name = "p", .bounded = 100}};
    for (int i = 0; i < 16; ++i) {
      pool.submit([&] {
        last.wait();
        ++ran;
      });
    }
    pool.submit([&] { last.open(); });
  }
  EXPECT_EQ(ran.load(), 16);
}

// IOWQ-72, IOWQ-128: with an identity, without one, and with it again, on one worker.
TEST(io_pool, items_run_as_who_they_say) {
  WRING_NEEDS_ROOT();
  test_runtime rt;
  test::temporary_folder folder;
  folder.write("secret", "x");
  ASSERT_EQ(::chmod(folder.path("secret").c_str(), 0600), 0);
  auto made = identity::make({.user = test::stranger, .group = test::strange_group});
  ASSERT_TRUE(made.has_value());
  const identity stranger = *std::move(made);
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  const auto opens = [&] {
    const int fd = ::open(folder.path("secret").c_str(), O_RDONLY | O_CLOEXEC);
    const int error = fd < 0 ? errno : 0;
    if (fd >= 0) ::close(fd);
    return error;
  };
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(pool.submit_for_result({.as = stranger}, opens).get(), EACCES);
    EXPECT_EQ(pool.submit_for_result({}, opens).get(), 0);
  }
  EXPECT_EQ(pool.stats().bounded.refused, 0U);
}

// IOWQ-41, IOWQ-90: what was left to the owner, who comes to end the pool, is seen to.
TEST(io_pool, of_an_owner_who_makes_its_workers_ends) {
  test_runtime rt;
  gate last;
  {
    io_pool pool{rt, {.name = "p", .creation = io_creation::by_owner}};
    gate began;
    pool.submit([&] {
      began.open();
      const blocking_scope scope;
      last.wait();
    });
    began.wait();
    eventually([&] { return pool.stats().bounded.blocked == 1; });
    std::thread other{[&] { pool.submit([&] { last.open(); }); }};
    other.join();
    EXPECT_EQ(pool.stats().bounded.queued, 1U) << "the owner has not come by";
  }
  EXPECT_TRUE(last.is_open());
}

// IOWQ-U13: who destroys one that still waits for another gets it when it begins, too.
TEST(io_pool, ends_a_task_that_depends_on_one_that_runs) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  io_pool pool{rt, {.name = "p"}};
  gate first_runs;
  gate first_ends;
  struct {
    gate& runs;
    gate& ends;
  } gates{first_runs, first_ends};
  io_task first{{}, [&gates] {
                  gates.runs.open();
                  gates.ends.wait();
                }};
  std::thread opener;
  {
    io_task second{{.unbounded = true}, [&pipe](io_call& call) { return make(call, pipe.what()); }};
    first.then(second);
    pool.enqueue(first);
    first_runs.wait();
    opener = std::thread{[&] { first_ends.open(); }};
  }
  opener.join();
}

// IOWQ-U16: a callable that forks is in no pool in the child, and ends it.
TEST(io_pool, items_that_fork_go_on_in_the_parent_alone) {
  if (!test::can_fork_beside_threads) GTEST_SKIP() << test::cannot_fork;
  test_runtime rt;
  test::read_of_a_pipe pipe;
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  int ran = 0;
  pid_t child = 0;
  pool.submit([&](io_call& call) {
    child = ::fork();
    if (child != 0) return;
    const blocking_scope scope;
    char byte = 0;
    if (call.read(pipe.fd(), &byte, 1) != -EOWNERDEAD || io_call::current() != nullptr) ::_exit(1);
  });
  pool.submit([&] { ++ran; });
  eventually([&] { return pool.stats().bounded.queued == 0 && pool.stats().bounded.free == 1; });
  EXPECT_EQ(test::status_of(child), EXIT_SUCCESS);
  EXPECT_EQ(ran, 1);
}

// IOWQ-U8: no signal, and no byte behind the limit; what is no regular file has none.
TEST(io_pool, writes_no_further_than_the_file_size_of_an_identity) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  result<identity> small = identity::make({.file_size = 10});
  ASSERT_TRUE(small.has_value()) << small.error().message();
  const int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  test::read_of_a_pipe pipe;
  std::vector<long> wrote;
  pool.submit_for_result({.as = *small},
                         [&](io_call& call) {
                           wrote.push_back(call.write(file, "123456", 6));
                           wrote.push_back(call.write(file, "123456", 6));
                           wrote.push_back(call.write(file, "123456", 6));
                           wrote.push_back(call.write(file, "", 0));
                           wrote.push_back(call.pwrite(file, "123456", 6, 8));
                           wrote.push_back(call.pwrite(file, "123456", 6, 10));
                           wrote.push_back(call.pwrite(file, "123456", 6, -1));
                           wrote.push_back(call.write(pipe.other_end(), "123456789012", 12));
                         })
      .get();
  EXPECT_EQ(wrote, (std::vector<long>{6, 4, -EFBIG, 0, 2, -EFBIG, -EINVAL, 12}));
  struct stat after {};
  ASSERT_EQ(::fstat(file, &after), 0);
  EXPECT_EQ(after.st_size, 10);
  ::close(file);
}

// While something waits, a read is tried without announcing it first; it reads the same.
TEST(io_pool, reads_what_is_there_whoever_waits) {
  test_runtime rt;
  const int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::write(file, "123456", 6), 6);
  std::vector<std::pair<long, std::string>> read;
  {
    gate queued;
    io_pool pool{rt, {.name = "p", .bounded = 1}};
    pool.submit([&](io_call& call) {
      queued.wait();
      const auto look = [&](std::size_t bytes, off_t offset, int fd) {
        std::string text(bytes, '-');
        const long n = call.pread(fd, text.data(), bytes, offset);
        read.emplace_back(n, text);
      };
      look(6, 0, file);
      look(4, 1, file);
      look(4, 4, file);
      look(4, 6, file);
      look(4, -2, file);
      look(4, 0, -1);
    });
    pool.submit([] {});
    queued.open();
  }
  EXPECT_EQ(read, (std::vector<std::pair<long, std::string>>{
                      {6, "123456"}, {4, "2345"}, {2, "56--"}, {0, "----"}, {-EINVAL, "----"}, {-EBADF, "----"}}));
  ::close(file);
}

// IOWQ-70, IOWQ-72: who has changed its thread for good runs nothing more there, also if it has nothing to do just
// then; others go on as who they are.
TEST(io_pool, a_worker_that_cannot_come_back_is_replaced) {
  WRING_NEEDS_ROOT();
  test_runtime rt;
  auto made = identity::make({.user = test::stranger, .group = test::strange_group});
  ASSERT_TRUE(made.has_value());
  const identity stranger = *std::move(made);
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  const auto user = [] { return static_cast<long>(::syscall(SYS_setfsuid, -1)); };  // that of files
  for (int round = 0; round < 20; ++round) {
    constexpr long other = 65'000;
    pool.submit_for_result({.as = stranger}, [] { ::syscall(SYS_setresuid, other, other, other); }).get();
    if (round % 2 == 0) eventually([&] { return pool.stats().bounded.workers == 0; });
    EXPECT_EQ(pool.submit_for_result(user).get(), 0);
    EXPECT_EQ(pool.submit_for_result({.as = stranger}, user).get(), static_cast<long>(test::stranger));
  }
  eventually([&] { return pool.stats().bounded.free == 1; });
  pool.audit();
}

// IOWQ-U16: a forked child has no workers, and is told so.
TEST(io_pool, of_the_parent_fails_items_in_a_forked_child) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  pool.submit_for_result({}, [] { return 0; }).get();
  EXPECT_EQ(test::in_forked_child([&](test::claims& claims) {
              int error = 0;
              claims.check(!pool.submit(
                               {}, [] {}, [&](std::error_code e) { error = e.value(); }),
                           "no closure is taken");
              claims.check(error == EOWNERDEAD, "it is told why");
              io_task task{{}, [] {}};
              claims.check(!pool.enqueue(task), "a task is not taken");
              task.wait();
              claims.check(task.value() == -EOWNERDEAD, "it is over");
            }),
            0);
  EXPECT_EQ(pool.submit_for_result({}, [] { return 5; }).get(), 5);
}

// IOWQ-50, IOWQ-51: what has a key runs one after another, and in order.
TEST(io_pool, items_of_a_key_run_in_order_and_alone) {
  test_runtime rt;
  int key = 0;
  std::atomic<int> inside{0};
  std::vector<int> order;
  std::atomic<int> met{0};
  {
    io_pool pool{rt, {.name = "p"}};
    for (int i = 0; i < 1'000; ++i) {
      pool.submit({.concurrent = true, .key = &key}, [&, i] {
        met += inside.fetch_add(1) == 0 ? 0 : 1;
        order.push_back(i);
        inside.fetch_sub(1);
      });
    }
  }
  EXPECT_EQ(met.load(), 0);
  ASSERT_EQ(order.size(), 1'000U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

// IOWQ-61: links run in order; behind one that fails the rest fails, but what runs anyway.
TEST(io_pool, links_follow_each_other) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  std::vector<int> ran;
  io_task first{{}, [&] {
                  ran.push_back(1);
                  return 0;
                }};
  io_task second{{}, [&] {
                   ran.push_back(2);
                   return -EIO;
                 }};
  io_task third{{}, [&] {
                  ran.push_back(3);
                  return 0;
                }};
  io_task fourth{{}, [&] {
                   ran.push_back(4);
                   return 0;
                 }};
  first.then(second).then(third).then_anyway(fourth);
  EXPECT_TRUE(pool.enqueue(first));
  fourth.wait();
  third.wait();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(second.value(), -EIO);
  EXPECT_EQ(third.value(), -ECANCELED);
  EXPECT_EQ(fourth.value(), 0);
}

// IOWQ-20, IOWQ-62, IOWQ-64, IOWQ-90, IOWQ-92: what waits and is bounded runs, what is not is cancelled, and all is
// over when the pool is gone. Closures are freed as they end, which the address sanitizer watches.
TEST(io_pool, ends_with_everything_in_flight) {
  for (int round = 0; round < 200; ++round) {
    test_runtime rt;
    test::read_of_a_pipe pipe;
    std::atomic<int> over{0};
    std::atomic<int> bounded_ran{0};
    {
      io_pool pool{rt, {.name = "p"}};
      for (int i = 0; i < 20; ++i) {
        const bool endless = i % 2 == 0;
        pool.submit(
            {.unbounded = endless},
            [&, endless](io_call& call) {
              if (endless) {
                make(call, pipe.what());
              } else {
                ++bounded_ran;
              }
            },
            [&](std::error_code) { ++over; });
      }
    }
    ASSERT_EQ(over.load(), 20);
    ASSERT_EQ(bounded_ran.load(), 10);
  }
}

// IOWQ-14, IOWQ-U13: a thread's own pool ends with it, and so does what runs there.
TEST(io_pool, of_a_thread_ends_with_it) {
  test_runtime rt;
  const hash_domain domain{rt};
  hash_domain shared = domain;
  test::read_of_a_pipe pipe;
  std::atomic<int> over{0};
  std::thread owner{[&] {
    gate entered;
    io_pool& pool = shared.this_threads_pool();
    EXPECT_EQ(&pool, &shared.this_threads_pool());
    pool.submit(
        {},
        [&](io_call& call) {
          entered.open();
          make(call, pipe.what());
        },
        [&](std::error_code) { ++over; });
    entered.wait();
  }};
  owner.join();
  EXPECT_EQ(over.load(), 1);
  eventually([] { return test::threads_named("io-wrk") == 0; });
}

// IOWQ-4, IOWQ-14, IOWQ-100, IOWQ-U11: set, read back, clamped, remembered for pools to come.
TEST(io_pool, limits_are_set_and_read_back) {
  test_runtime rt;
  hash_domain domain{rt};
  io_pool one{rt, {.name = "one", .bounded = 5, .unbounded = 6, .hard_cap = 50, .domain = &domain}};
  const io_limits before = one.max_workers({.bounded = 7});
  EXPECT_EQ(before.bounded, 5U);
  EXPECT_EQ(before.unbounded, 6U);
  const io_limits now = one.max_workers({.unbounded = 1'000});
  EXPECT_EQ(now.bounded, 7U);
  EXPECT_EQ(one.max_workers({}).unbounded, 50U);
  const io_pool two{rt, {.name = "two", .domain = &domain}};
  EXPECT_EQ(two.stats().bounded.workers_max, 7U);
}

// IOWQ-48, IOWQ-125: nobody stays, the next item gets one again.
TEST(io_pool, leaves_no_thread_behind_when_it_is_told_to_rest) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  pool.submit_for_result({}, [] { return 0; }).get();
  pool.exit_on_idle(true);
  eventually([] { return test::threads_named("io-wrk") == 0; });
  EXPECT_EQ(pool.submit_for_result({}, [] { return 3; }).get(), 3);
}

}  // namespace
}  // namespace wring
