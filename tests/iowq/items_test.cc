// SPDX-License-Identifier: Apache-2.0
// Items of an io_pool: the caller's own nodes and what their callbacks are told, keys, and the order in which they
// start.
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

namespace wring {
namespace {

using test::eventually;
using test::gate;
using test::test_runtime;

// Nobody is looked at: who announces nothing counts as running.
runtime_options announced() { return {.cpus = 4, .detect = detection::announced}; }

// An item that is inside until it is let go, announced as blocking or not.
class occupant {
 public:
  occupant(io_pool& pool, const io_item_options& options, bool says_so) {
    pool.submit(options, [its = gates_, says_so] {
      its->inside.open();
      if (says_so) {
        const blocking_scope scope;
        its->end.wait();
      } else {
        its->end.wait();
      }
    });
    gates_->inside.wait();
  }
  void let_go() { gates_->end.open(); }

 private:
  struct gates {
    gate inside;
    gate end;
  };
  std::shared_ptr<gates> gates_ = std::make_shared<gates>();  // also the item's, which may end later
};

// The caller's own nodes, and what their pool's callbacks were told of them.
struct node : io_work {
  using io_work::io_work;
  int refusal = 1;  // none yet
  int freed = 0;
  std::thread::id by;
  node* then = nullptr;
};

io_callbacks callbacks_of_nodes() {
  return {.do_work =
              [](io_work& item, io_call& call, void*) {
                auto& n = static_cast<node&>(item);
                n.refusal = call.refusal();
                n.by = std::this_thread::get_id();
              },
          .free_work = [](io_work& item, void* freed) -> io_work* {
            auto& n = static_cast<node&>(item);
            ++n.freed;
            node* const next = n.then;
            static_cast<std::atomic<int>*>(freed)->fetch_add(1);
            return next;
          }};
}

class io_nodes : public testing::Test {
 protected:
  test_runtime rt_;
  std::atomic<int> freed_{0};
  io_pool make_pool() {
    io_callbacks all = callbacks_of_nodes();
    all.context = &freed_;
    return io_pool{rt_, {.name = "nodes", .callbacks = all}};
  }
};

// IOWQ-1, IOWQ-2: each is told once, by a worker; one that is cancelled before is failed by its caller.
TEST_F(io_nodes, are_run_once_or_failed_once) {
  io_pool pool = make_pool();
  node runs;
  node cancelled;
  cancelled.cancel_before_enqueue();
  EXPECT_TRUE(pool.enqueue(runs));
  EXPECT_FALSE(pool.enqueue(cancelled));
  EXPECT_EQ(cancelled.refusal, -ECANCELED);
  EXPECT_EQ(cancelled.by, std::this_thread::get_id());
  eventually([&] { return freed_ == 2; });
  EXPECT_EQ(runs.refusal, 0);
  EXPECT_NE(runs.by, std::this_thread::get_id());
  EXPECT_EQ(runs.freed, 1);
  EXPECT_EQ(cancelled.freed, 1);
}

// IOWQ-61: what free_work returns runs behind it, by the same worker.
TEST_F(io_nodes, that_depend_on_others_run_by_the_same_worker) {
  io_pool pool = make_pool();
  node first;
  node second;
  node third;
  first.then = &second;
  second.then = &third;
  pool.enqueue(first);
  eventually([&] { return freed_ == 3; });
  EXPECT_EQ(second.by, first.by);
  EXPECT_EQ(third.by, first.by);
}

// IOWQ-56: one with a key waits for its bucket as if it had been enqueued.
TEST_F(io_nodes, that_depend_on_others_and_have_a_key_wait_for_it) {
  io_pool pool = make_pool();
  const hash_domain domain = pool.domain();
  io_pool others{rt_, {.name = "others", .domain = &domain}};
  const int key = 0;
  occupant busy{others, {.key = &key}, true};
  node first;
  node second{{.key = &key}};
  first.then = &second;
  pool.enqueue(first);
  eventually([&] { return freed_ == 1; });
  eventually([&] { return pool.stats().bounded.queued == 1; });
  EXPECT_EQ(second.refusal, 1) << "it has not run";
  busy.let_go();
  eventually([&] { return freed_ == 2; });
  EXPECT_EQ(second.refusal, 0);
}

// IOWQ-30: from exit_start() on an item is failed by its caller, and so is what depends on it.
TEST_F(io_nodes, that_come_too_late_fail_with_what_depends_on_them) {
  io_pool pool = make_pool();
  pool.exit_start();
  node first;
  node second;
  first.then = &second;
  EXPECT_FALSE(pool.enqueue(first));
  EXPECT_EQ(freed_, 2);
  EXPECT_EQ(first.refusal, -ECANCELED);
  EXPECT_EQ(second.refusal, -ECANCELED);
  EXPECT_EQ(second.by, std::this_thread::get_id());
}

// IOWQ-35: those without a key start in the order of enqueueing.
TEST(io_items, start_in_the_order_in_which_they_came) {
  test_runtime rt;
  std::vector<int> order;
  {
    io_pool pool{rt, {.name = "p", .bounded = 1}};
    occupant first{pool, {}, true};
    for (int i = 0; i < 100; ++i) pool.submit([&, i] { order.push_back(i); });
    first.let_go();
  }
  ASSERT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

// IOWQ-34: one runs, so another one is left to it; a concurrent one has a worker made.
TEST(io_items, that_are_concurrent_do_not_wait_for_who_runs) {
  test_runtime rt{announced()};
  io_pool pool{rt, {.name = "p"}};
  occupant runs{pool, {}, false};
  std::atomic<int> ran{0};
  pool.submit([&] { ++ran; });
  EXPECT_EQ(pool.stats().bounded.workers, 1U);
  EXPECT_EQ(pool.stats().bounded.queued, 1U);
  EXPECT_EQ(ran, 0);
  pool.submit({.concurrent = true}, [&] { ++ran; });
  eventually([&] { return ran == 2; });
  EXPECT_EQ(pool.stats().bounded.workers, 2U);
  runs.let_go();
}

// IOWQ-53, IOWQ-54: what waits for a busy key is passed over; when nothing else waits, nobody is awake for it.
TEST(io_items, of_a_busy_key_are_passed_over) {
  test_runtime rt;
  const int key = 0;
  std::atomic<int> ran{0};
  io_pool pool{rt, {.name = "p"}};
  occupant busy{pool, {.key = &key}, true};
  for (int i = 0; i < 5; ++i) pool.submit({.key = &key}, [&] { ++ran; });
  pool.submit_for_result([] {}).get();
  eventually([&] { return pool.stats().bounded.stalled; });
  eventually([&] { return pool.stats().bounded.running == 0; });
  EXPECT_EQ(pool.stats().bounded.queued, 5U);
  EXPECT_EQ(ran, 0);
  pool.audit();
  busy.let_go();
  eventually([&] { return ran == 5; });
}

// IOWQ-57: those without a key release nothing.
TEST(io_items, without_a_key_release_none) {
  test_runtime rt;
  const int key = 0;
  io_pool pool{rt, {.name = "p"}};
  const std::uint64_t bit = std::uint64_t{1} << hash_domain::bucket_of(&key);
  occupant busy{pool, {.key = &key}, true};
  std::atomic<bool> ran{false};
  pool.submit({.key = &key}, [&] { ran = true; });
  for (int i = 0; i < 100; ++i) pool.submit_for_result([] {}).get();
  EXPECT_EQ(pool.stats().busy_buckets, bit);
  EXPECT_FALSE(ran);
  busy.let_go();
  eventually([&] { return ran.load(); });
  eventually([&] { return pool.stats().busy_buckets == 0; });
}

// IOWQ-81: who is cancelled at the end of its bucket hands that on; what comes next follows those that are left.
TEST(io_items, keep_their_order_when_the_last_of_a_key_is_cancelled) {
  test_runtime rt;
  const int key = 0;
  const int tag = 0;
  std::vector<int> order;
  {
    io_pool pool{rt, {.name = "p"}};
    occupant busy{pool, {.key = &key}, true};
    const auto add = [&](int i, const void* its_tag = nullptr) {
      pool.submit({.key = &key, .tag = its_tag}, [&order, i] { order.push_back(i); });
    };
    add(1);
    add(2);
    add(3, &tag);
    EXPECT_EQ(pool.cancel_tagged(&tag), io_cancel::done);
    pool.audit();
    add(4);
    add(5, &tag);
    EXPECT_EQ(pool.cancel_tagged(&tag), io_cancel::done);
    add(6);
    pool.audit();
    busy.let_go();
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 4, 6}));
}

// IOWQ-85: who matches is shown the item that runs, as it is.
TEST(io_items, that_run_are_shown_to_who_matches) {
  test_runtime rt;
  const int tag = 0;
  io_pool pool{rt, {.name = "p"}};
  occupant busy{pool, {.tag = &tag}, true};
  std::vector<const void*> seen;
  seen.reserve(1);
  EXPECT_EQ(pool.cancel([&](const io_work& item) noexcept {
    seen.push_back(item.tag());
    return false;
  }),
            io_cancel::not_found);
  EXPECT_EQ(seen, std::vector<const void*>{&tag});
  busy.let_go();
}

// IOWQ-126: others start at once behind a hundred thousand that wait for one key.
TEST(io_items, are_not_held_up_by_a_hundred_thousand_of_a_busy_key) {
  test_runtime rt;
  const int key = 0;
  constexpr int many = 100'000;
  int ran = 0;
  {
    io_pool pool{rt, {.name = "p"}};
    occupant busy{pool, {.key = &key}, true};
    for (int i = 0; i < many; ++i) {
      pool.submit({.key = &key}, [&ran, i] { ran += ran == i ? 1 : 0; });
    }
    pool.submit_for_result([] {}).get();
    EXPECT_EQ(ran, 0);
    EXPECT_LE(pool.stats().bounded.workers, 3U) << "nobody is made to find that out";
    busy.let_go();
  }
  EXPECT_EQ(ran, many) << "in order";
}

}  // namespace
}  // namespace wring
