// SPDX-License-Identifier: Apache-2.0
// cpu_meter: the CPU time of a queue's callbacks, against what these measure themselves.
//
// Nothing is said about how long anything takes: a callback computes until its thread's CPU clock says so.
#include "base/thread_watch.h"

#include "base/sync.h"
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

namespace wring {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using test::gate;
using test::test_runtime;

nanoseconds of_this_thread() { return nanoseconds{base::cpu_time_of(base::thread_id())}; }

void compute(nanoseconds time) {
  const nanoseconds start = of_this_thread();
  while (of_this_thread() - start < time) {
  }
}

// WQ-137: while a callback runs, and when it has ended; to its own queue and no other.
TEST(cpu_meter, says_what_a_callback_has_used_while_it_runs_and_afterwards) {
  test_runtime rt{{.cpus = 1}};
  workqueue busy{rt, {.name = "busy"}};
  workqueue waiting{rt, {.name = "waiting"}};
  gate opened;
  nanoseconds inside{};
  nanoseconds used{};
  waiting.submit([&] {
    const blocking_scope scope;
    opened.wait();
  });
  busy.submit([&] {
    const nanoseconds start = of_this_thread();
    compute(20ms);
    inside = busy.stats().cpu_time;
    compute(20ms);
    opened.open();
    used = of_this_thread() - start;
  });
  busy.flush();
  waiting.flush();
  const nanoseconds of_busy = busy.stats().cpu_time;
  EXPECT_GE(inside, 20ms);
  EXPECT_GE(of_busy, 40ms);
  EXPECT_GE(of_busy, inside);
  EXPECT_LE(of_busy, used + 10ms) << "and no more than it has used";
  EXPECT_LE(waiting.stats().cpu_time, 5ms);
}

// WQ-137: each is too short to be seen alone, together they are.
TEST(cpu_meter, adds_up_short_callbacks) {
  test_runtime rt{{.cpus = 1}};
  for (const unsigned places : {1u, 1'024u}) {  // led by one worker, and taken one by one
    workqueue queue{rt, {.name = "short", .max_active = places}};
    std::atomic<std::int64_t> used{0};
    for (int i = 0; i < 1'000; ++i) {
      queue.submit([&] {
        const nanoseconds start = of_this_thread();
        compute(30us);
        used += (of_this_thread() - start).count();
      });
    }
    queue.flush();
    // Of each worker an interval may be missing.
    EXPECT_GE(queue.stats().cpu_time, nanoseconds{used.load()} - 5ms) << places;
  }
}

// WQ-137: who sleeps for long is not charged with what others have used in short callbacks between.
TEST(cpu_meter, charges_nobody_with_the_time_of_others) {
  test_runtime rt{{.cpus = 1, .max_workers = 1, .stall_floor = 0ms, .detect = detection::announced}};
  rt.warnings.ignore();  // of the limit
  workqueue computes{rt, {.name = "computes"}};
  workqueue sleeps{rt, {.name = "sleeps"}};
  for (int i = 0; i < 20; ++i) {
    computes.submit([] { compute(500us); });
    computes.flush();
    gate entered;
    gate end;
    sleeps.submit([&] {
      entered.open();
      end.wait();
    });
    entered.wait();
    compute(3ms);
    end.open();
    sleeps.flush();
  }
  EXPECT_GE(computes.stats().cpu_time, 8ms);
  EXPECT_LE(sleeps.stats().cpu_time, 4ms);
}

}  // namespace
}  // namespace wring
