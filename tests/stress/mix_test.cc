// SPDX-License-Identifier: Apache-2.0
// Everything at once: items and delayed items on queues of all kinds, queued, modified, cancelled and flushed
// by several threads, with audits meanwhile (WQ-60, WQ-61, WQ-150..153, WQ-156, WQ-158).
#include "stress/support.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::dice;
using test::rounds;
using test::test_runtime;

// What every item keeps books of. An item stays with one queue, so that its runs may not overlap (WQ-61).
struct account {
  explicit account(workqueue& its_queue) : queue{its_queue} {}
  workqueue& queue;
  std::atomic<int> inside{0};
  std::atomic<std::uint64_t> overlaps{0};
  std::atomic<std::uint64_t> runs{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> cancelled{0};

  template <class Again>
  void run(const Again& again) {
    if (inside.fetch_add(1) != 0) overlaps.fetch_add(1);
    const std::uint64_t run = runs.fetch_add(1);
    if (run % 7 == 3) accepted.fetch_add(again() ? 1 : 0);
    if (run % 11 == 5) {
      const blocking_scope scope;
      std::this_thread::yield();
    }
    if (run % 101 == 7) {
      for (int i = 0; i < 3'000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    inside.fetch_sub(1);
  }
  void expect_balance() const {
    EXPECT_EQ(overlaps.load(), 0u);
    EXPECT_EQ(runs.load() + cancelled.load(), accepted.load());
  }
};

struct plain_item : account {
  using account::account;
  work item{[this](work& self) { run([&] { return queue.queue(self); }); }};
};
struct later_item : account {
  using account::account;
  delayed_work item{[this] { run([&] { return queue.queue_delayed(item, 50us); }); }};
};

void stir(test_runtime& rt) {
  std::deque<workqueue> queues;
  queues.emplace_back(rt, workqueue_options{.name = "plain"});
  queues.emplace_back(rt, workqueue_options{.name = "ordered", .ordered = true});
  queues.emplace_back(rt, workqueue_options{.name = "two places", .max_active = 2});
  queues.emplace_back(rt, workqueue_options{.name = "unmanaged", .max_active = 4, .unmanaged = true});
  std::deque<plain_item> items;
  std::deque<later_item> later;
  for (std::size_t i = 0; i < 12; ++i) {
    items.emplace_back(queues[i % queues.size()]);
    later.emplace_back(queues[i % queues.size()]);
  }
  std::atomic<std::uint64_t> closures_accepted{0};
  std::atomic<std::uint64_t> closures_run{0};

  test::together(5, [&](int me) {
    dice d{me};
    for (int i = rounds(4'000); i > 0; --i) {
      plain_item& p = items[d.roll(12)];
      later_item& l = later[d.roll(12)];
      workqueue& q = queues[d.roll(4)];
      const auto delay = std::chrono::microseconds{d.roll(2'500)};
      switch (d.roll(20)) {
        case 0: p.cancelled.fetch_add(p.item.cancel() ? 1 : 0); break;
        case 1: p.cancelled.fetch_add(p.item.cancel_sync() ? 1 : 0); break;
        case 2: p.item.flush(); break;
        case 3: l.cancelled.fetch_add(l.item.cancel() ? 1 : 0); break;
        case 4: l.cancelled.fetch_add(l.item.cancel_sync() ? 1 : 0); break;
        case 5:
          if (d.roll(4) == 0) l.item.flush();
          break;
        case 6: q.flush(); break;
        case 7: l.accepted.fetch_add(l.queue.queue_delayed(l.item, delay) ? 1 : 0); break;
        case 8: l.accepted.fetch_add(l.queue.queue(l.item) ? 1 : 0); break;
        case 9: {
          // A refused modify() of a cancelled item returns what an accepted one of an idle item does; so it is
          // used only where nobody cancels: on an item of this thread.
          std::atomic<int> runs{0};
          delayed_work mine{[&] { runs.fetch_add(1); }};
          EXPECT_FALSE(q.modify(mine, 1h));
          EXPECT_TRUE(q.modify(mine, d.roll(2) == 0 ? 0us : delay / 10));
          mine.flush();
          mine.cancel_sync();
          EXPECT_EQ(runs.load(), 1);
          break;
        }
        case 10:
        case 11:
        case 12: closures_accepted.fetch_add(q.submit([&] { closures_run.fetch_add(1); }) ? 1 : 0); break;
        case 13:
          if (d.roll(16) == 0) rt->audit();
          break;
        case 14:
          if (d.roll(16) == 0) static_cast<void>(rt->describe());
          static_cast<void>(p.item.running());
          static_cast<void>(q.stats());
          break;
        default: p.accepted.fetch_add(p.queue.queue(p.item) ? 1 : 0); break;
      }
    }
  });
  for (plain_item& p : items) p.cancelled.fetch_add(p.item.cancel_sync() ? 1 : 0);
  for (later_item& l : later) l.cancelled.fetch_add(l.item.cancel_sync() ? 1 : 0);
  for (workqueue& q : queues) q.flush();
  EXPECT_EQ(closures_run.load(), closures_accepted.load());
  for (const plain_item& p : items) p.expect_balance();
  for (const later_item& l : later) l.expect_balance();
  rt->audit();
}

TEST(mix, of_all_operations_keeps_the_books_on_one_cpu) {
  test_runtime rt{{.cpus = 1}};
  stir(rt);
}

TEST(mix, of_all_operations_keeps_the_books_on_four_cpus) {
  test_runtime rt{{.cpus = 4}};
  stir(rt);
}

TEST(mix, of_all_operations_keeps_the_books_while_workers_come_and_go) {
  test_runtime rt{{.cpus = 3, .idle_timeout = 1ms, .stall_floor = 1ms}};
  stir(rt);
}

TEST(mix, of_all_operations_keeps_the_books_with_few_workers) {
  test_runtime rt{{.cpus = 3, .max_workers = 3, .idle_timeout = 1ms, .stall_floor = 1ms}};
  stir(rt);
  rt.warnings.ignore();  // the limit is reached
}

}  // namespace
}  // namespace wring
