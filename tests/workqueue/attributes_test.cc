// SPDX-License-Identifier: Apache-2.0
// Attributes, scopes and the CPUs of a runtime, on the machine and on synthetic ones. Orders and races of queues that
// change their pools are searched in tests/sim/wq_remap_test.cc.
#include "support/control_group.h"
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using wring::affinity_scope;
using wring::workqueue;
using wring::workqueue_attributes;
using wring::test::counter;
using wring::test::eventually;
using wring::test::gate;
using wring::test::in_forked_child;
using wring::test::test_runtime;

using cpus = std::vector<unsigned>;

cpus own_cpus(pid_t thread = 0) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(thread, sizeof set, &set);
  cpus list;
  for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) list.push_back(i);
  }
  return list;
}

void bind_to(unsigned cpu, pid_t thread = 0) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(thread, sizeof set, &set);
}

std::vector<wring::pool_stats> pools_with_workers(wring::runtime& rt) {
  std::vector<wring::pool_stats> pools = rt.stats().pools;
  std::erase_if(pools, [](const wring::pool_stats& p) { return p.workers == 0; });
  return pools;
}

// So many pools have started items since the runtime was made.
std::size_t pools_that_ran(wring::runtime& rt) {
  const std::vector<wring::pool_stats> pools = rt.stats().pools;
  return static_cast<std::size_t>(
      std::ranges::count_if(pools, [](const wring::pool_stats& p) { return p.items_started != 0; }));
}

void run_on_every_cpu(workqueue& q, unsigned count) {
  for (unsigned cpu = 0; cpu < count; ++cpu) EXPECT_TRUE(q.submit_on(cpu, [] {}));
  q.flush();
}

// The pool of the queue whose workers are on these CPUs.
wring::pool_stats pool_on(wring::runtime& rt, const cpus& where, int nice = 0) {
  for (const wring::pool_stats& p : rt.stats().pools) {
    if (p.cpus == where && p.nice == nice) return p;
  }
  ADD_FAILURE() << "there is no such pool";
  return {};
}

constexpr const char* big = "node:2 l3:2 core:4 pu:2";  // 32 CPUs
constexpr unsigned big_cpus = 32;

// WQ-116, WQ-44: an item goes to the pool of the pod of the CPU it is queued on.
TEST(attributes, of_each_scope_give_a_pool_to_each_pod) {
  const std::vector<std::pair<affinity_scope, std::size_t>> expected{
      {affinity_scope::cpu, 32},        {affinity_scope::smt, 16}, {affinity_scope::cache, 4},
      {affinity_scope::cache_shard, 8}, {affinity_scope::numa, 2}, {affinity_scope::system, 1}};
  for (const auto& [scope, pods] : expected) {
    test_runtime rt{{.cpus = big_cpus, .topology = big, .cache_shard_size = 2}};
    rt.warnings.ignore();  // these CPUs are not there to be bound to
    workqueue q{rt, {.name = "scoped", .attributes = {.scope = scope, .strict = true}}};
    run_on_every_cpu(q, big_cpus);
    EXPECT_EQ(pools_that_ran(rt), pods);
    EXPECT_EQ(q.stats().items_completed, big_cpus);
    EXPECT_EQ(q.attributes().scope, scope);
  }
}

// WQ-10: equal keys share a pool, others do not.
TEST(attributes, that_are_equal_share_their_pools) {
  test_runtime rt{{.cpus = big_cpus, .topology = big}};
  rt.warnings.ignore();
  const workqueue_attributes like{.scope = affinity_scope::numa, .strict = true, .nice = 3};
  workqueue one{rt, {.name = "one", .attributes = like}};
  const std::size_t pools = pools_with_workers(rt).size();
  workqueue same{rt, {.name = "same", .attributes = like}};
  EXPECT_EQ(pools_with_workers(rt).size(), pools);
  workqueue other_nice{rt, {.name = "nice", .attributes = {.scope = affinity_scope::numa, .strict = true, .nice = 4}}};
  EXPECT_EQ(pools_with_workers(rt).size(), pools + 2);
  workqueue not_strict{rt, {.name = "loose", .attributes = {.scope = affinity_scope::numa, .nice = 3}}};
  EXPECT_EQ(pools_with_workers(rt).size(), pools + 4);
  workqueue fewer{rt, {.attributes = {.scope = affinity_scope::numa, .strict = true, .nice = 3, .cpus = {0, 1, 31}}}};
  EXPECT_EQ(pools_with_workers(rt).size(), pools + 6);
  for (workqueue* q : {&one, &same, &other_nice, &not_strict, &fewer}) run_on_every_cpu(*q, big_cpus);
}

// WQ-117: strict workers are bound to their pod; others begin there, and may go wherever their queue may.
TEST(attributes, that_are_strict_bind_workers_to_their_pod) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt;
  workqueue strict{rt, {.name = "strict", .attributes = {.scope = affinity_scope::cpu, .strict = true}}};
  workqueue loose{rt, {.name = "loose", .attributes = {.scope = affinity_scope::cpu}}};
  for (const unsigned cpu : all) {
    cpus of_strict;
    cpus of_loose;
    strict.submit_on(cpu, [&] { of_strict = own_cpus(); });
    loose.submit_on(cpu, [&] { of_loose = own_cpus(); });
    strict.flush();
    loose.flush();
    EXPECT_EQ(of_strict, cpus{cpu});
    EXPECT_EQ(of_loose, all);
    EXPECT_TRUE(pool_on(rt, {cpu}).pod.empty());
  }
  const std::vector<wring::pool_stats> pools = rt->stats().pools;
  for (const unsigned cpu : all) {
    EXPECT_EQ(
        std::ranges::count_if(pools, [&](const wring::pool_stats& p) { return p.cpus == all && p.pod == cpus{cpu}; }),
        1);
  }
}

void until_all_are_parked(wring::runtime& rt) {
  eventually([&] {
    return std::ranges::all_of(rt.stats().pools, [](const wring::pool_stats& p) { return p.idle == p.workers; });
  });
}

// WQ-117, WQ-120, WQ-137. Method: a callback binds its worker elsewhere, which nobody but the pool is to do.
TEST(attributes, workers_that_were_moved_come_home_when_they_are_woken) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  for (const bool strict : {true, false}) {
    test_runtime rt;
    workqueue q{rt, {.name = "home", .attributes = {.scope = affinity_scope::cpu, .strict = strict}}};
    std::atomic<bool> everywhere_right{true};
    std::uint64_t moved = 0;
    // Any of its workers may be woken, so often enough to meet the one that was moved.
    for (int i = 0; i < 20 || moved == 0; ++i) {
      q.submit_on(all[0], [&] { bind_to(all[1]); });
      q.flush();
      until_all_are_parked(rt);
      q.submit_on(all[0], [&] {
        if (own_cpus() != (strict ? cpus{all[0]} : all)) everywhere_right.store(false);
      });
      q.flush();
      until_all_are_parked(rt);
      const wring::pool_stats p = pool_on(rt, strict ? cpus{all[0]} : all);
      moved = strict ? p.restored : p.repatriated;
    }
    EXPECT_TRUE(everywhere_right.load());
    EXPECT_EQ(q.stats().repatriated != 0, !strict);
  }
}

// WQ-10, WQ-U6.
TEST(attributes, of_nice_are_those_of_the_workers) {
  test_runtime rt;
  workqueue q{rt, {.name = "nice", .attributes = {.nice = 7}}};
  int seen = 0;
  q.submit([&] { seen = ::getpriority(PRIO_PROCESS, 0); });
  q.flush();
  EXPECT_EQ(seen, 7);
  q.set_attributes({.nice = 9});
  q.submit([&] { seen = ::getpriority(PRIO_PROCESS, 0); });
  q.flush();
  EXPECT_EQ(seen, 9);
  EXPECT_EQ(q.attributes().nice, 9);
}

// WQ-115, WQ-107: what is queued and runs ends where it is; what comes goes to the new pool; the workers that nobody
// needs any more end.
TEST(set_attributes, leaves_what_runs_where_it_is_and_sends_new_items_to_new_pools) {
  test_runtime rt;
  workqueue q{rt, {.name = "moves", .max_active = 1, .attributes = {.nice = 1}}};
  gate entered;
  gate end;
  std::vector<int> nices;
  const auto note = [&nices] { nices.push_back(::getpriority(PRIO_PROCESS, 0)); };
  q.submit([&] {
    entered.open();
    const wring::blocking_scope scope;
    end.wait();
    note();
  });
  entered.wait();
  q.submit(note);
  q.set_attributes({.nice = 2});
  gate new_one;
  q.submit([&] { new_one.open(); });
  new_one.wait();
  EXPECT_TRUE(nices.empty()) << "the old ones still wait, and hold up nobody";
  EXPECT_NE(rt->describe().find("(left for another pool)"), std::string::npos) << rt->describe();
  end.open();
  q.flush();
  q.submit(note);
  q.flush();
  EXPECT_EQ(nices, (std::vector{1, 1, 2}));
  eventually([&] {
    return std::ranges::none_of(pools_with_workers(rt), [](const wring::pool_stats& p) { return p.nice == 1; });
  });
  q.set_attributes({.nice = 1});
  q.submit(note);
  q.flush();
  EXPECT_EQ(nices.back(), 1) << "and are made again";
  EXPECT_EQ(q.stats().items_completed, 5u);
}

// WQ-32, WQ-115, WQ-154: order and exclusion of an ordered queue hold while it moves from pool to pool.
TEST(set_attributes, keeps_the_order_of_an_ordered_queue) {
  constexpr int items = 20'000;
  test_runtime rt;
  workqueue q{rt, {.name = "in order", .ordered = true}};
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  int next = 0;
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  std::thread mover{[&] {
    for (int i = 0; !done.load(); ++i) {
      try {
        q.set_attributes({.nice = i % 3});
      } catch (const std::system_error&) {
        std::this_thread::yield();  // too many changes for what is queued
      }
    }
  }};
  for (int i = 0; i < items; ++i) {
    q.submit([&, i] {
      if (inside.fetch_add(1) != 0) overlapped.store(true);
      if (next++ != i) wrong.fetch_add(1);
      inside.fetch_sub(1);
    });
    if (i % 512 == 0) std::this_thread::yield();
  }
  done.store(true);
  mover.join();
  q.flush();
  EXPECT_EQ(next, items);
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_FALSE(overlapped.load());
}

// An ordered queue that is busy all the time keeps what it had for each change, and so there is an end to that.
TEST(set_attributes, of_a_busy_ordered_queue_has_a_bound) {
  test_runtime rt;
  workqueue q{rt, {.name = "busy", .ordered = true}};
  gate entered;
  gate end;
  q.submit([&] {
    entered.open();
    const wring::blocking_scope scope;
    end.wait();
  });
  entered.wait();
  int changes = 0;
  try {
    for (; changes < 1'000; ++changes) q.set_attributes({.nice = 1 + changes % 2});
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again) << e.what();
  }
  EXPECT_GT(changes, 200);
  EXPECT_LT(changes, 300);
  end.open();
  q.flush();
  q.set_attributes({.nice = 3});  // all are empty, and may be used again
  std::atomic<bool> ran{false};
  q.submit([&] { ran.store(true); });
  q.flush();
  EXPECT_TRUE(ran.load());
}

// WQ-61: an item that runs in a pool which its queue has left is never run elsewhere at the same time.
TEST(set_attributes, never_runs_an_item_twice_at_once) {
  test_runtime rt;
  workqueue q{rt, {.name = "once"}};
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  std::atomic<int> runs{0};
  wring::work item{[&] {
    if (inside.fetch_add(1) != 0) overlapped.store(true);
    std::this_thread::yield();
    runs.fetch_add(1);
    inside.fetch_sub(1);
  }};
  std::atomic<bool> done{false};
  std::thread mover{[&] {
    for (int i = 0; !done.load(); ++i) q.set_attributes({.nice = i % 3});
  }};
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) accepted += q.queue(item) ? 1 : 0;
  done.store(true);
  mover.join();
  q.flush();
  EXPECT_FALSE(overlapped.load());
  EXPECT_EQ(runs.load(), accepted);
}

// Children of a group stay with the callback that waits for them, which may be the only one to run them.
TEST(set_attributes, leaves_the_children_of_a_group_to_its_waiter) {
  test_runtime rt;
  workqueue q{rt, {.name = "groups", .max_active = 1, .attributes = {.nice = 1}}};
  int ran = 0;
  q.submit([&] {
    q.set_attributes({.nice = 2});
    wring::task_group group{q};
    for (int i = 0; i < 10; ++i) group.run([&] { ++ran; });
    group.wait();
    EXPECT_EQ(ran, 10);
  });
  q.flush();
  EXPECT_EQ(ran, 10);
}

// The same for children that another thread adds, which go to the new pool; that one waits for the callback.
TEST(set_attributes, lets_a_waiter_run_children_that_others_add_in_the_new_pool) {
  test_runtime rt;
  workqueue q{rt, {.name = "groups", .ordered = true, .attributes = {.nice = 1}}};
  wring::task_group group{q};
  gate entered;
  gate added;
  std::atomic<int> ran{0};
  q.submit([&] {
    group.run([&] {
      entered.open();
      added.wait();
    });
    group.wait();
    EXPECT_EQ(ran.load(), 5);
  });
  entered.wait();
  q.set_attributes({.nice = 2});
  for (int i = 0; i < 5; ++i) group.run([&] { ran.fetch_add(1); });
  added.open();
  q.flush();
  EXPECT_EQ(ran.load(), 5);
}

// WQ-86: a callback of an ordered queue that has moved would wait for itself all the same.
TEST(set_attributes, hides_no_wait_for_oneself) {
  test_runtime rt;
  workqueue q{rt, {.name = "itself", .ordered = true}};
  wring::work later{[] {}};
  bool waited = true;
  q.submit([&] {
    q.set_attributes({.nice = 2});
    q.queue(later);
    waited = later.flush();
  });
  q.flush();
  EXPECT_FALSE(waited);
  EXPECT_EQ(rt.misuses.take().size(), 1u);
}

// WQ-127: a limit holds for what is left in the pools that a queue is about to leave.
TEST(set_attributes, leaves_nothing_without_a_limit) {
  test_runtime rt{{.cpus = big_cpus, .topology = big}};
  rt.warnings.ignore();
  workqueue q{rt, {.name = "limited late"}};
  gate end;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  gate entered;
  q.submit_on(0, [&] {
    entered.open();
    const wring::blocking_scope scope;
    end.wait();
  });
  entered.wait();
  for (int i = 0; i < 200; ++i) {
    q.submit_on(0, [&] {
      const int now = inside.fetch_add(1) + 1;
      for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) continue;
      const wring::blocking_scope scope;
      std::this_thread::yield();
      inside.fetch_sub(1);
    });
    if (i == 0) q.set_max_active(1);
  }
  EXPECT_EQ(q.stats().max_active, 1u);
  end.open();
  q.flush();
  EXPECT_LE(most.load(), 2) << "one in the old pool, one in the new one";
}

// WQ-63, WQ-92: a delay that outlives the queue, whose pools had changed.
TEST(set_attributes, leaves_no_way_to_a_queue_that_has_ended) {
  test_runtime rt;
  wring::delayed_work item{[] { ADD_FAILURE() << "its queue is gone"; }};
  {
    workqueue q{rt, {.name = "gone", .attributes = {.nice = 1}}};
    q.queue_delayed(item, 1h);
    q.set_attributes({.nice = 2});
    q.set_attributes({.nice = 3});
  }
  workqueue next{rt, {.name = "in its place", .attributes = {.nice = 1}}};
  EXPECT_FALSE(item.flush());
  EXPECT_FALSE(item.pending());
  rt.warnings.ignore();
}

// WQ-84, WQ-90, WQ-34: flush, drain and the end wait for all pools, also for those that were left.
TEST(set_attributes, leaves_nothing_that_flush_and_drain_do_not_see) {
  test_runtime rt;
  std::atomic<int> ran{0};
  {
    workqueue q{rt, {.name = "seen", .attributes = {.nice = 1}}};
    for (int nice = 2; nice < 8; ++nice) {
      for (int i = 0; i < 100; ++i) q.submit([&] { ran.fetch_add(1); });
      q.set_attributes({.nice = nice});
    }
    q.flush();
    EXPECT_EQ(ran.load(), 600);
    for (int nice = 2; nice < 8; ++nice) {
      for (int i = 0; i < 100; ++i) q.submit([&] { ran.fetch_add(1); });
      q.set_attributes({.nice = nice});
    }
    q.drain();
    EXPECT_EQ(ran.load(), 1200);
    for (int nice = 2; nice < 8; ++nice) {
      for (int i = 0; i < 100; ++i) q.submit([&] { ran.fetch_add(1); });
      q.set_attributes({.nice = nice});
    }
  }
  EXPECT_EQ(ran.load(), 1800);
}

// WQ-46: what comes to a queue during its drain is refused by its new pool, too.
TEST(set_attributes, during_a_drain_opens_no_way_in) {
  test_runtime rt;
  workqueue q{rt, {.name = "drained", .attributes = {.nice = 1}}};
  gate entered;
  gate end;
  q.submit([&] {
    entered.open();
    const wring::blocking_scope scope;
    end.wait();
  });
  entered.wait();
  std::thread drainer{[&] { q.drain(); }};
  eventually([&] { return !q.submit([] {}); });
  q.set_attributes({.nice = 2});
  EXPECT_FALSE(q.submit([] {}));
  end.open();
  drainer.join();
  EXPECT_TRUE(q.submit([] {}));
  q.flush();
  rt.warnings.ignore();
}

// WQ-125: a frozen queue stays so in its new pool.
TEST(set_attributes, of_a_frozen_queue_does_not_thaw_it) {
  test_runtime rt;
  workqueue q{rt, {.name = "frozen", .attributes = {.nice = 1}, .freezable = true}};
  rt->freeze_begin();
  q.set_attributes({.nice = 2});
  std::atomic<bool> ran{false};
  q.submit([&] { ran.store(true); });
  EXPECT_FALSE(rt->freeze_busy());
  workqueue other{rt, {.name = "other", .attributes = {.nice = 2}}};
  other.submit([] {});
  other.flush();
  EXPECT_FALSE(ran.load());
  rt->thaw();
  q.flush();
  EXPECT_TRUE(ran.load());
}

// WQ-28, WQ-112: its rescuer goes along. Method: a pool that may have two workers, both blocked.
TEST(set_attributes, takes_the_rescuer_along) {
  test_runtime rt{{.cpus = 2, .max_workers = 2, .mayday_initial = 1ms}};
  rt.warnings.ignore();
  workqueue q{rt, {.name = "saved", .rescuer = true}};
  q.set_attributes({.nice = 3});
  workqueue blocking{rt, {.name = "blocking", .attributes = {.nice = 3}}};
  gate end;
  counter inside;
  for (int i = 0; i < 2; ++i) {
    blocking.submit([&] {
      inside.add();
      const wring::blocking_scope scope;
      end.wait();
    });
  }
  inside.wait_for(2);
  q.submit([&] { end.open(); });
  q.flush();
  EXPECT_EQ(q.stats().rescued, 1u);
}

// WQ-114: one that cannot be had leaves everything as it was. Method: a pool in which 256 queues have a rescuer has no
// place for one more.
TEST(set_attributes, that_fails_changes_nothing) {
  test_runtime rt{{.cpus = 2, .stack_bytes = std::size_t{64} << 10}};
  std::deque<workqueue> full;
  for (int i = 0; i < 256; ++i)
    full.emplace_back(rt, wring::workqueue_options{.name = "full", .attributes = {.nice = 3}, .rescuer = true});
  workqueue q{rt, {.name = "late", .attributes = {.nice = 2}, .rescuer = true}};
  for (int i = 0; i < 3; ++i) {
    try {
      q.set_attributes({.nice = 3});
      ADD_FAILURE() << "there is no place";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again) << e.what();
    }
    EXPECT_EQ(q.attributes().nice, 2);
    int seen = 0;
    q.submit([&] { seen = ::getpriority(PRIO_PROCESS, 0); });
    q.flush();
    EXPECT_EQ(seen, 2);
  }
  full.pop_back();
  q.set_attributes({.nice = 3});
  EXPECT_EQ(q.attributes().nice, 3);
}

// WQ-118: a default that a queue cannot follow is refused; a limit holds all the same, where the queue is. Method: its
// new pool has no place for another rescuer.
TEST(default_scope, that_cannot_be_had_changes_nothing) {
  test_runtime rt{{.cpus = 4,
                   .topology = "node:2 core:2 pu:1",
                   .stack_bytes = std::size_t{64} << 10,
                   .default_scope = affinity_scope::system}};
  rt.warnings.ignore();
  std::deque<workqueue> full;
  const auto fill = [&](affinity_scope scope) {
    for (int i = 0; i < 256; ++i)
      full.emplace_back(rt, wring::workqueue_options{.name = "full", .attributes = {.scope = scope}, .rescuer = true});
  };
  full.emplace_back(rt, wring::workqueue_options{.name = "late", .rescuer = true});
  fill(affinity_scope::numa);
  try {
    rt->set_default_scope(affinity_scope::numa);
    ADD_FAILURE() << "there is no place";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again) << e.what();
  }
  EXPECT_EQ(rt->default_scope(), affinity_scope::system);
  full.clear();
  rt->set_default_scope(affinity_scope::numa);
  workqueue divided{rt, {.name = "divided", .rescuer = true}};
  fill(affinity_scope::system);
  EXPECT_TRUE(divided.set_max_active(7)) << "though a limit would make it one";
  EXPECT_EQ(divided.stats().max_active, 7u);
  gate ran;
  divided.submit([&] { ran.open(); });
  ran.wait();
}

TEST(set_attributes, holds_in_a_forked_child) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer allows no threads in forked children";
#endif
  test_runtime rt;
  workqueue q{rt, {.name = "forked", .ordered = true, .attributes = {.nice = 1}}};
  q.submit([] {});
  q.set_attributes({.nice = 2});
  q.submit([] {});
  q.flush();
  EXPECT_EQ(in_forked_child([&](wring::test::claims& c) {
              int seen = 0;
              q.submit([&] { seen = ::getpriority(PRIO_PROCESS, 0); });
              q.flush();
              c.check(seen == 2, "the queue is where it was");
              q.set_attributes({.nice = 1});
              q.submit([&] { seen = ::getpriority(PRIO_PROCESS, 0); });
              q.flush();
              c.check(seen == 1, "and may be moved");
            }),
            0);
}

// ---- the runtime's CPUs -------------------------------------------------------------------------------------

// WQ-116, WQ-118, WQ-145: a queue without a wish is one for all CPUs until the topology is known, then divided as the
// default says; one with a limit is not.
TEST(default_scope, divides_queues_that_say_nothing_else_once_the_topology_is_known) {
  test_runtime rt{{.cpus = big_cpus, .topology = big, .default_scope = affinity_scope::system}};
  rt.warnings.ignore();
  workqueue q{rt, {.name = "plain"}};
  workqueue limited{rt, {.name = "limited", .max_active = 100}};
  workqueue ordered{rt, {.name = "ordered", .ordered = true}};
  const auto count = [&](workqueue& of) {
    std::size_t before = pools_that_ran(rt);
    run_on_every_cpu(of, big_cpus);
    return pools_that_ran(rt) - before;
  };
  EXPECT_EQ(count(q), 1u);
  EXPECT_EQ(rt->default_scope(), affinity_scope::system);
  rt->set_default_scope(affinity_scope::cache);
  EXPECT_EQ(count(q), 4u);
  rt->set_default_scope(affinity_scope::numa);
  EXPECT_EQ(count(q), 2u);
  EXPECT_EQ(count(limited), 0u) << "all of it where the first was";
  EXPECT_EQ(count(ordered), 0u);
  EXPECT_TRUE(q.set_max_active(50));
  EXPECT_EQ(count(q), 0u) << "a limit makes it one again";
  EXPECT_EQ(q.attributes(), workqueue_attributes{});
}

// WQ-116: more CPUs than a shard has, and the first queue is divided at once.
TEST(default_scope, divides_at_once_on_a_large_machine) {
  test_runtime rt{{.cpus = big_cpus, .topology = big, .cache_shard_size = 4}};
  rt.warnings.ignore();
  workqueue q{rt, {.name = "plain"}};
  run_on_every_cpu(q, big_cpus);
  EXPECT_EQ(pools_that_ran(rt), 4u);
  test_runtime with_quota{{.cpus = 16, .topology = big, .cache_shard_size = 4}};
  workqueue one{with_quota, {.name = "plain"}};
  run_on_every_cpu(one, big_cpus);
  EXPECT_EQ(pools_that_ran(with_quota), 1u) << "fewer CPUs are planned for than there are";
}

// WQ-23: max_active that was given is shared among the pods, else each has all of it.
TEST(attributes, share_a_max_active_that_was_given) {
  test_runtime rt{{.cpus = big_cpus, .topology = big}};
  rt.warnings.ignore();
  workqueue limited{rt, {.name = "limited", .max_active = 40, .attributes = {.scope = affinity_scope::cache}}};
  workqueue all{rt, {.name = "all", .attributes = {.scope = affinity_scope::cache}}};
  EXPECT_EQ(limited.stats().max_active, 10u);
  EXPECT_EQ(all.stats().max_active, 1024u);
  limited.set_max_active(16);
  EXPECT_EQ(limited.stats().max_active, 8u) << "min_active";
  limited.set_min_active(1);
  EXPECT_EQ(limited.stats().max_active, 4u);
}

// WQ-119: all unbound queues follow, and no other.
TEST(unbound_cpus, are_those_of_all_unbound_queues) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt;
  EXPECT_EQ(rt->unbound_cpus().used, all);
  workqueue plain{rt, {.name = "plain"}};
  workqueue ordered{rt, {.name = "ordered", .ordered = true}};
  workqueue nice{rt, {.name = "nice", .attributes = {.nice = 1}}};
  workqueue bound{rt, {.name = "bound", .per_cpu = true}};
  const auto where = [](workqueue& q) {
    cpus seen;
    q.submit([&] { seen = own_cpus(); });
    q.flush();
    return seen;
  };
  rt->set_unbound_cpus({all[1], all[1]});
  for (workqueue* q : {&plain, &ordered, &nice}) EXPECT_EQ(where(*q), cpus{all[1]}) << q->name();
  EXPECT_EQ(bound.run_on(all[0], [] { return own_cpus(); }), cpus{all[0]}) << "per-CPU queues have CPUs of their own";
  EXPECT_EQ(rt->unbound_cpus().requested, cpus{all[1]});
  EXPECT_EQ(rt->stats().pools[0].target, 1u);
  rt->set_isolated_cpus({all[1]});
  EXPECT_EQ(where(plain), cpus{all[1]}) << "nothing else is left of what was asked for";
  rt->set_unbound_cpus(all);
  EXPECT_EQ(where(plain), all) << "isolated ones, too, if they are wanted";
  rt->set_isolated_cpus({all[0]});
  EXPECT_EQ(rt->unbound_cpus().isolated, cpus{all[0]});
  for (workqueue* q : {&plain, &ordered, &nice}) EXPECT_EQ(where(*q), cpus{all[1]}) << q->name();
  rt->set_isolated_cpus({});
  for (workqueue* q : {&plain, &ordered, &nice}) EXPECT_EQ(where(*q), all) << q->name();
  nice.set_attributes({.cpus = {all[0]}});
  EXPECT_EQ(where(nice), cpus{all[0]});
  rt->set_unbound_cpus({all[1]});
  EXPECT_EQ(where(nice), cpus{all[1]}) << "WQ-114: nothing is left of its own, so it has all";
}

// WQ-113: and of a rescuer that has nothing to do.
TEST(unbound_cpus, are_those_of_rescuers) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt;
  workqueue q{rt, {.name = "vital", .rescuer = true}};
  const auto is_on = [](const cpus& wanted) {
    for (const std::string& id : wring::test::entries_of("/proc/self/task")) {
      if (wring::test::name_of_thread(id) == "wring/R-vital") return own_cpus(std::stoi(id)) == wanted;
    }
    return false;
  };
  eventually([&] { return is_on(all); });
  rt->set_unbound_cpus({all[1]});
  eventually([&] { return is_on({all[1]}); });
  rt->set_unbound_cpus(all);
  eventually([&] { return is_on(all); });
}

// WQ-119.
TEST(unbound_cpus, may_be_restricted_from_the_start) {
  const cpus all = own_cpus();
  const std::string last = std::to_string(all.back());
  test_runtime rt{{.unbound_cpus = last.c_str()}};
  EXPECT_EQ(rt->unbound_cpus().used, cpus{all.back()});
  workqueue q{rt, {.name = "restricted"}};
  cpus seen;
  q.submit([&] { seen = own_cpus(); });
  q.flush();
  EXPECT_EQ(seen, cpus{all.back()});
  test_runtime nothing_left{{.unbound_cpus = "60000"}};
  EXPECT_EQ(nothing_left->unbound_cpus().used, all);
  EXPECT_EQ(nothing_left.warnings.count("leaves none of the CPUs that the process may use; it is ignored"), 1u);
  nothing_left.warnings.ignore();
}

// WQ-131, WQ-130, WQ-43: a CPU leaves while items wait and run there, which end on others; it comes back.
TEST(hotplug, of_a_cpu_loses_nothing) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt;
  workqueue bound{rt, {.name = "bound", .per_cpu = true}};
  workqueue plain{rt, {.name = "plain", .attributes = {.scope = affinity_scope::cpu, .strict = true}}};
  gate entered;
  gate end;
  std::atomic<int> ran{0};
  bound.submit_on(all[1], [&] {
    entered.open();
    end.wait();  // unannounced, so nothing else starts there
    ran.fetch_add(1);
  });
  entered.wait();
  for (int i = 0; i < 50; ++i) {
    bound.submit_on(all[1], [&] { ran.fetch_add(1); });
    plain.submit_on(all[1], [&] { ran.fetch_add(1); });
  }
  EXPECT_EQ(rt->replan({all[0]}), rt->stats().cpus);
  ASSERT_EQ(rt->cpus().size(), 1u);
  EXPECT_EQ(rt->cpus()[0].id, all[0]);
  EXPECT_THROW(bound.run_on(all[1], [] {}), std::system_error) << "ENODEV";
  cpus seen;
  gate told;
  bound.submit_on(all[1], [&] {
    seen = own_cpus();
    told.open();
  });
  told.wait();  // the one that waits has left the count with its CPU
  EXPECT_EQ(seen, cpus{all[0]});
  end.open();
  bound.flush();
  plain.flush();
  EXPECT_EQ(ran.load(), 101);
  cpus of_plain;
  plain.submit_on(all[1], [&] { of_plain = own_cpus(); });
  plain.flush();
  EXPECT_EQ(of_plain, cpus{all[0]});

  rt->replan();
  EXPECT_EQ(rt->cpus().size(), all.size());
  EXPECT_EQ(bound.run_on(all[1], [] { return own_cpus(); }), cpus{all[1]}) << "bound again";
  plain.submit_on(all[1], [&] { of_plain = own_cpus(); });
  plain.flush();
  EXPECT_EQ(of_plain, cpus{all[1]});
}

// WQ-130: a CPU that was not there when the queue was made.
TEST(hotplug, of_a_new_cpu_gives_it_a_pool) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt;
  rt->replan({all[0]});
  workqueue bound{rt, {.name = "bound", .per_cpu = true, .rescuer = true}};
  EXPECT_THROW(bound.run_on(all[1], [] {}), std::system_error) << "ENODEV";
  rt->replan({all[0], all[1]});
  EXPECT_EQ(bound.run_on(all[1], [] { return own_cpus(); }), cpus{all[1]});
  std::atomic<int> ran{0};
  bound.run_on_each_cpu([&] { ran.fetch_add(1); });
  EXPECT_EQ(ran.load(), 2);
}

// Until told to stop, work waits and runs.
class feeder {
 public:
  explicit feeder(workqueue& q)
      : thread_{[this, &q] {
          while (!stop_.load()) {
            for (int i = 0; i < 64; ++i) q.submit([] { std::this_thread::yield(); });
            q.flush();
          }
        }} {}
  ~feeder() {
    stop_.store(true);
    thread_.join();
  }
  feeder(const feeder&) = delete;
  feeder& operator=(const feeder&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// WQ-U7: found without a call, while work waits. Method: the timekeeper, whose mask stands for that of the process,
// is bound to one CPU, and work is kept waiting.
TEST(hotplug, is_found_while_work_waits) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  test_runtime rt{{.replan_interval = 1ms}};
  workqueue q{rt, {.name = "waits"}};
  gate settled;
  wring::delayed_work first{[&] { settled.open(); }};
  q.queue_delayed(first, 1ms);
  settled.wait();  // the timekeeper has gone where it belongs, and does not do so again
  for (const std::string& id : wring::test::entries_of("/proc/self/task")) {
    if (wring::test::name_of_thread(id) == "wring/time") bind_to(all[0], std::stoi(id));
  }
  const feeder work{q};
  eventually([&] { return rt->unbound_cpus().used == cpus{all[0]}; });
}

// WQ-U7: a quota that comes and goes, found by a call, and without one while work waits. Method: a child process in a
// real control group.
TEST(hotplug, follows_the_quota_of_a_control_group) {
  if (own_cpus().size() < 2) GTEST_SKIP() << "needs two CPUs";
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer allows no threads in forked children";
#endif
  const wring::test::control_group group{"cpu", "cgroup.procs"};
  if (!group.obstacle().empty()) GTEST_SKIP() << group.obstacle();
  if (!group.set_cpu_quota("200000")) GTEST_SKIP() << "quotas are refused";
  if (wring::runtime{}.stats().cpus < 2) GTEST_SKIP() << "needs two CPUs to plan for";
  const int status = in_forked_child([&](wring::test::claims& c) {
    c.check(group.enter(), "the process may go into the group");
    test_runtime rt{{.replan_interval = 1ms}};
    workqueue q{rt, {.name = "fed"}};
    c.check(rt->stats().cpus == 2, "two CPUs are planned for");
    c.check(group.set_cpu_quota("100000"), "the quota is set");
    c.check(rt->replan() == 1, "a call finds that it is less");
    c.check(group.set_cpu_quota("200000"), "the quota is set");
    {
      const feeder work{q};
      eventually([&] { return rt->stats().cpus == 2; });
      c.check(group.set_cpu_quota("100000"), "the quota is set");
      eventually([&] { return rt->stats().cpus == 1; });
      eventually([&] { return rt->stats().pools.at(0).target == 1; });  // the pool follows
    }
    q.flush();
  });
  EXPECT_EQ(status, 0);
}

// WQ-130, WQ-131, WQ-U7: CPUs that leave the cpuset and come back. Method: as before.
TEST(hotplug, follows_the_cpuset_of_a_control_group) {
  const cpus all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer allows no threads in forked children";
#endif
  const wring::test::control_group group{"cpuset", "cpuset.cpus"};
  if (!group.obstacle().empty()) GTEST_SKIP() << group.obstacle();
  const std::string one = std::to_string(all[0]);
  const std::string two = one + "," + std::to_string(all[1]);
  if (!group.set("cpuset.cpus", two) || (!group.is_v2() && !group.set("cpuset.mems", "0")))
    GTEST_SKIP() << "cpusets are refused";
  const int status = in_forked_child([&](wring::test::claims& c) {
    c.check(group.enter(), "the process may go into the group");
    test_runtime rt{{.replan_interval = 1ms}};
    rt.warnings.ignore();  // workers that cannot be bound while their CPU is away
    workqueue q{rt, {.name = "fed"}};
    workqueue bound{rt, {.name = "bound", .per_cpu = true}};
    counter ran;
    const auto used = [&rt] { return rt->unbound_cpus().used; };
    c.check(used() == cpus({all[0], all[1]}), "both CPUs are used");
    const feeder work{q};
    const feeder bound_work{bound};
    for (int round = 0; round < 3; ++round) {
      c.check(group.set("cpuset.cpus", one), "a CPU leaves");
      eventually([&] { return used() == cpus{all[0]}; });
      bound.submit_on(all[1], [&] { ran.add(); });
      ran.wait_for(2 * round + 1);
      c.check(group.set("cpuset.cpus", two), "and comes back");
      eventually([&] { return used() == cpus({all[0], all[1]}); });
      bound.submit_on(all[1], [&] { ran.add(); });
      ran.wait_for(2 * round + 2);
    }
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
