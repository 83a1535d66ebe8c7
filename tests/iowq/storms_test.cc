// SPDX-License-Identifier: Apache-2.0
// io_pool in storms: so many items that wait for ever, and so many cancellations, that what is lost once in ten
// thousand times is lost here.
#include "iowq/waits.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>

namespace wring {
namespace {

using test::eventually;
using test::make;
using test::test_runtime;

// IOWQ-20, IOWQ-21, IOWQ-25, IOWQ-82, IOWQ-123, IOWQ-U11: a hundred thousand items that never end fill the cap and not
// more; bounded ones start all the same, and the end is over with all of them.
TEST(storms, a_hundred_thousand_endless_items_fill_the_cap) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  constexpr unsigned endless = 100'000;
  std::atomic<unsigned> failed{0};
  std::atomic<unsigned> interrupted{0};
  unsigned limit = 0;
  {
    io_pool pool{rt, {.name = "p"}};
    limit = pool.stats().unbounded.workers_max;
    EXPECT_LE(limit, 1024U) << "by default";
    for (unsigned i = 0; i < endless; ++i) {
      pool.submit(
          {.unbounded = true}, [&](io_call& call) { interrupted += make(call, pipe.what()) == -ECANCELED ? 1 : 0; },
          [&](std::error_code e) { failed += e ? 1 : 0; });
      if (i % 1024 == 0) rt.goes_on();
    }
    eventually([&] { return pool.stats().unbounded.blocked == limit; });
    const io_pool_stats s = pool.stats();
    EXPECT_EQ(s.unbounded.workers_most, limit);
    EXPECT_EQ(s.unbounded.queued, endless - limit);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit_for_result([] { return 1; }).get(), 1);
    rt.goes_on();
  }
  EXPECT_EQ(interrupted.load(), limit);
  EXPECT_EQ(failed.load(), endless - limit);
}

class cancellations : public testing::TestWithParam<test::kind_of_waiting> {};

// IOWQ-80, IOWQ-82, IOWQ-83, IOWQ-127, IOWQ-U3: ten thousand calls are cancelled at any moment of their lives, and the
// next item of the same worker, which reads what is there, never notices.
TEST_P(cancellations, end_ten_thousand_calls_and_hit_no_other_one) {
  test_runtime rt;
  const std::unique_ptr<test::waiting> endless = GetParam().make();
  test::read_of_a_pipe full;
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  std::minstd_rand random{20'26};
  int disturbed = 0;
  int lost = 0;
  int ran = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::atomic<bool> begun{false};
    long result = 0;
    io_task victim{{.tag = &begun}, [&](io_call& call) {
                     begun.store(true);
                     result = make(call, endless->what());
                   }};
    ASSERT_TRUE(pool.enqueue(victim));
    full.write();
    auto next = pool.submit_for_result({.tag = &full}, [&](io_call& call) { return make(call, full.what()); });
    if (random() % 4 != 0) {
      while (!begun.load()) std::this_thread::yield();
    }
    for (auto spins = random() % 2048; spins != 0; --spins) static_cast<void>(begun.load());
    const io_cancel answer = pool.cancel_tagged(&begun);
    victim.wait();
    lost += answer == io_cancel::not_found ? 1 : 0;
    disturbed += next.get() == 1 ? 0 : 1;
    ran += begun.load() ? 1 : 0;
    if (begun.load()) {
      EXPECT_EQ(answer, io_cancel::running);
      ASSERT_EQ(result, -ECANCELED);
    }
    if (i % 256 == 0) rt.goes_on();
  }
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(disturbed, 0);
  EXPECT_GT(ran, 5'000);
}

INSTANTIATE_TEST_SUITE_P(all, cancellations, testing::ValuesIn(test::kinds),
                         [](const auto& c) { return std::string{c.param.name}; });

}  // namespace
}  // namespace wring
