// SPDX-License-Identifier: Apache-2.0
// Rescuers: queues whose items finish though their pools have no thread for them and get none.
//
// The pools of most tests have one or two workers at most, and these are blocked by another queue's items; whatever
// runs then is run by a rescuer. Threads refused by the system itself: tests/sched/refusal_test.cc.
#include "support/forked.h"
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
using test::threads_named;

// All workers of a pool wait inside items of this queue until it is let go.
class crowd {
 public:
  crowd(runtime& rt, unsigned workers, workqueue_options o = {.name = "crowd"}) : queue_{rt, o} {
    for (unsigned i = 0; i < workers; ++i) {
      queue_.submit([this] {
        const blocking_scope scope;
        inside_.add();
        gate_.wait();
      });
    }
    eventually([&] { return inside_.value() == static_cast<int>(workers); });
  }
  void disperse() {
    gate_.open();
    queue_.flush();
  }

 private:
  gate gate_;
  counter inside_;
  workqueue queue_;
};

runtime_options with_workers(unsigned most) {
  return {.cpus = 2,
          .max_workers = most,
          .stack_bytes = std::size_t{256} << 10,
          .mayday_initial = 1ms,
          .mayday_interval = 2ms};
}

// WQ-28, WQ-34, WQ-108.
TEST(rescuer, exists_as_long_as_its_queue) {
  test_runtime rt{with_workers(4)};
  {
    const workqueue queue{rt, {.name = "log", .rescuer = true}};
    EXPECT_EQ(threads_named("wring/R-log"), 1u);
    const workqueue plain{rt, {.name = "plain"}};
    EXPECT_EQ(threads_named("wring/R-"), 1u) << "only who asks has one";
  }
  eventually([] { return threads_named("wring/R-") == 0; });  // the kernel forgets them a little later
}

// WQ-9, WQ-69, WQ-112, WQ-157: at the hard limit, with everything blocked.
TEST(rescuer, runs_its_queue_while_all_workers_are_blocked) {
  test_runtime rt{with_workers(2)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  workqueue plain{rt, {.name = "plain"}};
  crowd all{rt, 2};
  std::atomic<int> ran{0};
  std::atomic<int> by_rescuer{0};
  std::atomic<int> other{0};
  plain.submit([&] { other.fetch_add(1); });
  for (int i = 0; i < 1'000; ++i) {
    queue.submit([&] {
      ran.fetch_add(1);
      by_rescuer.fetch_add(current_is_rescuer() ? 1 : 0);
    });
  }
  queue.flush();
  EXPECT_EQ(ran.load(), 1'000);
  EXPECT_EQ(by_rescuer.load(), 1'000);
  EXPECT_EQ(other.load(), 0) << "it serves its own queue only";
  EXPECT_FALSE(current_is_rescuer());
  EXPECT_EQ(queue.stats().rescued, 1'000u);
  EXPECT_GE(queue.stats().maydays, 1u);
  EXPECT_EQ(plain.stats().maydays, 0u);
  all.disperse();
  plain.flush();
  EXPECT_EQ(other.load(), 1);
  rt.warnings.ignore();  // of the limit
}

// WQ-111: it leaves when the pool has workers again.
TEST(rescuer, leaves_the_work_to_workers_that_are_there) {
  test_runtime rt{with_workers(2)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  std::atomic<int> by_rescuer{0};
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 20; ++i) queue.submit([&] { by_rescuer.fetch_add(current_is_rescuer() ? 1 : 0); });
    queue.flush();
  }
  EXPECT_EQ(queue.stats().rescued, static_cast<std::uint64_t>(by_rescuer.load()));
  crowd all{rt, 2};
  queue.submit([] {});
  queue.flush();
  EXPECT_GE(queue.stats().rescued, 1u);
  all.disperse();
  // Its seat is empty now: what is queued goes to workers.
  eventually([&] {
    bool helped = false;
    queue.submit([&] { helped = current_is_rescuer(); });
    queue.flush();
    return !helped;
  });
  rt.warnings.ignore();
}

// WQ-32, WQ-111, WQ-154: in order.
TEST(rescuer, keeps_an_ordered_queue_in_order) {
  test_runtime rt{with_workers(1)};
  workqueue queue{rt, {.name = "steps", .ordered = true, .rescuer = true}};
  crowd all{rt, 1};
  std::vector<int> order;
  for (int i = 0; i < 500; ++i) queue.submit([&order, i] { order.push_back(i); });
  queue.flush();
  ASSERT_EQ(order.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  all.disperse();
  rt.warnings.ignore();
}

// WQ-61: an item that is queued while a rescuer runs it goes on there, though workers are free to take it. Method: the
// item queues itself first thing; the workers come back in the middle of its runs.
TEST(rescuer, never_runs_an_item_beside_a_worker) {
  test_runtime rt{with_workers(2)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  struct {
    workqueue& queue;
    test::overlap inside{};
    std::atomic<int> by_rescuer{0};
    std::atomic<bool> stop{false};
    std::atomic<int> runs{0};
  } s{.queue = queue};
  work again{[&s](work& self) {
    s.inside.enter();
    if (!s.stop.load()) s.queue.queue(self);
    for (int i = 0; i < 2'000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    s.by_rescuer.fetch_add(current_is_rescuer() ? 1 : 0);
    s.runs.fetch_add(1);
    s.inside.leave();
  }};
  crowd all{rt, 2};
  queue.queue(again);
  eventually([&] { return s.by_rescuer.load() >= 50; });
  all.disperse();
  const int then = s.runs.load();
  eventually([&] { return s.runs.load() >= then + 500; });
  s.stop.store(true);
  again.cancel_sync();
  EXPECT_EQ(s.inside.most(), 1);
  rt.warnings.ignore();
}

// WQ-112: a callback that waits for its group there finds the children, however many items came after them.
TEST(rescuer, runs_the_children_that_its_callback_waits_for) {
  test_runtime rt{with_workers(1)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  crowd all{rt, 1};
  std::atomic<int> others{0};
  bool child_ran = false;
  queue.submit([&] {
    task_group group{queue};
    group.run([&] { child_ran = true; });
    for (int i = 0; i < 300; ++i) queue.submit([&] { others.fetch_add(1); });
    group.wait();
    EXPECT_TRUE(child_ran);
    EXPECT_EQ(others.load(), 0) << "only its own";
  });
  queue.flush();
  queue.flush();
  EXPECT_EQ(others.load(), 300);
  all.disperse();
  rt.warnings.ignore();
}

// WQ-111: of a divided queue it serves the pools in turn, 16 items each. Method: the only worker of each CPU is
// blocked; the first item that it runs waits until both pools have called.
TEST(rescuer, serves_the_pools_of_a_divided_queue_in_turn) {
  runtime_options o = with_workers(1);
  o.topology = "pu:2";
  test_runtime rt{o};
  {
    workqueue queue{rt, {.name = "both", .per_cpu = true, .rescuer = true}};
    workqueue blockers{rt, {.name = "blockers", .per_cpu = true}};
    gate opened;
    counter entered;
    std::array<std::unique_ptr<work>, 2> block;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      block[cpu] = std::make_unique<work>([&] {
        const blocking_scope scope;
        entered.add();
        opened.wait();
      });
      blockers.queue_on(cpu, *block[cpu]);
    }
    eventually([&] { return entered.value() == 2; });
    struct {
      workqueue& queue;
      std::vector<unsigned> order{};
      unsigned alone = 0;  // the most of one CPU in a row, while the other one's wait
    } s{.queue = queue};
    std::vector<std::unique_ptr<work>> items;
    for (unsigned i = 0; i < 200; ++i) {
      const unsigned cpu = i % 2;
      items.push_back(std::make_unique<work>([&s, cpu] {
        if (s.order.empty())
          eventually([&s] { return s.queue.stats().maydays >= 3; });  // one calls again once it is served
        s.order.push_back(cpu);
      }));
      queue.queue_on(cpu, *items.back());
    }
    queue.flush();
    ASSERT_EQ(s.order.size(), 200u);
    unsigned in_a_row = 0;
    std::array<unsigned, 2> left{100, 100};
    for (std::size_t i = 0; i < s.order.size(); ++i) {
      in_a_row = i > 0 && s.order[i] == s.order[i - 1] ? in_a_row + 1 : 1;
      --left[s.order[i]];
      if (left[1 - s.order[i]] > 0) s.alone = std::max(s.alone, in_a_row);
    }
    EXPECT_LE(s.alone, 16u);
    EXPECT_EQ(queue.stats().rescued, 200u);
    opened.open();
    blockers.flush();
  }
  rt.warnings.ignore();
}

// WQ-112: what blocks the workers may wait for an item of a queue with a rescuer.
TEST(rescuer, ends_what_all_workers_wait_for) {
  test_runtime rt{with_workers(1)};
  workqueue queue{rt, {.name = "needed", .rescuer = true}};
  workqueue waiting{rt, {.name = "waiting"}};
  std::atomic<int> ran{0};
  for (int i = 0; i < 16; ++i) {
    waiting.submit([&] {
      work needed{[&] { ran.fetch_add(1); }};
      queue.queue(needed);
      needed.flush();
    });
  }
  waiting.flush();
  EXPECT_EQ(ran.load(), 16);
  EXPECT_EQ(queue.stats().rescued, 16u);
  rt.warnings.ignore();
}

// WQ-88, WQ-96: cancel_sync and flush of an item that a rescuer runs wait for it; a stuck one is told by its name.
TEST(rescuer, is_waited_for_and_named_in_reports) {
  test_runtime rt{with_workers(1)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  crowd all{rt, 1};
  gate entered;
  gate go_on;
  std::atomic<bool> ended{false};
  work item{[&] {
    entered.open();
    go_on.wait();
    ended.store(true);
  }};
  queue.queue(item);
  entered.wait();
  const cancel_result late = item.cancel_sync_for(1ms);
  EXPECT_FALSE(late.ended);
  const std::optional<stuck_callback> where = item.find_run();
  ASSERT_TRUE(where.has_value());
  EXPECT_EQ(where->worker, "wring/R-vital");
  EXPECT_GT(where->thread_id, 0u);
  bool listed = false;
  for (const worker_stats& w : rt->stats().workers) listed = listed || w.name == "wring/R-vital";
  EXPECT_TRUE(listed) << "while it helps";
  go_on.open();
  item.cancel_sync();
  EXPECT_TRUE(ended.load());
  all.disperse();
  rt.warnings.ignore();
}

// WQ-34: the end of a queue, and a shutdown, drain it first, with the help of its rescuer.
TEST(rescuer, drains_its_queue_at_the_end) {
  test_runtime rt{with_workers(1)};
  auto queue = std::make_unique<workqueue>(rt, workqueue_options{.name = "brief", .rescuer = true});
  crowd all{rt, 1};
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) queue->submit([&] { ran.fetch_add(1); });
  queue.reset();
  EXPECT_EQ(ran.load(), 100);
  eventually([] { return threads_named("wring/R-") == 0; });  // the kernel forgets them a little later
  all.disperse();
  workqueue last{rt, {.name = "last", .rescuer = true}};
  EXPECT_TRUE(rt->shutdown(1h).complete);
  eventually([] { return threads_named("wring/R-") == 0; });  // a runtime that was shut down has no threads
  rt.warnings.ignore();
}

// WQ-20: there is a bound, and nothing is left of the queue beyond it.
TEST(rescuer, more_than_256_in_one_pool_are_refused) {
  test_runtime rt{{.cpus = 1, .stack_bytes = std::size_t{64} << 10}};
  std::vector<workqueue> queues;
  queues.reserve(256);
  for (int i = 0; i < 256; ++i) {
    queues.emplace_back(rt, workqueue_options{.name = "many", .rescuer = true});
    rt.goes_on();
  }
  try {
    const workqueue more{rt, {.name = "more", .rescuer = true}};
    ADD_FAILURE() << "the 257th was made";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
    EXPECT_NE(std::string{e.what()}.find("256"), std::string::npos) << e.what();
  }
  queues.pop_back();
  const workqueue again{rt, {.name = "again", .rescuer = true}};  // its place is free now
  EXPECT_EQ(threads_named("wring/R-many"), 255u);
}

// WQ-28, WQ-U12: a forked process has rescuers, too, when they are called for.
TEST(rescuer, is_called_in_a_forked_process) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers cannot fork a process whose threads allocate";
#endif
  test_runtime rt{with_workers(1)};
  workqueue queue{rt, {.name = "vital", .rescuer = true}};
  EXPECT_EQ(test::in_forked_child([&](test::claims& c) {
              c.check(threads_named("wring/R-") == 0, "threads are not inherited");
              crowd all{rt, 1};
              std::atomic<int> by_rescuer{0};
              for (int i = 0; i < 100; ++i) queue.submit([&] { by_rescuer.fetch_add(current_is_rescuer() ? 1 : 0); });
              queue.flush();
              c.check(by_rescuer.load() == 100, "all were rescued");
              all.disperse();
              rt.warnings.ignore();
            }),
            0);
  std::atomic<int> ran{0};
  crowd all{rt, 1};
  queue.submit([&] { ran.fetch_add(1); });
  queue.flush();
  EXPECT_EQ(ran.load(), 1) << "the parent's is there still";
  all.disperse();
  rt.warnings.ignore();
}

}  // namespace
}  // namespace wring
