// SPDX-License-Identifier: Apache-2.0
// runtimes: options, the CPUs planned for, coming and going, the default one.
#include <wring/runtime.h>

#include "base/cpus.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::plug;
using test::report_log;
using test::test_runtime;

TEST(runtime, options_out_of_range_are_refused) {
  const std::array<runtime_options, 6> bad{
      runtime_options{.cpus = 4'097},         runtime_options{.max_workers = 0},
      runtime_options{.stack_bytes = 4'096},  runtime_options{.idle_timeout = 0ms},
      runtime_options{.creation_retry = 0ms}, runtime_options{.stall_floor = -1ms}};
  for (const runtime_options& o : bad) {
    const auto refused = runtime::create(o);
    EXPECT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), std::errc::invalid_argument);
    EXPECT_THROW(runtime{o}, std::system_error);
  }
  EXPECT_EQ(test::threads_named("wring/"), 0u);
}

TEST(runtime, options_at_the_end_of_their_range_are_accepted) {
  const std::array<runtime_options, 6> good{
      runtime_options{.cpus = 4'096},           runtime_options{.max_workers = 1},
      runtime_options{.stack_bytes = 64 << 10}, runtime_options{.idle_timeout = 1ms},
      runtime_options{.creation_retry = 1ms},   runtime_options{.stall_floor = 0ms}};
  for (const runtime_options& o : good) EXPECT_TRUE(runtime::create(o).has_value());
}

class environment {
 public:
  explicit environment(const char* value) { ::setenv("WRING_CPUS", value, 1); }
  ~environment() { ::unsetenv("WRING_CPUS"); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
};

// Of mask and quota the lesser.
unsigned cpus_of_the_machine() { return base::plan_cpus(nullptr).count; }

TEST(runtime, plans_for_what_mask_and_quota_allow_unless_told_otherwise) {
  {
    test_runtime rt{runtime_options{}};
    EXPECT_EQ(rt->stats().cpus, cpus_of_the_machine());
    EXPECT_EQ(rt.pool().target, cpus_of_the_machine());
  }
  {
    const environment three{"3"};
    test_runtime rt{runtime_options{}};
    EXPECT_EQ(rt->stats().cpus, 3u);
    test_runtime explicitly{{.cpus = 5}};
    EXPECT_EQ(explicitly->stats().cpus, 5u) << "the program's own number comes first";
  }
  {
    const environment empty{""};
    test_runtime rt{runtime_options{}};
    EXPECT_EQ(rt->stats().cpus, cpus_of_the_machine());
  }
}

TEST(runtime, an_unusable_wring_cpus_is_a_warning_and_the_machine_counts) {
  for (const char* text : {"0", "-1", "4097", "two", "2x", "1.5", "99999999999999999999", " 2"}) {
    const environment bad{text};
    test_runtime rt{runtime_options{}};
    EXPECT_EQ(rt->stats().cpus, cpus_of_the_machine()) << text;
    const auto warnings = rt.warnings.take();
    ASSERT_EQ(warnings.size(), 1u) << text;
    EXPECT_NE(warnings[0].find(std::string{"WRING_CPUS="} + text), std::string::npos) << warnings[0];
    EXPECT_EQ(rt->stats().warnings, 1u);
  }
}

// Method: threads and descriptors of the process are counted in /proc before and after.
TEST(runtime, many_runtimes_come_and_go_and_leave_nothing_behind) {
  const std::size_t files = test::entries_of("/proc/self/fd").size();
  for (int i = 0; i < 150; ++i) {
    runtime rt{{.cpus = 1u + static_cast<unsigned>(i) % 3}};
    if (i % 3 == 0) continue;
    workqueue queue{rt, {.name = "brief", .unmanaged = i % 2 == 0}};
    std::atomic<int> runs{0};
    for (int k = 0; k < 10; ++k) {
      queue.submit([&] {
        const blocking_scope scope;
        runs.fetch_add(1);
      });
    }
    delayed_work later{[&] { runs.fetch_add(1); }};
    queue.queue_delayed(later, 1h);
    queue.drain();
    ASSERT_EQ(runs.load(), 10);
  }
  eventually([] { return test::threads_named("wring/") == 0; });
  EXPECT_EQ(test::entries_of("/proc/self/fd").size(), files);
}

TEST(runtime, several_runtimes_live_side_by_side) {
  test_runtime one{{.cpus = 1}};
  test_runtime two{{.cpus = 1}};
  workqueue first{one, {.name = "first"}};
  workqueue second{two, {.name = "second"}};
  std::atomic<int> runs{0};
  first.submit([&] {
    second.submit([&] { runs.fetch_add(1); });
    second.flush();
    task_group over_there{second};
    over_there.run([&] { runs.fetch_add(1); });
    over_there.wait();
    runs.fetch_add(second.submit_for_result([] { return 1; }).get());
  });
  first.flush();
  EXPECT_EQ(runs.load(), 3);
  EXPECT_EQ(first.stats().items_started, 1u);
}

TEST(runtime, a_moved_runtime_keeps_its_queues) {
  runtime first{{.cpus = 1}};
  auto queue = std::make_unique<workqueue>(first, workqueue_options{.name = "moved"});
  runtime second{std::move(first)};
  std::atomic<int> runs{0};
  work w{[&] { runs.fetch_add(1); }};
  queue->queue(w);
  queue->submit([&] { runs.fetch_add(1); });
  queue->flush();
  EXPECT_EQ(runs.load(), 2);
  w.cancel_sync();
  queue.reset();
}

TEST(runtime, statistics_count_items_wakeups_and_threads) {
  test_runtime rt;
  workqueue queue{rt, {.name = "counted"}};
  for (int i = 0; i < 100; ++i) queue.submit([] {});
  queue.flush();
  eventually([&] { return rt.pool().idle == rt.pool().workers; });
  const pool_stats s = rt.pool();
  EXPECT_EQ(s.items_started, 100u);
  EXPECT_GE(s.wakeups, 1u);
  EXPECT_GE(s.workers_created, 2u);
  EXPECT_EQ(s.running, 0u);
  EXPECT_EQ(s.creation_failures, 0u);
  EXPECT_EQ(s.workers, rt->stats().workers.size());
}

// The default runtime. Method: one test, because there is one per process: options count until it exists.
TEST(runtime, the_default_one_takes_its_options_until_first_use) {
  EXPECT_TRUE(runtime::configure_default({.cpus = 2}));
  EXPECT_TRUE(runtime::configure_default({.cpus = 3})) << "not made yet";
  EXPECT_EQ(test::threads_named("wring/"), 0u);
  workqueue queue{{.name = "default"}};
  EXPECT_EQ(&queue.owner(), &runtime::default_instance());
  EXPECT_EQ(queue.owner().stats().cpus, 3u);
  EXPECT_FALSE(runtime::configure_default({.cpus = 4}));
  EXPECT_EQ(runtime::default_instance().stats().cpus, 3u);
  queue.submit([] {});
  queue.flush();
}

// WQ-79, WQ-80, WQ-135, WQ-136. Method: the only worker is stuck, which nobody minds before the threshold is lowered.
TEST(runtime, thresholds_may_change_while_it_lives) {
  test_runtime rt{{.cpus = 1, .max_workers = 1, .stall_floor = 0ms, .panic_on_stall = 3}};
  workqueue queue{rt, {.name = "queue"}};
  plug stuck{queue};
  std::atomic<bool> ran{false};
  queue.submit([&] { ran.store(true); });
  runtime_thresholds t = rt->thresholds();
  EXPECT_EQ(t.watchdog_threshold, 30s);
  EXPECT_EQ(t.cpu_intensive_threshold, 10ms);
  EXPECT_EQ(t.cpu_intensive_warning_threshold, 4u);
  EXPECT_EQ(t.panic_on_stall, 3u);
  EXPECT_EQ(t.panic_on_stall_time, 0ms);
  EXPECT_EQ(rt.warnings.count("has started nothing for"), 0u);

  t.watchdog_threshold = 1ms;
  rt->set_thresholds(t);
  test::eventually([&] { return rt.misuses.count("has started nothing for") != 0; });
  EXPECT_EQ(rt.warnings.count("has started nothing for"), 2u) << "the third one ends patience";

  const runtime_thresholds before = rt->thresholds();
  for (const runtime_thresholds& wrong : {runtime_thresholds{.cpu_intensive_threshold = -1us,
                                         .cpu_intensive_warning_threshold = 9,
                                         .watchdog_threshold = 5s,
                                         .panic_on_stall = 0,
                                         .panic_on_stall_time = 0ms},
                                          runtime_thresholds{.cpu_intensive_threshold = 1us,
                                          .cpu_intensive_warning_threshold = 9,
                                          .watchdog_threshold = -1ms,
                                          .panic_on_stall = 0,
                                          .panic_on_stall_time = 0ms},
                                          runtime_thresholds{.cpu_intensive_threshold = 1us,
                                          .cpu_intensive_warning_threshold = 9,
                                          .watchdog_threshold = 5s,
                                          .panic_on_stall = 0,
                                          .panic_on_stall_time = -1ms}}) {
    EXPECT_THROW(rt->set_thresholds(wrong), std::system_error);
    EXPECT_EQ(rt->thresholds().watchdog_threshold, before.watchdog_threshold) << "nothing has changed";
    EXPECT_EQ(rt->thresholds().cpu_intensive_warning_threshold, before.cpu_intensive_warning_threshold);
  }
  stuck.pull();
  queue.flush();
  EXPECT_TRUE(ran.load());
  rt.warnings.ignore();
  rt.misuses.ignore();
}

}  // namespace
}  // namespace wring
