// SPDX-License-Identifier: Apache-2.0
// Queues that always exist, those of old, and those that are per CPU or not as the process says.
#include "support/gate.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::test_runtime;

constexpr std::array kinds{
    system_kind::percpu,   system_kind::highpri,   system_kind::percpu_long,     system_kind::dfl,
    system_kind::dfl_long, system_kind::freezable, system_kind::power_efficient, system_kind::freezable_power_efficient,
    system_kind::bh,       system_kind::bh_highpri};

bool runs_on_a_bound_worker(workqueue& queue) {
  std::string name;
  work item{[&name] { name = test::own_name(); }};
  queue.queue(item);
  item.flush();
  return !name.starts_with("wring/u");
}

// WQ-36.
TEST(system, queues_exist_for_all_purposes) {
  test_runtime rt{{.cpus = 2, .topology = "pu:2"}};
  std::vector<std::string> names;
  for (const system_kind k : kinds) {
    workqueue& queue = system_queue(k, rt);
    EXPECT_EQ(&queue, &system_queue(k, rt)) << "one for all";
    names.push_back(queue.name());
    EXPECT_EQ(runs_on_a_bound_worker(queue), k != system_kind::dfl && k != system_kind::dfl_long) << queue.name();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"events", "events_highpri", "events_long", "events_unbound",
                                             "events_dfl_long", "events_freezable", "events_power_efficient",
                                             "events_freezable_pwr_efficient", "events_bh", "events_bh_highpri"}));
  EXPECT_EQ(system_queue(system_kind::dfl, rt).stats().max_active, 2048u);
  EXPECT_EQ(&system_queue(rt), &system_queue(system_kind::percpu, rt));
  EXPECT_THROW(system_queue(static_cast<system_kind>(10), rt), std::system_error);
  rt.warnings.ignore();  // CPUs that are not there, and priority
}

// WQ-36: two freezable ones take part, the others do not.
TEST(system, queues_that_are_freezable_freeze) {
  test_runtime rt{{.cpus = 2, .topology = "pu:2"}};
  for (const system_kind k : kinds) system_queue(k, rt);
  ASSERT_TRUE(rt->freeze_begin());
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<work>> frozen;
  for (const system_kind k : kinds) {
    auto item = std::make_unique<work>([&ran] { ran.fetch_add(1); });
    system_queue(k, rt).queue(*item);
    if (k == system_kind::freezable || k == system_kind::freezable_power_efficient) {
      frozen.push_back(std::move(item));
    } else {
      item->flush();
    }
  }
  EXPECT_EQ(ran.load(), 8);
  for (const auto& item : frozen) EXPECT_TRUE(item->pending());
  rt->thaw();
  for (const auto& item : frozen) item->flush();
  EXPECT_EQ(ran.load(), 10);
  rt.warnings.ignore();
}

// WQ-36: it may wait for anybody.
TEST(system, a_flush_of_a_queue_for_all_is_warned_about_once) {
  test_runtime rt{{.cpus = 1}};
  workqueue own{rt, {.name = "own"}};
  own.flush();
  EXPECT_EQ(rt.warnings.count("everybody's items"), 0u);
  for (int i = 0; i < 2; ++i) system_queue(system_kind::dfl, rt).flush();
  EXPECT_EQ(rt.warnings.count("flush() of the system queue 'events_unbound' waits for everybody's items"), 1u);
  rt.warnings.ignore();
}

// WQ-29: as the process says. The system's word for CPUs without a tick: tests/base/cpus_test.cc.
TEST(system, a_power_efficient_queue_is_bound_unless_the_process_saves_power) {
  for (const bool saves : {false, true}) {
    test_runtime rt{{.cpus = 2, .topology = "pu:2", .power_efficient = saves}};
    {
      workqueue queue{rt, {.name = "either", .power_efficient = true}};
      EXPECT_EQ(runs_on_a_bound_worker(queue), !saves);
    }
    EXPECT_EQ(workqueue::create(rt, {.ordered = true, .power_efficient = true}).error(), std::errc::invalid_argument);
    EXPECT_EQ(workqueue::create(rt, {.attributes = {.nice = 1}, .power_efficient = true}).error(),
              std::errc::invalid_argument);
    rt.warnings.ignore();
  }
}

// WQ-33.
TEST(system, constructors_of_old_make_queues_of_one_item_with_a_rescuer) {
  test_runtime rt{{.cpus = 2, .topology = "pu:2", .stack_bytes = std::size_t{256} << 10}};
  {
    workqueue bound = create_workqueue("bound", rt);
    workqueue freezable = create_freezable_workqueue("freezable", rt);
    workqueue single = create_singlethread_workqueue("single", rt);
    for (workqueue* const q : {&bound, &freezable, &single}) {
      EXPECT_EQ(q->stats().max_active, 1u) << q->name();
      EXPECT_EQ(test::threads_named(("wring/R-" + q->name()).substr(0, 15)), 1u) << q->name();
    }
    EXPECT_TRUE(runs_on_a_bound_worker(bound));
    EXPECT_FALSE(runs_on_a_bound_worker(freezable));
    EXPECT_FALSE(single.set_max_active(2)) << "ordered";
    EXPECT_TRUE(freezable.set_max_active(2));
    ASSERT_TRUE(rt->freeze_begin());
    std::atomic<int> ran{0};
    work frozen{[&ran] { ran.fetch_add(1); }};
    freezable.queue(frozen);
    for (workqueue* const q : {&bound, &single}) {
      q->submit([&ran] { ran.fetch_add(1); });
      q->flush();
    }
    EXPECT_EQ(ran.load(), 2);
    EXPECT_TRUE(frozen.pending());
    rt->thaw();
    frozen.flush();
  }
  rt.warnings.ignore();
}

}  // namespace
}  // namespace wring
