// SPDX-License-Identifier: Apache-2.0
// Threads that use wring and end: submitters by the thousand, and destructors of thread-local variables that
// queue and wait, on threads of the user and on workers.
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::counter;
using test::eventually;
using test::gate;
using test::test_runtime;

// Runs what it was given last when its thread ends.
class at_thread_end {
 public:
  at_thread_end() = default;
  ~at_thread_end() {
    if (act_) act_();
  }
  at_thread_end(const at_thread_end&) = delete;
  at_thread_end& operator=(const at_thread_end&) = delete;
  void set(std::function<void()> act) { act_ = std::move(act); }
  // Was there anything to run?
  bool forget() { return std::exchange(act_, {}) != nullptr; }

 private:
  std::function<void()> act_;
};
thread_local at_thread_end ending;
// Destroyed before `ending`, the last one first.
thread_local std::optional<workqueue> own_queue;
thread_local std::optional<work> own_item;

// WQ-40, WQ-84. Method: waves of threads that start together, and end without waiting for what they queued.
TEST(submitters, what_a_thread_has_queued_runs_after_the_thread_has_ended) {
  test_runtime rt;
  workqueue queue{rt, {.name = "orphans"}};
  workqueue ordered{rt, {.name = "ordered orphans", .ordered = true}};
  constexpr int waves = 20;
  constexpr int threads = 50;
  std::atomic<int> closures{0};
  int in_order = 0;  // only the ordered queue's items touch it
  counter runs;
  const auto ran = [&runs] { runs.add(); };
  std::deque<work> items;
  std::deque<delayed_work> delayed;
  for (int i = 0; i < threads; ++i) items.emplace_back(ran);
  for (int i = 0; i < threads; ++i) delayed.emplace_back(ran);
  for (int wave = 1; wave <= waves; ++wave) {
    test::together(threads, [&](int me) {
      const auto own = static_cast<std::size_t>(me);
      EXPECT_TRUE(queue.submit([&] { closures.fetch_add(1); }));
      EXPECT_TRUE(ordered.submit([&] { ++in_order; }));
      EXPECT_TRUE(queue.queue(items[own]));
      EXPECT_TRUE(queue.queue_delayed(delayed[own], 1ms));
    });
    runs.wait_for(wave * 2 * threads);
    for (work& w : items) w.flush();
    for (delayed_work& d : delayed) d.flush();
  }
  queue.flush();
  ordered.flush();
  EXPECT_EQ(closures.load(), waves * threads);
  EXPECT_EQ(in_order, waves * threads);
}

// Method: everything a thread may do with a queue, done where its thread-local variables are destroyed.
TEST(submitters, a_thread_local_destructor_of_a_users_thread_may_queue_and_wait) {
  test_runtime rt;
  workqueue queue{rt, {.name = "last words"}};
  std::atomic<int> runs{0};
  constexpr int threads = 16;
  test::together(threads, [&](int) {
    ending.set([&] {
      std::atomic<int> own{0};
      work item{[&own] { own.fetch_add(1); }};
      delayed_work later{[&own] { own.fetch_add(1); }};
      EXPECT_TRUE(queue.submit([&own] { own.fetch_add(1); }));
      EXPECT_TRUE(queue.queue(item));
      EXPECT_TRUE(queue.queue_delayed(later, 1h));
      EXPECT_TRUE(later.flush());
      EXPECT_TRUE(queue.flush());
      EXPECT_EQ(own.load(), 3);
      EXPECT_EQ(queue.submit_for_result([] { return 42; }).get(), 42);
      task_group group{queue};
      for (int i = 0; i < 10; ++i) group.run([&own] { own.fetch_add(1); });
      group.wait();
      EXPECT_EQ(own.load(), 13);
      EXPECT_FALSE(item.cancel_sync());
      runs.fetch_add(own.load());
    });
  });
  EXPECT_EQ(runs.load(), 13 * threads);
}

// Keeps `count` workers in an item each, which begins with `prepare`; returns when all of them have left it.
void on_each_of(workqueue& queue, int count, const std::function<void()>& prepare) {
  gate released;
  counter entered;
  for (int i = 0; i < count; ++i) {
    queue.submit([&] {
      prepare();
      const blocking_scope scope;
      entered.add();
      released.wait();
    });
  }
  entered.wait_for(count);
  released.open();
  queue.flush();
}

constexpr runtime_options one_worker_stays{
    .cpus = 2, .idle_timeout = 1ms, .idle_workers_kept = 1, .busy_workers_per_idle = 1};

// WQ-102, WQ-106. Method: all workers but one leave; what their destructors wait for needs the last one, who makes
// another worker first, and must not wait for those that leave.
TEST(submitters, a_retired_workers_thread_local_destructor_may_wait_for_work) {
  test_runtime rt{one_worker_stays};
  workqueue queue{rt, {.name = "pensioners"}};
  constexpr int workers = 8;
  gate opened;
  counter left;
  on_each_of(queue, workers, [&] {
    ending.set([&] {
      opened.wait();
      std::atomic<int> runs{0};
      EXPECT_TRUE(queue.submit([&] { runs.fetch_add(1); }));
      EXPECT_TRUE(queue.flush());
      EXPECT_EQ(runs.load(), 1);
      left.add();
    });
  });
  eventually([&] { return rt.pool().workers == 1; });
  // The one that is left takes this itself. It may be none of the eight; then all of these have left.
  queue.submit([&] {
    if (ending.forget()) left.add();
  });
  queue.flush();
  opened.open();
  left.wait_for(workers);
}

// WQ-34. Method: as above, with a queue and an item that belong to the worker's thread.
TEST(submitters, a_workers_thread_may_own_a_queue_and_an_item) {
  test_runtime rt{one_worker_stays};
  workqueue queue{rt, {.name = "owners"}};
  std::atomic<int> runs{0};
  constexpr int workers = 4;
  counter left;
  on_each_of(queue, workers, [&] {
    ending.set([&left] { left.add(); });
    own_queue.emplace(rt, workqueue_options{.name = "of a worker"});
    own_item.emplace([&runs] { runs.fetch_add(1); });
    own_queue->queue(*own_item);
  });
  eventually([&] { return rt.pool().workers == 1; });
  queue.submit([&] {
    own_item.reset();
    own_queue.reset();
    if (ending.forget()) left.add();
  });
  left.wait_for(workers);
  EXPECT_EQ(runs.load(), workers);
}

}  // namespace
}  // namespace wring
