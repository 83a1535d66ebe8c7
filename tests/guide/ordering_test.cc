// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/02-ordering.md, which quotes the marked parts.
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using wring::test::gate;
using wring::test::overlap;
using wring::test::test_runtime;
using wring::test::together;

// WQ-66. Method: the first item ends only after the second has.
TEST(ordering, items_start_in_order_and_end_in_any) {
  test_runtime rt;
  gate second_ended;
  std::mutex mu;
  std::string ends;
  const auto note = [&](char c) {
    const std::lock_guard lock{mu};
    ends += c;
  };
  // [ends]
  wring::workqueue queue{rt, {.name = "any order of ends"}};
  queue.submit([&] {
    const wring::blocking_scope scope;
    second_ended.wait();
    note('1');
  });
  queue.submit([&] {
    note('2');
    second_ended.open();
  });
  queue.flush();  // ends is "21"
  // [/ends]
  EXPECT_EQ(ends, "21");
}

// WQ-32. Method: no lock around the log, which the thread sanitizer would want if two items ever met.
TEST(ordering, an_ordered_queue_needs_no_lock) {
  test_runtime rt;
  // [ordered]
  std::vector<int> log;  // touched by this queue's items only
  wring::workqueue writer{rt, {.name = "writer", .ordered = true}};
  for (int i = 0; i < 10'000; ++i) writer.submit([&log, i] { log.push_back(i); });
  writer.flush();
  // [/ordered]
  ASSERT_EQ(log.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(log[static_cast<std::size_t>(i)], i);
}

// WQ-32. Method: each item gives its CPU away while it is inside, so that a second one would come in.
TEST(ordering, an_ordered_queue_runs_one_item_at_a_time_also_when_it_blocks) {
  test_runtime rt;
  wring::workqueue writer{rt, {.name = "writer", .ordered = true}};
  overlap inside;
  for (int i = 0; i < 100; ++i) {
    writer.submit([&inside] {
      inside.enter();
      const wring::blocking_scope scope;
      for (int turn = 0; turn < 100; ++turn) std::this_thread::yield();
      inside.leave();
    });
  }
  writer.flush();
  EXPECT_EQ(inside.most(), 1);
}

// WQ-60, WQ-61. Method: a plain counter; four threads queue one item all the time, and count the answers.
TEST(ordering, an_item_never_runs_twice_at_once_and_once_for_each_true) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "counting"}};
  std::atomic<int> accepted{0};
  // [once]
  int runs = 0;  // no lock: whatever the queue, an item never meets itself
  wring::work count{[&runs] { ++runs; }};
  together(4, [&](int) {
    for (int i = 0; i < 1'000; ++i) accepted += queue.queue(count) ? 1 : 0;
  });
  queue.flush();
  EXPECT_EQ(runs, accepted);  // one run for each call that returned true
  // [/once]
  EXPECT_GE(runs, 1);
}

// WQ-66, WQ-84. Method: the second queue's items come from the first one's callbacks.
TEST(ordering, two_queues_are_flushed_in_the_order_work_flows) {
  test_runtime rt;
  int sum = 0;
  // [pipeline]
  wring::workqueue store{rt, {.name = "store", .ordered = true}};
  wring::workqueue parse{rt, {.name = "parse"}};
  for (int i = 1; i <= 100; ++i) {
    parse.submit([&, i] { store.submit([&sum, i] { sum += i; }); });  // parsed in parallel, stored one by one
  }
  parse.flush();  // whatever was parsed has been handed on
  store.flush();  // and stored
  // [/pipeline]
  EXPECT_EQ(sum, 5'050);
}

// WQ-67. Method: an item that queues itself for ever would keep another one from starting, if it could.
TEST(ordering, an_item_that_queues_itself_goes_to_the_end) {
  test_runtime rt{{.cpus = 1}};
  wring::workqueue queue{rt, {.name = "turns", .ordered = true}};
  std::atomic<bool> other_ran{false};
  wring::work again{[&](wring::work& self) {
    if (!other_ran) queue.queue(self);
  }};
  queue.queue(again);
  queue.submit([&] { other_ran = true; });
  queue.drain();
  EXPECT_TRUE(other_ran);
}

}  // namespace
