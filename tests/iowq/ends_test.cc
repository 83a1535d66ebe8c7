// SPDX-License-Identifier: Apache-2.0
// Ends of items of an io_pool: what comes of what they return, what depends on them, and a cancellation of many.
#include "iowq/waits.h"
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <vector>

namespace wring {
namespace {

using test::eventually;
using test::gate;
using test::test_runtime;

// Nobody is looked at: who announces nothing counts as running.
runtime_options announced() { return {.cpus = 4, .detect = detection::announced}; }

// IOWQ-61: without a key a follower runs next, on the same worker; with one it is enqueued, behind what waits already.
TEST(io_ends, go_on_with_what_follows_or_enqueue_what_has_a_key) {
  test_runtime rt{announced()};
  const int key = 0;
  for (const bool has_key : {false, true}) {
    std::vector<int> order;
    gate begin;
    struct {
      gate& begin;
      std::vector<int>& order;
    } its{begin, order};
    io_pool pool{rt, {.name = "p", .bounded = 1}};
    io_task first{{}, [&its] {
                    its.begin.wait();
                    its.order.push_back(1);
                  }};
    io_task follower{{.key = has_key ? &key : nullptr}, [&order] { order.push_back(2); }};
    first.then(follower);
    pool.enqueue(first);
    pool.submit([&order] { order.push_back(3); });
    begin.open();
    follower.wait();
    pool.submit_for_result([] {}).get();
    EXPECT_EQ(order, has_key ? (std::vector<int>{1, 3, 2}) : (std::vector<int>{1, 2, 3}));
    pool.audit();
  }
}

// IOWQ-50, IOWQ-61: a follower of the bucket that its worker has just had does not run in it again before others that
// wait for it; and all of them run alone.
TEST(io_ends, of_a_bucket_give_it_to_who_waits_before_what_follows) {
  test_runtime rt{announced()};
  const int key = 0;
  std::vector<int> order;
  gate begin;
  struct {
    gate& begin;
    std::vector<int>& order;
  } its{begin, order};
  {
    io_pool pool{rt, {.name = "p"}};
    io_task first{{.key = &key}, [&its] {
                    its.begin.wait();
                    its.order.push_back(1);
                  }};
    io_task follower{{.key = &key}, [&order] { order.push_back(4); }};
    first.then(follower);
    pool.enqueue(first);
    eventually([&] { return pool.stats().bounded.started == 1; });
    for (const int i : {2, 3}) {
      pool.submit({.concurrent = true, .key = &key}, [&order, i] { order.push_back(i); });
    }
    begin.open();
    follower.wait();
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

// IOWQ-63: an item that says it has failed, or was cancelled, has run; only what its task was told to start behind it
// takes that to heart.
TEST(io_ends, are_the_same_whatever_an_item_returns) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  for (const long returned : {0L, 5L, -long{EIO}, -long{ECANCELED}, -long{EPERM}}) {
    const io_account_stats before = pool.stats().bounded;
    std::atomic<int> told{0};
    std::atomic<int> wrong{0};
    pool.submit(
        {}, [returned] { return returned; },
        [&](std::error_code e) {
          ++told;
          wrong += e ? 1 : 0;
        });
    io_task task{{}, [returned] { return returned; }};
    EXPECT_TRUE(pool.enqueue(task));
    EXPECT_EQ(pool.submit_for_result([returned] { return returned; }).get(), returned);
    task.wait();
    EXPECT_EQ(task.value(), returned);
    EXPECT_EQ(told.load(), 1);
    EXPECT_EQ(wrong.load(), 0) << "it has run";
    eventually([&] { return pool.stats().bounded.free == 1; });
    const io_account_stats after = pool.stats().bounded;
    EXPECT_EQ(after.started, before.started + 3);
    EXPECT_EQ(after.cancelled, 0U);
    EXPECT_EQ(after.refused, 0U);
  }
  EXPECT_EQ(pool.stats().bounded.workers_most, 1U) << "nor does the worker change";
  EXPECT_EQ(pool.stats().bounded.created.enqueue, 1U);
}

// A pool with one worker of each kind that reads from a pipe, and more items behind these, of which some are meant.
class two_kinds {
 public:
  explicit two_kinds(runtime& rt) : pool{rt, {.name = "p", .bounded = 1, .unbounded = 1}} {
    for (const bool unbounded : {false, true}) {
      pool.submit(
          {.unbounded = unbounded, .tag = &running},
          [this](io_call& call) {
            const test::call c = pipe_.what();
            if (call.system_call(c.number, c.a, c.b, c.c) == -ECANCELED) ++interrupted;
          },
          [this](std::error_code) { ++over; });
    }
    eventually([this] { return pool.stats().bounded.blocked == 1 && pool.stats().unbounded.blocked == 1; });
    for (int i = 0; i < 4; ++i) {
      for (const void* const tag : {&waiting, &others}) {
        pool.submit(
            {.unbounded = i % 2 == 0, .tag = tag}, [this] { ++ran; },
            [this](std::error_code e) {
              failed += e ? 1 : 0;
              ++over;
            });
      }
    }
  }
  void let_go() {
    for (int i = 0; i < 2; ++i) pipe_.write();
    eventually([this] { return over == 10; });
  }

  const int running = 0;
  const int waiting = 0;
  const int others = 0;
  std::atomic<int> interrupted{0};
  std::atomic<int> failed{0};
  std::atomic<int> ran{0};
  std::atomic<int> over{0};

 private:
  test::read_of_a_pipe pipe_;

 public:
  io_pool pool;
};

// IOWQ-80: the first one that waits, of either kind, is failed in the caller, and nothing else.
TEST(io_ends, by_a_cancellation_of_the_first_are_one) {
  test_runtime rt;
  two_kinds its{rt};
  int asked = 0;
  const auto waits = [&](const io_work& item) noexcept {
    ++asked;
    return item.tag() == &its.waiting;
  };
  EXPECT_EQ(its.pool.cancel(waits), io_cancel::done);
  EXPECT_EQ(asked, 1) << "the search ends with it";
  EXPECT_EQ(its.failed.load(), 1) << "when the call returns";
  EXPECT_EQ(its.pool.cancel_tagged(&its.running), io_cancel::running);
  eventually([&] { return its.interrupted == 1; });
  its.let_go();
  EXPECT_EQ(its.interrupted.load(), 1) << "the other one that runs is not told";
  EXPECT_EQ(its.ran.load(), 7);
}

// IOWQ-80: all that wait, of both kinds, and nothing else.
TEST(io_ends, by_a_cancellation_of_all_that_wait_are_of_both_kinds) {
  test_runtime rt;
  two_kinds its{rt};
  EXPECT_EQ(its.pool.cancel_tagged(&its.waiting, io_which::all), io_cancel::done);
  EXPECT_EQ(its.failed.load(), 4);
  EXPECT_EQ(its.pool.stats().bounded.queued, 2U);
  EXPECT_EQ(its.pool.stats().unbounded.queued, 2U);
  EXPECT_EQ(its.pool.cancel_tagged(&its.waiting, io_which::all), io_cancel::not_found);
  EXPECT_EQ(its.interrupted.load(), 0);
  its.let_go();
  EXPECT_EQ(its.ran.load(), 4);
}

// IOWQ-80, IOWQ-82: of some that wait and some that run the answer is that of those that run; all of them are told.
TEST(io_ends, by_a_cancellation_of_all_are_still_to_come_if_one_runs) {
  test_runtime rt;
  two_kinds its{rt};
  EXPECT_EQ(its.pool.cancel([&](const io_work& item) noexcept { return item.tag() != &its.others; }, io_which::all),
            io_cancel::running);
  EXPECT_EQ(its.failed.load(), 4);
  eventually([&] { return its.over == 10; });
  EXPECT_EQ(its.interrupted.load(), 2);
  EXPECT_EQ(its.ran.load(), 4) << "the others go on";
  its.pool.audit();
}

}  // namespace
}  // namespace wring
