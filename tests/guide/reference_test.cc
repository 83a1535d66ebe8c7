// SPDX-License-Identifier: Apache-2.0
// What pages of docs/reference quote and no example shows: result, stats, version.
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <string>
#include <system_error>
#include <vector>

namespace {

using wring::test::eventually;
using wring::test::gate;
using wring::test::test_runtime;

// WQ-20. Method: options that contradict each other.
TEST(reference, what_cannot_be_made_says_why) {
  test_runtime rt;
  // [result]
  auto made = wring::workqueue::create(rt, {.name = "odd", .max_active = 3, .ordered = true});
  EXPECT_FALSE(made);
  EXPECT_EQ(made.error(), std::errc::invalid_argument);
  EXPECT_THROW(made.value(), std::system_error);

  wring::workqueue queue = wring::workqueue::create(rt, {.name = "fine"}).value();
  // [/result]
  EXPECT_TRUE(queue.submit([] {}));
}

// WQ-137. Method: one item waits inside, so what the snapshot shows is certain.
TEST(reference, stats_show_what_a_queue_and_its_workers_do) {
  test_runtime rt;
  wring::workqueue queue{rt, {.name = "busy"}};
  gate leave;
  queue.submit([&] {
    const wring::blocking_scope scope;
    leave.wait();
  });
  eventually([&] { return rt.pool().blocked == 1; });
  // [stats]
  wring::runtime& all = queue.owner();
  for (const wring::worker_stats& worker : all.stats().workers) {
    if (worker.state == wring::worker_stats::state_kind::blocked) {
      EXPECT_EQ(worker.description, "busy");  // its queue, or what the callback said it is doing
    }
  }
  EXPECT_EQ(queue.stats().active, 1u);
  EXPECT_EQ(all.stats().pools.front().blocked, 1u);
  // [/stats]
  leave.open();
}

// Method: the tests are linked with the library of their own headers.
TEST(reference, the_library_is_the_one_of_the_headers) {
  // [version]
  EXPECT_EQ(wring::version(), std::string{WRING_VERSION_STRING});
  // [/version]
}

// WQ-41, WQ-47, WQ-49. Method: a made-up machine, so the test is the same on any.
TEST(reference, a_per_cpu_queue_runs_things_on_a_certain_cpu) {
  // [per-cpu]
  wring::runtime four{{.topology = "node:2 core:2 pu:1"}};  // the machine's own CPUs, if you leave this out
  wring::workqueue queue{four, {.name = "counters", .per_cpu = true}};
  const std::vector<wring::cpu_info> cpus = four.cpus();

  std::vector<int> counts(cpus.size());                               // a counter for each CPU, without a lock
  queue.run_on_each_cpu([&counts](unsigned cpu) { ++counts[cpu]; });  // once on each, and wait
  for (int i = 0; i < 10; ++i) queue.submit_on(3, [&counts] { ++counts[3]; });
  queue.flush();
  EXPECT_EQ(counts, (std::vector{1, 1, 1, 11}));
  EXPECT_EQ(queue.run_on(2, [&counts] { return counts[2]; }), 1);
  // [/per-cpu]
  EXPECT_THROW(queue.run_on(4, [] {}), std::system_error);
}

// WQ-10, WQ-114, WQ-115.
TEST(reference, a_queue_may_be_kept_to_some_cpus) {
  wring::runtime rt;
  std::atomic<int> runs{0};
  // [attributes]
  wring::workqueue index{rt, {.name = "index", .attributes = {.scope = wring::affinity_scope::cache, .nice = 5}}};
  index.submit([&runs] { ++runs; });                    // on a worker that begins below the caller's cache
  index.set_attributes({.strict = true, .cpus = {0}});  // from now on here only; what is queued ends where it is
  index.submit([&runs] { ++runs; });
  index.flush();  // both
  // [/attributes]
  EXPECT_EQ(runs.load(), 2);
  EXPECT_TRUE(index.attributes().strict);
}

// WQ-47, WQ-48. Method: the same closure, with and without a scope around the call.
TEST(reference, the_system_queue_always_exists) {
  // [system]
  std::atomic<int> runs{0};
  wring::work note{[&runs] { ++runs; }};
  wring::schedule(note);
  note.flush();

  std::latch both{2};
  const auto heavy = [&] { ++runs, both.count_down(); };
  EXPECT_FALSE(wring::execute_in_process_context(heavy));  // has run, here
  {
    const wring::nonblocking_scope paints;                  // this thread must not be held up
    EXPECT_TRUE(wring::execute_in_process_context(heavy));  // runs in a worker
  }
  both.wait();
  EXPECT_EQ(runs, 3);

  wring::delayed_work rare{[&runs] { ++runs; }};
  wring::system_queue(wring::system_kind::power_efficient).queue_delayed(rare, std::chrono::hours{1});
  EXPECT_TRUE(rare.cancel());
  // [/system]
}

// WQ-33.
TEST(reference, constructors_of_old_still_make_queues) {
  // [legacy]
  wring::workqueue log = wring::create_singlethread_workqueue("log");
  std::string text;
  for (const char* const part : {"one", " at", " a time"}) log.submit([&text, part] { text += part; });
  log.flush();
  EXPECT_EQ(text, "one at a time");
  // [/legacy]
}

}  // namespace
