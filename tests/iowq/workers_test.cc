// SPDX-License-Identifier: Apache-2.0
// Workers of an io_pool: what is told of them, when they leave, and what a lower limit does.
#include "support/gate.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::test_runtime;

// So many items that wait, announced, until it opens: so many workers.
void fill(io_pool& pool, unsigned items, gate& open) {
  for (unsigned i = 0; i < items; ++i) {
    pool.submit([&open] {
      const blocking_scope scope;
      open.wait();
    });
  }
  eventually([&] { return pool.stats().bounded.blocked == items; });
}

// IOWQ-5, IOWQ-111: which thread, of which kind, in what state, in which item.
TEST(io_workers, are_told_of) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  const int tag = 0;
  gate end;
  std::atomic<std::uint32_t> thread{0};
  pool.submit({.unbounded = true, .tag = &tag}, [&] {
    thread = static_cast<std::uint32_t>(::gettid());
    const blocking_scope scope;
    end.wait();
  });
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  const io_pool_stats busy = pool.stats();
  ASSERT_EQ(busy.workers.size(), 1U);
  EXPECT_EQ(busy.workers[0].thread_id, thread);
  EXPECT_EQ(busy.workers[0].state, io_worker_stats::state_kind::blocked);
  EXPECT_EQ(busy.workers[0].tag, &tag);
  EXPECT_FALSE(busy.workers[0].bounded);
  EXPECT_GT(busy.workers[0].running, 0ns);
  end.open();
  eventually([&] { return pool.stats().workers[0].state == io_worker_stats::state_kind::free; });
  EXPECT_EQ(pool.stats().workers[0].tag, nullptr);
}

// IOWQ-44, IOWQ-47, IOWQ-125: who has been idle for long leaves, but for the last one.
TEST(io_workers, leave_when_they_are_idle_but_for_one) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p", .idle_timeout = 1ms}};
  gate end;
  fill(pool, 8, end);
  EXPECT_EQ(test::threads_named("io-wrk"), 8U);
  end.open();
  eventually([&] { return pool.stats().bounded.workers == 1; });
  eventually([&] { return test::threads_named("io-wrk") == 1; });
  pool.submit_for_result([] {}).get();
  EXPECT_EQ(
      pool.stats().bounded.created.enqueue + pool.stats().bounded.created.note + pool.stats().bounded.created.retry, 8U)
      << "the one that is left runs it";
}

// IOWQ-25, IOWQ-49: a lower limit ends nobody; only idleness does.
TEST(io_workers, stay_when_the_limit_is_lowered) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p", .idle_timeout = 1h}};
  gate end;
  fill(pool, 4, end);
  pool.max_workers({.bounded = 1});
  EXPECT_EQ(pool.stats().bounded.workers, 4U);
  end.open();
  eventually([&] { return pool.stats().bounded.free == 4; });
  EXPECT_EQ(pool.stats().bounded.workers, 4U);
  EXPECT_EQ(pool.stats().bounded.workers_max, 1U);
  pool.audit();
}

}  // namespace
}  // namespace wring
