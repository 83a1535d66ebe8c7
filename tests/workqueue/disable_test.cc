// SPDX-License-Identifier: Apache-2.0
// Items that may not be queued for a while (WQ-40, WQ-52, WQ-98, WQ-156).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::plug;
using test::test_runtime;

// WQ-98: depth counts; nothing queues the item by itself when it reaches 0.
TEST(disable, refuses_every_queue_call_until_it_is_undone_as_often) {
  test_runtime rt;
  workqueue queue{rt, {.name = "disabled"}};
  std::atomic<int> runs{0};
  delayed_work d{[&] { runs.fetch_add(1); }};
  work w{[&] { runs.fetch_add(1); }};
  EXPECT_FALSE(w.disable()) << "it was idle";
  EXPECT_FALSE(w.disable());
  EXPECT_FALSE(d.disable());
  EXPECT_TRUE(w.disabled());
  EXPECT_TRUE(d.disabled());
  EXPECT_FALSE(queue.queue(w));
  EXPECT_FALSE(queue.queue_on(0, w));
  EXPECT_FALSE(queue.queue_delayed(d, 0ns));
  EXPECT_FALSE(queue.queue_delayed(d, 1h));
  EXPECT_FALSE(queue.modify(d, 0ns)) << "it only cancels";
  EXPECT_FALSE(w.pending());
  EXPECT_FALSE(d.pending());
  EXPECT_FALSE(w.enable()) << "one is left";
  EXPECT_FALSE(queue.queue(w));
  EXPECT_TRUE(w.enable());
  EXPECT_TRUE(d.enable());
  queue.flush();
  EXPECT_EQ(runs.load(), 0);
  EXPECT_TRUE(queue.queue(w));
  EXPECT_TRUE(queue.queue_delayed(d, 0ns));
  queue.flush();
  EXPECT_EQ(runs.load(), 2);
}

// WQ-98.
TEST(disable, takes_back_what_is_pending) {
  test_runtime rt;
  workqueue queue{rt, {.name = "taken", .max_active = 1}};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  delayed_work d{[&] { runs.fetch_add(1); }};
  {
    plug stopper{queue};
    EXPECT_TRUE(queue.queue(w));
    EXPECT_TRUE(queue.queue_delayed(d, 1h));
    EXPECT_TRUE(w.disable());
    EXPECT_TRUE(d.disable_sync());
    EXPECT_FALSE(w.disable()) << "not pending any more";
  }
  queue.flush();
  EXPECT_EQ(runs.load(), 0);
}

// WQ-156. Method: the item queues itself for ever; after disable_sync() nothing of it is left.
TEST(disable, sync_waits_for_the_running_callback_which_cannot_go_on) {
  test_runtime rt;
  workqueue queue{rt, {.name = "sync"}};
  struct {
    workqueue& queue;
    std::atomic<bool> inside{false};
    std::atomic<int> runs{0};
  } s{queue};
  for (int round = 0; round < 200; ++round) {
    work w{[&s](work& self) {
      s.inside.store(true);
      s.runs.fetch_add(1);
      s.inside.store(false);
      s.queue.queue(self);
    }};
    const int before = s.runs.load();
    queue.queue(w);
    eventually([&] { return s.runs.load() != before; });
    w.disable_sync();
    EXPECT_FALSE(s.inside.load());
    EXPECT_FALSE(w.pending());
    EXPECT_FALSE(w.running());
    const int then = s.runs.load();
    queue.flush();
    EXPECT_EQ(s.runs.load(), then);
    EXPECT_FALSE(queue.queue(w));
  }
}

// WQ-98, WQ-96.
TEST(disable, and_cancel_sync_do_not_undo_each_other) {
  test_runtime rt;
  workqueue queue{rt, {.name = "both", .max_active = 1}};
  work w{[] {}};
  w.disable();
  EXPECT_FALSE(w.cancel_sync());
  EXPECT_FALSE(queue.queue(w));
  EXPECT_TRUE(w.enable());
  const plug stopper{queue};
  EXPECT_TRUE(queue.queue(w));
  EXPECT_TRUE(w.cancel_sync());
  EXPECT_FALSE(w.disabled());
}

// WQ-98: underflow and overflow of the 16 bits.
TEST(disable, beyond_its_bounds_warns_and_changes_nothing) {
  test_runtime rt;
  workqueue queue{rt, {.name = "bounds"}};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  EXPECT_TRUE(queue.queue(w));
  queue.flush();
  EXPECT_FALSE(w.enable());
  auto lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("not disabled"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("'bounds'"), std::string::npos) << lines[0];
  EXPECT_TRUE(queue.queue(w)) << "the refused call has not changed the depth";
  queue.flush();
  for (int i = 0; i < 65'535; ++i) w.disable();
  EXPECT_TRUE(rt.warnings.take().empty());
  w.disable();
  lines = rt.warnings.take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("65,535"), std::string::npos) << lines[0];
  for (int i = 0; i < 65'534; ++i) EXPECT_FALSE(w.enable());
  EXPECT_FALSE(queue.queue(w));
  EXPECT_TRUE(w.enable());
  EXPECT_TRUE(queue.queue(w));
  queue.flush();
  EXPECT_EQ(runs.load(), 3);
}

// WQ-98.
TEST(disable, from_its_own_callback_keeps_it_from_queueing_itself) {
  test_runtime rt;
  workqueue queue{rt, {.name = "own"}};
  std::atomic<int> refused{0};
  work w{[&](work& self) {
    self.disable();
    refused += queue.queue(self) ? 0 : 1;
    EXPECT_FALSE(self.disable_sync()) << "it would wait for itself";
  }};
  queue.queue(w);
  queue.flush();
  EXPECT_EQ(refused.load(), 1);
  EXPECT_EQ(rt.misuses.take().size(), 1u);
  EXPECT_TRUE(w.enable()) << "the misuse has not counted";
}

}  // namespace
}  // namespace wring
