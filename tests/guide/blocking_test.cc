// SPDX-License-Identifier: Apache-2.0
// The claims of docs/guide/03-blocking.md, which quotes the marked parts.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>

namespace {

using wring::test::gate;
using wring::test::test_runtime;

// [read]
char next_byte(int fd) {
  char byte = 0;
  const wring::blocking_scope scope;  // while this function waits, another worker runs
  return ::read(fd, &byte, 1) == 1 ? byte : '\0';
}
// [/read]

// WQ-73. Method: one CPU, no floor; the read ends only if the second item runs while the first is inside it.
TEST(blocking, an_announced_read_does_not_hold_up_the_next_item) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}}};
  wring::workqueue queue{rt, {.name = "pipe"}};
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  char got = 0;
  queue.submit([&] { got = next_byte(pipe[0]); });
  queue.submit([&] { EXPECT_EQ(::write(pipe[1], "x", 1), 1); });
  queue.flush();
  EXPECT_EQ(got, 'x');
  ::close(pipe[0]);
  ::close(pipe[1]);
}

// [nested]
int depth(wring::workqueue& queue, int levels) {
  if (levels == 0) return 0;
  wring::future<int> below = queue.submit_for_result([&queue, levels] { return depth(queue, levels - 1); });
  return 1 + below.get();  // waits for another item of the same queue
}
// [/nested]

// WQ-73, WQ-102. Method: one CPU, no floor, and a chain of waits much longer than that.
TEST(blocking, nested_waits_do_not_deadlock) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}}};
  wring::workqueue queue{rt, {.name = "nested"}};
  EXPECT_EQ(queue.submit_for_result([&] { return depth(queue, 50); }).get(), 50);
}

// WQ-24, WQ-66. Method: groups nest deeper than there are slots. With max_active 1 only the waiters themselves can run
// the children.
TEST(blocking, groups_nest_deeper_than_max_active) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "groups", .max_active = 1}};
  std::atomic<int> leaves{0};
  struct tree {
    static void grow(wring::workqueue& queue, std::atomic<int>& leaves, int levels) {
      if (levels == 0) {
        ++leaves;
        return;
      }
      // [group]
      wring::task_group branches{queue};
      branches.run([&] { grow(queue, leaves, levels - 1); });
      branches.run([&] { grow(queue, leaves, levels - 1); });
      branches.wait();
      // [/group]
    }
  };
  tree::grow(queue, leaves, 8);
  EXPECT_EQ(leaves, 256);
}

// Method: one CPU; the wait is not announced. The test ends because it is seen, or else by the floor.
TEST(blocking, a_wait_that_nobody_announced_is_seen) {
  // [silent]
  test_runtime rt{{.cpus = 1}};
  wring::workqueue queue{rt, {.name = "silent"}};
  gate told;
  queue.submit([&] { told.wait(); });  // no blocking_scope
  queue.submit([&] { told.open(); });
  queue.flush();
  EXPECT_GE(rt.pool().blocks_seen + rt.pool().stalls, 1u);
  // [/silent]
}

// WQ-86. Method: the handler for misuse returns, so the call has to give up.
TEST(blocking, flushing_the_own_queue_is_reported_at_once) {
  test_runtime rt;
  // [misuse]
  wring::workqueue queue{rt, {.name = "mine"}};
  queue.submit([&] {
    EXPECT_FALSE(queue.flush());  // would wait for itself
  });
  queue.flush();
  // [/misuse]
  EXPECT_EQ(rt.misuses.count("mine"), 1u);
  rt.misuses.ignore();
}

// WQ-86. Method: one after the other, so that nothing hangs.
TEST(blocking, queues_that_wait_for_each_other_are_reported) {
  // [circle]
  test_runtime rt{{.cpus = 2, .deadlock_graph = true}};
  wring::workqueue cache{rt, {.name = "cache"}};
  wring::workqueue disk{rt, {.name = "disk"}};
  cache.submit([&] { disk.flush(); });
  cache.flush();
  disk.submit([&] { cache.flush(); });  // reported here, with the place of the other flush
  disk.flush();
  // [/circle]
  EXPECT_EQ(rt.warnings.count("'disk' waits for 'cache'"), 1u);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

}  // namespace
