// SPDX-License-Identifier: Apache-2.0
// Queues come and go (WQ-5, WQ-34, WQ-35, WQ-46).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace wring {
namespace {

using test::eventually;
using test::gate;
using test::plug;
using test::test_runtime;

// WQ-34.
TEST(lifetime, destroying_a_queue_runs_what_is_queued_and_what_that_queues) {
  test_runtime rt;
  std::atomic<int> runs{0};
  work chained{[&] { runs.fetch_add(1); }};
  {
    workqueue queue{rt, {.name = "short"}};
    for (int i = 0; i < 100; ++i) queue.submit([&] { runs.fetch_add(1); });
    queue.submit([&] { EXPECT_TRUE(queue.queue(chained)); });
  }
  EXPECT_EQ(runs.load(), 101);
}

// WQ-35, WQ-46. Method: the destructor waits for a plug while this thread's calls are refused.
TEST(lifetime, a_queue_under_destruction_refuses_items_from_outside_with_one_warning) {
  test_runtime rt;
  std::optional<workqueue> queue{std::in_place, rt, workqueue_options{.name = "dying"}};
  workqueue& same = *queue;  // its destructor waits, so it can be called meanwhile
  std::atomic<bool> ran{false};
  work w{[] {}};
  struct {
    gate entered;
    gate release;
  } s;
  same.submit([&] {
    s.entered.open();
    {
      const blocking_scope scope;
      s.release.wait();
    }
    EXPECT_TRUE(same.submit([&] { ran.store(true); })) << "chained items are accepted";
  });
  s.entered.wait();
  std::thread destroyer{[&] { queue.reset(); }};
  eventually([&] {
    if (!same.queue(w)) return !w.pending();
    w.cancel_sync();
    return false;
  });
  EXPECT_FALSE(same.queue(w));
  EXPECT_FALSE(same.submit([] { ADD_FAILURE(); }));
  s.release.open();
  destroyer.join();
  EXPECT_TRUE(ran.load());
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("dying"), std::string::npos);
}

TEST(lifetime, a_moved_from_queue_can_be_destroyed_and_the_new_one_used) {
  test_runtime rt;
  std::atomic<int> runs{0};
  std::optional<workqueue> first{std::in_place, rt, workqueue_options{.name = "mover"}};
  {
    plug stopper{*first};
    first->submit([&] { runs.fetch_add(1); });
    workqueue second{std::move(*first)};
    first.reset();
    EXPECT_EQ(second.name(), "mover");
    EXPECT_EQ(&second.owner(), &static_cast<runtime&>(rt));
    second.submit([&] { runs.fetch_add(1); });
    stopper.pull();
    second.flush();
    EXPECT_EQ(runs.load(), 2);
  }
}

// WQ-34. Method: cancelled items leave a queue scheduled with nothing to start; destruction copes.
TEST(lifetime, a_queue_whose_items_were_all_cancelled_is_destroyed) {
  test_runtime rt{{.cpus = 2}};
  for (int i = 0; i < 3'000; ++i) {
    work w{[] {}};
    workqueue queue{rt, {.name = "cancelled"}};
    queue.queue(w);
    w.cancel();
  }
}

// Memory of queues is recycled. Method: queues of all kinds come and go in four threads at once.
TEST(lifetime, queues_of_all_kinds_come_and_go_in_many_threads) {
  test_runtime rt;
  std::atomic<int> runs{0};
  test::together(4, [&](int me) {
    for (int i = 0; i < 300; ++i) {
      workqueue queue{
          rt, {.name = "brief", .max_active = i % 3 == 0 ? 1u : 4u, .ordered = false, .unmanaged = (i + me) % 2 == 0}};
      work w{[&] { runs.fetch_add(1); }};
      queue.queue(w);
      for (int k = 0; k < 3; ++k) {
        queue.submit([&] {
          const blocking_scope scope;
          runs.fetch_add(1);
        });
      }
      if (i % 2 == 0) queue.flush();
      w.flush();
    }
  });
  EXPECT_EQ(runs.load(), 4 * 300 * 4);
}

// An item may move from queue to queue as they come and go (WQ-34): its place word is outdated, and harmless.
TEST(lifetime, an_item_outlives_the_queues_it_was_on) {
  test_runtime rt;
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  delayed_work d{[&] { runs.fetch_add(1); }};
  for (int i = 0; i < 200; ++i) {
    workqueue queue{rt, {.name = "passing", .unmanaged = i % 2 == 0}};
    EXPECT_TRUE(queue.queue(w));
    EXPECT_TRUE(queue.queue(d));
  }
  EXPECT_EQ(runs.load(), 400);
  EXPECT_FALSE(w.pending());
  EXPECT_FALSE(w.running());
  EXPECT_FALSE(w.flush());
  EXPECT_FALSE(w.cancel_sync());
}

// WQ-143.
TEST(lifetime, describe_names_every_queue_with_what_waits_there) {
  test_runtime rt;
  workqueue one{rt, {.name = "alpha", .max_active = 1}};
  workqueue two{rt, {.name = "beta"}};
  plug stopper{one};
  for (int i = 0; i < 3; ++i) one.submit([] {});
  const std::string text = rt->describe();
  EXPECT_NE(text.find("'alpha': 1 of max_active 1 in progress, 3 waiting"), std::string::npos) << text;
  EXPECT_NE(text.find("'beta'"), std::string::npos) << text;
  EXPECT_NE(text.find("wring/u0:"), std::string::npos) << text;
}

// WQ-143. Method: items of two kinds wait in a known order; a flush waits behind the last.
TEST(lifetime, describe_tells_what_runs_for_how_long_and_what_waits_in_which_order) {
  test_runtime rt;
  workqueue queue{rt, {.name = "alpha", .max_active = 2}};
  plug one{queue};
  plug two{queue};
  const auto common = [] {};
  std::array<work, 3> first{common, common, common};
  work last{[] {}};
  for (work& w : first) queue.queue(w);
  queue.queue(last);
  std::thread flusher{[&] { last.flush(); }};
  eventually([&] { return rt->describe().find("  waits: 1 * flush of the item before\n") != std::string::npos; });
  const std::string text = rt->describe();
  const std::size_t at = text.find("queue 'alpha': 2 of max_active 2 in progress, 4 waiting");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string part = text.substr(at);
  const std::size_t runs = part.find("  runs ");
  ASSERT_NE(runs, std::string::npos) << text;
  EXPECT_NE(part.find(" in wring/u0:", runs), std::string::npos) << text;
  EXPECT_NE(part.find(" for 0.", runs), std::string::npos) << text;
  const std::size_t three = part.find("  waits: 3 * ");
  const std::size_t then = part.find("  waits: 1 * ");
  ASSERT_NE(three, std::string::npos) << text;
  EXPECT_LT(three, then) << text;
  EXPECT_LT(then, part.find("flush of the item before")) << text;
  EXPECT_EQ(part.find("queue '", 1), std::string::npos) << "one queue";
  one.pull();
  two.pull();
  flusher.join();
  queue.flush();
  eventually([&] { return rt->describe().find("  idle, the next one first: ") != std::string::npos; });
}

TEST(lifetime, version_of_library_and_headers_agree) { EXPECT_STREQ(version(), WRING_VERSION_STRING); }

}  // namespace
}  // namespace wring
