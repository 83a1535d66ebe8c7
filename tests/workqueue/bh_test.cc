// SPDX-License-Identifier: Apache-2.0
// Queues whose callbacks run to completion (WQ-31): on each CPU one thread for all of them, one callback at a time.
#include "support/gate.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::eventually;
using test::gate;
using test::test_runtime;

runtime_options two_cpus() { return {.cpus = 2, .topology = "pu:2"}; }

// WQ-11, WQ-31, WQ-108: two queues, many items, one thread on each CPU, in the order of each queue.
TEST(bh, callbacks_of_a_cpu_run_one_at_a_time_in_queue_order) {
  test_runtime rt{two_cpus()};
  {
    std::array<workqueue, 2> queues{workqueue{rt, {.name = "one", .bh = true}},
                                    workqueue{rt, {.name = "two", .bh = true}}};
    struct on_cpu {
      test::overlap inside;
      std::array<std::vector<int>, 2> order;
      std::set<std::string> names;
    };
    std::array<on_cpu, 2> seen;
    for (int i = 0; i < 2'000; ++i) {
      const unsigned cpu = static_cast<unsigned>(i / 2) % 2;
      const auto queue = static_cast<std::size_t>(i % 2);
      queues[queue].submit_on(cpu, [&, i, cpu, queue] {
        on_cpu& here = seen[cpu];
        here.inside.enter();
        here.order[queue].push_back(i);
        if (i < 100) here.names.insert(test::own_name());
        here.inside.leave();
      });
    }
    for (workqueue& q : queues) q.flush();
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      EXPECT_EQ(seen[cpu].inside.most(), 1);
      EXPECT_EQ(seen[cpu].names, (std::set{"wring/" + std::to_string(cpu) + ":0B"}));
      for (const std::vector<int>& order : seen[cpu].order) {
        EXPECT_EQ(order.size(), 500u);
        EXPECT_TRUE(std::ranges::is_sorted(order));
      }
    }
  }
  rt.warnings.ignore();  // CPUs that are not there
}

// WQ-31: those of high priority have threads of their own. Method: a callback of each waits until both are inside.
TEST(bh, high_priority_is_not_held_up_by_the_rest) {
  test_runtime rt{two_cpus()};
  {
    workqueue plain{rt, {.name = "plain", .bh = true}};
    workqueue high{rt, {.name = "high", .high_priority = true, .bh = true}};
    counter inside;
    for (workqueue* const q : {&plain, &high}) {
      q->submit_on(0, [&] {
        inside.add();
        inside.wait_for(2);
      });
    }
    plain.flush();
    high.flush();
  }
  rt.warnings.ignore();
}

// WQ-31, WQ-67: an item that queues itself again does not keep others from running.
TEST(bh, an_item_that_queues_itself_again_lets_others_run) {
  test_runtime rt{two_cpus()};
  {
    workqueue queue{rt, {.name = "again", .bh = true}};
    workqueue other{rt, {.name = "other", .bh = true}};
    struct {
      workqueue& queue;
      std::atomic<bool> stop{false};
    } s{.queue = queue};
    work again{[&s](work& self) {
      if (!s.stop.load()) s.queue.queue_on(0, self);
    }};
    queue.queue_on(0, again);
    gate ran;
    other.submit_on(0, [&ran] { ran.open(); });
    ran.wait();
    s.stop.store(true);
    again.cancel_sync();
  }
  rt.warnings.ignore();
}

// WQ-31: what blocks is told, each way of it; and the next one does not start meanwhile.
TEST(bh, a_callback_that_blocks_is_misuse) {
  test_runtime rt{two_cpus()};
  {
    workqueue queue{rt, {.name = "quick", .bh = true}};
    workqueue elsewhere{rt, {.name = "elsewhere"}};
    queue.submit_on(1, [] { const blocking_scope scope; });
    queue.flush();
    EXPECT_EQ(rt.misuses.count("a callback of the bh queue 'quick' blocks, and with it all bh items of CPU 1"), 1u);
    gate opened;
    work slow{[&] { opened.wait(); }};
    elsewhere.queue(slow);
    std::atomic<bool> second_ran{false};
    counter waits;
    queue.submit_on(1, [&] {
      waits.add();
      slow.flush();
      EXPECT_FALSE(second_ran.load());
    });
    queue.submit_on(1, [&] { second_ran.store(true); });
    waits.wait_for(1);
    eventually([&] { return rt.misuses.count("'quick' blocks") == 2; });
    opened.open();
    queue.flush();
    EXPECT_TRUE(second_ran.load());
    rt.misuses.ignore();
  }
  rt.warnings.ignore();
}

// WQ-31, WQ-127, WQ-20: what cannot go with it.
TEST(bh, only_high_priority_may_come_with_it) {
  test_runtime rt{two_cpus()};
  for (const workqueue_options& o :
       {workqueue_options{.max_active = 1, .bh = true}, workqueue_options{.ordered = true, .bh = true},
        workqueue_options{.unmanaged = true, .bh = true}, workqueue_options{.attributes = {.nice = 1}, .bh = true},
        workqueue_options{.bh = true, .power_efficient = true}, workqueue_options{.bh = true, .freezable = true},
        workqueue_options{.bh = true, .cpu_intensive = true}, workqueue_options{.bh = true, .rescuer = true}}) {
    EXPECT_EQ(workqueue::create(rt, o).error(), std::errc::invalid_argument);
  }
  {
    workqueue queue{rt, {.name = "quick", .per_cpu = true, .high_priority = true, .bh = true}};
    EXPECT_FALSE(queue.set_max_active(3));
    EXPECT_EQ(rt.warnings.count("'quick' is bh, it has no max_active"), 1u);
  }
  rt.warnings.ignore();
}

}  // namespace
}  // namespace wring
