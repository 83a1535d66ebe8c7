// SPDX-License-Identifier: Apache-2.0
// io_pool of profile node on real threads: a queue for each node, workers that change their kind, the manager that
// makes them, and the user who is charged. The topologies are synthetic, so CPUs and nodes do not depend on the
// machine.
#include "iowq/facts.h"
#include "iowq/waits.h"
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <linux/capability.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::make;
using test::test_runtime;

constexpr auto one_node = "node:1 core:2 pu:1";
constexpr auto two_nodes = "node:2 core:1 pu:1";

runtime_options machine(const char* topology) { return {.cpus = 2, .topology = topology}; }
io_pool_options of_nodes(const io_user* user = nullptr) {
  return {.name = "n", .bounded = 3, .profile = io_profile::node, .user = user};
}

// IOWQ-2, IOWQ-3, IOWQ-4, IOWQ-7, IOWQ-11, IOWQ-42, IOWQ-92, IOWQ-111: a manager and one worker on each node before the
// first item, nobody after the end.
TEST(io_nodes, each_has_a_worker_from_the_beginning_to_the_end) {
  test_runtime rt{machine(two_nodes)};
  {
    io_pool pool{rt, of_nodes()};
    eventually([] { return test::threads_named("io-wrk") == 2 && test::threads_named("io-mgr") == 1; });
    const io_pool_stats s = pool.stats();
    ASSERT_EQ(s.nodes.size(), 2U);
    for (unsigned node = 0; node < 2; ++node) {
      EXPECT_EQ(s.nodes[node].node, node);
      EXPECT_EQ(s.nodes[node].bounded.workers, 1U);
      EXPECT_EQ(s.nodes[node].bounded.created.manager, 1U);
      EXPECT_EQ(s.nodes[node].bounded.workers_max, 3U) << "a limit is that of a node";
    }
    EXPECT_EQ(s.bounded.workers, 2U);
    EXPECT_EQ(pool.submit_for_result([] { return 7; }).get(), 7);
    EXPECT_NE(pool.describe().find("node 1: 1 bounded and 0 unbounded workers"), std::string::npos) << pool.describe();
    pool.audit();
  }
  eventually([] { return test::threads_named("io-wrk") == 0 && test::threads_named("io-mgr") == 0; });
}

// IOWQ-11, IOWQ-14: before the start of its runtime it has no threads, and its items wait for it.
TEST(io_nodes, begin_with_their_runtime) {
  runtime_options late = machine(two_nodes);
  late.start_later = true;
  test_runtime rt{late};
  io_pool pool{rt, of_nodes()};
  std::atomic<int> ran{0};
  pool.submit([&] { ++ran; });
  EXPECT_EQ(test::threads_named("io-"), 0U);
  rt->start();
  eventually([&] { return ran.load() == 1 && pool.stats().bounded.workers == 2; });
}

// IOWQ-12: without a user there are no unbounded items, which is said once.
TEST(io_nodes, unbounded_items_are_somebodys) {
  test_runtime rt{machine(one_node)};
  io_pool pool{rt, of_nodes()};
  for (int i = 0; i < 2; ++i) {
    std::error_code why;
    EXPECT_FALSE(pool.submit(
        {.unbounded = true}, [] {}, [&](std::error_code e) { why = e; }));
    EXPECT_EQ(why, std::errc::operation_canceled);
  }
  EXPECT_EQ(rt.warnings.count("no io_pool_options::user"), 1U);
  rt.warnings.ignore();
  EXPECT_EQ(pool.max_workers({.bounded = 0, .unbounded = 5}).unbounded, 0U);
  EXPECT_EQ(pool.stats().unbounded.workers_max, 0U) << "nor after somebody has set a limit for them";
}

// IOWQ-22: who is idle takes an item of the other kind, and becomes a worker of that kind; the user is charged.
TEST(io_nodes, an_idle_worker_changes_its_kind) {
  test_runtime rt{machine(one_node)};
  const io_user user{4};
  {
    io_pool pool{rt, of_nodes(&user)};
    eventually([&] { return pool.stats().bounded.free == 1; });
    std::atomic<unsigned> seen{0};
    pool.submit({.unbounded = true}, [&] { seen = user.charged(); });
    eventually([&] { return pool.stats().unbounded.free == 1; });
    EXPECT_EQ(seen.load(), 1U);
    EXPECT_EQ(user.charged(), 1U);
    io_pool_stats s = pool.stats();
    EXPECT_EQ(s.bounded.workers + s.unbounded.workers, 1U) << "it was the one that was there";
    EXPECT_EQ(s.unbounded.started, 1U);
    EXPECT_EQ(pool.submit_for_result([] { return 1; }).get(), 1);
    eventually([&] { return pool.stats().bounded.free == 1; });
    EXPECT_EQ(user.charged(), 0U);
    s = pool.stats();
    EXPECT_EQ(s.bounded.created.manager, 1U);
    EXPECT_EQ(s.unbounded.created.manager, 0U);
    pool.audit();
  }
  EXPECT_EQ(user.charged(), 0U);
}

// IOWQ-22, IOWQ-25: nobody changes its kind beyond a limit, and what waits at the limit runs once somebody comes back.
TEST(io_nodes, nobody_changes_its_kind_beyond_a_limit) {
  test_runtime rt{machine(one_node)};
  const io_user user{1};
  test::read_of_a_pipe pipe;
  io_pool pool{rt, of_nodes(&user)};
  pool.submit({.unbounded = true}, [&](io_call& call) { make(call, pipe.what()); });
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  EXPECT_EQ(pool.submit_for_result([] { return 1; }).get(), 1) << "and bounded items are not held up";
  eventually([&] { return pool.stats().bounded.free == 1; });
  std::atomic<bool> ran{false};
  pool.submit({.unbounded = true}, [&] { ran = true; });  // root may exceed; others are refused: see below
  EXPECT_EQ(pool.stats().unbounded.workers, 1U);
  pipe.write();
  if (test::is_root()) eventually([&] { return ran.load(); });
  EXPECT_EQ(pool.stats().unbounded.workers_most, 1U);
}

// IOWQ-24: with the user's workers all blocked and nobody idle an unbounded item is refused, but not to who may exceed.
TEST(io_nodes, an_unbounded_item_that_nobody_could_run_is_refused) {
  if (!test::is_root()) GTEST_SKIP() << "gives up and keeps a privilege";
  test_runtime rt{machine(one_node)};
  const io_user user{1};
  EXPECT_EQ(user.granted(), 1U);
  test::read_of_a_pipe pipe;
  io_pool_options o = of_nodes(&user);
  o.bounded = 1;
  io_pool pool{rt, o};
  pool.submit({.unbounded = true}, [&](io_call& call) { make(call, pipe.what()); });
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  bool taken = true;
  std::error_code why;
  std::thread{[&] {
    test::set_capabilities({});
    taken = pool.submit(
        {.unbounded = true}, [] {}, [&](std::error_code e) { why = e; });
  }}.join();
  EXPECT_FALSE(taken);
  EXPECT_EQ(why, std::errc::operation_canceled);
  std::atomic<bool> ran{false};
  EXPECT_TRUE(pool.submit({.unbounded = true}, [&] { ran = true; })) << "who may exceed waits";
  pipe.write();
  eventually([&] { return ran.load(); });
}

// IOWQ-32, IOWQ-U12: an item waits on the node of who has enqueued it, and runs there.
TEST(io_nodes, an_item_runs_on_the_node_of_its_submitter) {
  test_runtime rt{machine(two_nodes)};
  io_pool pool{rt, of_nodes()};
  unsigned tried = 0;
  for (unsigned cpu = 0; cpu < 2; ++cpu) {
    std::thread{[&] {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      if (::sched_setaffinity(0, sizeof one, &one) != 0) return;  // the machine has it not
      ++tried;
      gate go;
      gate inside;
      cpu_set_t its_cpus;
      CPU_ZERO(&its_cpus);
      auto done = pool.submit_for_result({.tag = &go}, [&] {
        EXPECT_EQ(::sched_getaffinity(0, sizeof its_cpus, &its_cpus), 0);
        inside.open();
        go.wait();
      });
      inside.wait();
      for (const io_worker_stats& w : pool.stats().workers) {
        if (w.tag == &go) {
          EXPECT_EQ(w.node, cpu);
        }
      }
      EXPECT_TRUE(CPU_EQUAL(&its_cpus, &one)) << "on all CPUs of that node and no other";
      EXPECT_EQ(pool.stats().nodes[cpu].bounded.started, 1U);
      go.open();
      done.get();
    }}.join();
  }
  EXPECT_GE(tried, 1U);
}

// IOWQ-40, IOWQ-41, IOWQ-46: when all that run block the manager makes the next one, and nobody else does.
TEST(io_nodes, the_manager_makes_the_workers) {
  test_runtime rt{machine(one_node)};
  test::read_of_a_pipe pipe;
  io_pool pool{rt, of_nodes()};
  for (int i = 0; i < 5; ++i) pool.submit([&](io_call& call) { make(call, pipe.what()); });
  eventually([&] { return pool.stats().bounded.blocked == 3; });
  const io_account_stats s = pool.stats().bounded;
  EXPECT_EQ(s.created.manager, 3U);
  EXPECT_EQ(s.created.enqueue + s.created.note + s.created.retry, 0U);
  EXPECT_EQ(s.queued, 2U);
  for (int i = 0; i < 5; ++i) pipe.write();
}

// IOWQ-44, IOWQ-47, IOWQ-125: idle workers leave, but the fixed one of each node, also when they are to leave at once.
TEST(io_nodes, the_fixed_worker_stays) {
  test_runtime rt{machine(two_nodes)};
  io_pool_options o = of_nodes();
  o.idle_timeout = 1ms;
  io_pool pool{rt, o};
  for (int round = 0; round < 2; ++round) {
    test::read_of_a_pipe pipe;
    for (int i = 0; i < 3; ++i) pool.submit([&](io_call& call) { make(call, pipe.what()); });
    eventually([&] { return pool.stats().bounded.blocked == 3; });
    for (int i = 0; i < 3; ++i) pipe.write();
    eventually([&] { return pool.stats().bounded.free == 2 && pool.stats().bounded.workers == 2; });
    pool.exit_on_idle(true);
  }
  EXPECT_EQ(pool.stats().nodes[0].bounded.workers, 1U);
  EXPECT_EQ(pool.stats().nodes[1].bounded.workers, 1U);
}

// IOWQ-84: what runs is interrupted, what waits fails, and so does all that comes later. Of both profiles.
TEST(io_nodes, cancel_for_good_is_for_good) {
  test_runtime rt{machine(one_node)};
  for (const io_profile profile : {io_profile::node, io_profile::task}) {
    test::read_of_a_pipe pipe;
    io_pool pool{rt, {.name = "p", .bounded = 1, .profile = profile}};
    std::atomic<long> interrupted{0};
    std::atomic<int> failed{0};
    pool.submit([&](io_call& call) { interrupted = make(call, pipe.what()); });
    eventually([&] { return pool.stats().bounded.blocked == 1; });
    const auto count = [&](std::error_code e) { failed += e == std::errc::operation_canceled ? 1 : 0; };
    EXPECT_TRUE(pool.submit(
        {}, [] {}, count));
    EXPECT_EQ(pool.cancel_for_good(), io_cancel::running);
    EXPECT_EQ(failed.load(), 1);
    EXPECT_FALSE(pool.submit(
        {}, [] {}, count));
    EXPECT_EQ(failed.load(), 2);
    EXPECT_TRUE(pool.end(std::chrono::nanoseconds::max()));
    EXPECT_EQ(interrupted.load(), -ECANCELED);
  }
}

// IOWQ-91: at the end bounded items that wait run still, unbounded ones fail, whoever is in flight; a hundred times.
TEST(io_nodes, end_with_everything_in_flight) {
  test_runtime rt{machine(two_nodes)};
  const io_user user{8};
  for (int round = 0; round < 100; ++round) {
    test::read_of_a_pipe pipe;
    std::atomic<int> ran{0};
    std::atomic<int> over{0};
    {
      io_pool pool{rt, of_nodes(&user)};
      const auto done = [&](std::error_code) { ++over; };
      for (int i = 0; i < 8; ++i) {
        pool.submit(
            {.unbounded = true, .key = i % 2 == 0 ? &pipe : nullptr}, [&](io_call& call) { make(call, pipe.what()); },
            done);
        pool.submit(
            {.key = i % 4 == 0 ? &ran : nullptr}, [&] { ++ran; }, done);
      }
    }
    EXPECT_EQ(ran.load(), 8);
    EXPECT_EQ(over.load(), 16);
    EXPECT_EQ(user.charged(), 0U);
  }
  eventually([] { return test::threads_named("io-") == 0; });
}

// IOWQ-72: who makes the pool as somebody else would make all its workers that one.
TEST(io_nodes, are_not_made_by_an_item_with_an_identity) {
  if (!test::is_root()) GTEST_SKIP() << "only root may become somebody else";
  test_runtime rt{machine(one_node)};
  io_pool other{rt, {.name = "other"}};
  const identity elsewhere = identity::make({.umask = 022}).value();
  std::error_code error;
  other.submit_for_result({.as = elsewhere}, [&] { error = io_pool::create(rt, of_nodes()).error(); }).get();
  EXPECT_EQ(error, std::errc::operation_not_permitted);
  EXPECT_EQ(test::threads_named("io-mgr"), 0U);
}

// IOWQ-U16: a child has none of the workers for which its parent's user is charged.
TEST(io_nodes, a_forked_child_is_charged_for_nobody) {
  if (!test::can_fork_beside_threads) GTEST_SKIP() << test::cannot_fork;
  test_runtime rt{machine(one_node)};
  const io_user user{4};
  io_pool pool{rt, of_nodes(&user)};
  test::read_of_a_pipe pipe;
  pool.submit({.unbounded = true}, [&](io_call& call) { make(call, pipe.what()); });
  eventually([&] { return user.charged() == 1; });
  EXPECT_EQ(test::in_forked_child([&](test::claims& c) { c.check(user.charged() == 0, "nobody is charged"); }), 0);
  EXPECT_EQ(user.charged(), 1U);
}

// IOWQ-84. Method: what runs anyway after each of a hundred thousand that fail, which would take a frame each.
TEST(io_nodes, a_long_chain_fails_without_nesting) {
  test_runtime rt{machine(one_node)};
  io_pool pool{rt, {.name = "p"}};
  std::deque<io_task> chain;
  for (int i = 0; i < 100'000; ++i) {
    chain.emplace_back(io_item_options{}, [] {});
    if (i != 0) chain[static_cast<std::size_t>(i) - 1].then_anyway(chain.back());
  }
  pool.cancel_for_good();
  EXPECT_FALSE(pool.enqueue(chain.front()));
  EXPECT_EQ(chain.back().value(), -ECANCELED);
}

// IOWQ-12, IOWQ-100: limits are those of each node, and a user's is not exceeded.
TEST(io_nodes, limits_are_set_and_read_back) {
  test_runtime rt{machine(two_nodes)};
  const io_user user{7};
  io_pool pool{rt, of_nodes(&user)};
  const io_limits before = pool.max_workers({.bounded = 2, .unbounded = 5});
  EXPECT_EQ(before.bounded, 3U);
  EXPECT_EQ(before.unbounded, 7U);
  for (const io_node_stats& n : pool.stats().nodes) {
    EXPECT_EQ(n.bounded.workers_max, 2U);
    EXPECT_EQ(n.unbounded.workers_max, 5U);
  }
  pool.max_workers({.bounded = 0, .unbounded = 100});
  EXPECT_EQ(pool.max_workers({}).unbounded, 7U);
}

// IOWQ-10
TEST(io_nodes, refuse_wrong_options) {
  test_runtime rt{machine(one_node)};
  io_pool_options o = of_nodes();
  o.creation = io_creation::by_owner;
  EXPECT_EQ(io_pool::create(rt, o).error(), std::errc::invalid_argument);
  hash_domain domain{static_cast<runtime&>(rt)};
  EXPECT_THROW(domain.set_options(of_nodes()), std::system_error);
}

}  // namespace
}  // namespace wring
