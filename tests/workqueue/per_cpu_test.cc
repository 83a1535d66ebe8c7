// SPDX-License-Identifier: Apache-2.0
// Divided queues and priorities on the machine itself. Timelines and orders are searched in
// tests/sim/wq_per_cpu_test.cc.
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using wring::test::gate;
using wring::test::in_forked_child;
using wring::test::overlap;
using wring::test::test_runtime;

// The CPUs the calling thread may run on.
std::vector<unsigned> own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<unsigned> cpus;
  for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

std::vector<unsigned> ids_of(const std::vector<wring::cpu_info>& cpus) {
  std::vector<unsigned> ids;
  for (const wring::cpu_info& c : cpus) ids.push_back(c.id);
  return ids;
}

wring::pool_stats pool_named(wring::runtime& where, const std::string& name) {
  const std::vector<wring::pool_stats> pools = where.stats().pools;
  const auto found = std::ranges::find(pools, name, &wring::pool_stats::name);
  return found != pools.end() ? *found : wring::pool_stats{};
}

// WQ-11, WQ-U4, WQ-108: a worker for each CPU the process may use, bound to it and named after it.
TEST(per_cpu, workers_are_bound_to_their_cpu_and_named_after_it) {
  test_runtime rt;
  EXPECT_EQ(ids_of(rt->cpus()), own_cpus());
  wring::workqueue q{rt, {.name = "bound", .per_cpu = true}};
  for (const unsigned cpu : own_cpus()) {
    EXPECT_EQ(q.run_on(cpu, own_cpus), std::vector{cpu});
    EXPECT_GE(wring::test::threads_named("wring/" + std::to_string(cpu) + ":"), 1u);
    EXPECT_EQ(pool_named(rt, std::to_string(cpu)).target, 1u);
    EXPECT_FALSE(pool_named(rt, std::to_string(cpu)).disassociated);
  }
}

// WQ-121, WQ-40, WQ-43: an item runs on the CPU it was queued on; one that is no CPU is misuse, and nothing is queued.
TEST(per_cpu, an_item_runs_on_the_cpu_it_was_queued_on) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "on", .per_cpu = true}};
  std::vector<unsigned> where;
  wring::work item{[&] { where = own_cpus(); }};
  wring::delayed_work later{[&] { where = own_cpus(); }};
  for (const unsigned cpu : own_cpus()) {
    ASSERT_TRUE(q.queue_on(cpu, item));
    q.flush();
    EXPECT_EQ(where, std::vector{cpu});
    where.clear();
    ASSERT_TRUE(q.queue_delayed_on(cpu, later, 1ms));
    later.flush();
    EXPECT_EQ(where, std::vector{cpu});
  }
  EXPECT_FALSE(q.queue_on(100'000, item));
  EXPECT_FALSE(item.pending());
  const auto told = rt.misuses.take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told.front().find("CPU 100000"), std::string::npos) << told.front();
}

// WQ-41. Method: the caller is bound to each CPU in turn.
TEST(per_cpu, an_item_goes_to_the_cpu_of_its_caller) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "here", .per_cpu = true}};
  for (const unsigned cpu : own_cpus()) {
    std::thread caller{[&q, cpu] {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
      std::vector<unsigned> where;
      wring::work item{[&where] { where = own_cpus(); }};
      EXPECT_TRUE(q.queue(item));
      item.flush();
      EXPECT_EQ(where, std::vector{cpu});
    }};
    caller.join();
  }
}

// WQ-6, WQ-23. Method: a callback keeps the only place of its queue on one CPU; that queue goes on elsewhere, and other
// queues there.
TEST(per_cpu, a_queue_has_a_limit_a_list_and_flushes_of_its_own_on_each_cpu) {
  test_runtime rt{{.cpus = 2, .topology = "pu:2"}};
  {
    wring::workqueue q{rt, {.name = "full", .max_active = 1, .per_cpu = true}};
    wring::workqueue other{rt, {.name = "other", .max_active = 1, .per_cpu = true}};
    gate entered;
    gate end;
    q.submit_on(0, [&] {
      entered.open();
      const wring::blocking_scope scope;
      end.wait();
    });
    entered.wait();
    wring::work behind{[] {}};
    EXPECT_TRUE(q.queue_on(0, behind));
    EXPECT_TRUE(q.stats().congested);
    wring::work beside{[] {}};
    EXPECT_TRUE(q.queue_on(1, beside));
    beside.flush();
    EXPECT_TRUE(other.queue_on(0, beside));
    EXPECT_TRUE(other.flush());
    EXPECT_FALSE(other.stats().congested);
    EXPECT_EQ(other.stats().items_completed, 1u);
    EXPECT_EQ(q.stats().items_completed, 1u);
    EXPECT_EQ(q.stats().active, 1u);
    EXPECT_TRUE(behind.pending());
    end.open();
    q.flush();
  }
  rt.warnings.ignore();  // CPUs that are not there
}

// WQ-43: a CPU that exists and may not be used by the process is no error; another one takes the item. Method: a child
// process that gives up all CPUs but one.
TEST(per_cpu, a_cpu_that_may_not_be_used_is_replaced_by_another) {
  const std::vector<unsigned> all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  EXPECT_EQ(in_forked_child([&](wring::test::claims& c) {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(all.front(), &one);
              ::sched_setaffinity(0, sizeof one, &one);
              wring::runtime rt;
              wring::workqueue q{rt, {.name = "narrowed", .per_cpu = true}};
              std::atomic<bool> ran{false};
              wring::work item{[&] { ran.store(true); }};
              c.check(q.queue_on(all.back(), item), "the item is accepted");
              q.flush();
              c.check(ran.load(), "and has run");
              try {
                q.run_on(all.back(), [] {});
                c.check(false, "run_on() throws");
              } catch (const std::system_error& e) {
                c.check(e.code() == std::errc::no_such_device, "ENODEV");
              }
              c.check(rt.stats().cpus == 1, "one CPU is planned for");
            }),
            0);
}

// WQ-72..75 on real threads: callbacks that do not block go one by one, and one that blocks makes room at once.
TEST(per_cpu, a_cpu_runs_one_callback_and_the_next_when_that_blocks) {
  test_runtime rt{{.cpus = 4, .stall_floor = 0ms}};
  wring::workqueue q{rt, {.name = "one", .per_cpu = true}};
  const unsigned cpu = own_cpus().front();
  overlap o;
  for (int i = 0; i < 100; ++i) {
    q.submit_on(cpu, [&] {
      o.enter();
      o.leave();
    });
  }
  q.flush();
  EXPECT_EQ(o.most(), 1);

  gate entered;
  gate second;
  q.submit_on(cpu, [&] {
    entered.open();
    const wring::blocking_scope scope;
    second.wait();
  });
  entered.wait();
  q.submit_on(cpu, [&] { second.open(); });
  q.flush();
}

// WQ-26, WQ-78: while a CPU-intensive callback computes, others of the CPU start.
TEST(per_cpu, a_cpu_intensive_callback_holds_up_nobody) {
  test_runtime rt{{.cpus = 4, .stall_floor = 0ms}};
  wring::workqueue crunch{rt, {.name = "crunch", .per_cpu = true, .cpu_intensive = true}};
  wring::workqueue light{rt, {.name = "light", .per_cpu = true}};
  const unsigned cpu = own_cpus().front();
  gate entered;
  gate end;
  crunch.submit_on(cpu, [&] {
    entered.open();
    end.wait();  // as if it computed: nobody is told
  });
  entered.wait();
  EXPECT_EQ(pool_named(rt, std::to_string(cpu)).cpu_intensive, 1u);
  gate ran;
  light.submit_on(cpu, [&] { ran.open(); });
  ran.wait();
  end.open();
  crunch.flush();
  EXPECT_EQ(pool_named(rt, std::to_string(cpu)).cpu_intensive, 0u);
}

// WQ-41: with forced turns the caller's CPU does not matter.
TEST(per_cpu, forced_round_robin_takes_the_cpus_in_turn) {
  test_runtime rt{{.cpus = 2, .topology = "node:1 core:4 pu:1", .force_round_robin = true}};
  wring::workqueue q{rt, {.name = "turns", .per_cpu = true}};
  for (int i = 0; i < 8; ++i) q.submit([] {});
  q.flush();
  for (const char* const cpu : {"0", "1", "2", "3"}) EXPECT_EQ(pool_named(rt, cpu).items_started, 2u) << cpu;
  rt.warnings.ignore();  // CPUs of the description that are not there
}

// WQ-47: once on each CPU; the first exception comes out.
TEST(per_cpu, run_on_each_cpu_runs_everywhere_once) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "each", .per_cpu = true}};
  std::atomic<unsigned> wrong{0};
  std::vector<std::atomic<int>> runs(own_cpus().back() + 1);
  q.run_on_each_cpu([&](unsigned cpu) {
    if (own_cpus() != std::vector{cpu}) wrong.fetch_add(1);
    runs[cpu].fetch_add(1);
  });
  EXPECT_EQ(wrong.load(), 0u);
  for (const unsigned cpu : own_cpus()) EXPECT_EQ(runs[cpu].load(), 1);
  EXPECT_THROW(q.run_on_each_cpu([] { throw std::runtime_error{"no"}; }), std::runtime_error);
}

// WQ-49: values, references and exceptions come back; so do calls from a callback of the same CPU.
TEST(per_cpu, run_on_returns_what_the_function_returns_or_throws) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "call", .per_cpu = true}};
  wring::workqueue plain{rt, {.name = "plain"}};
  const unsigned cpu = own_cpus().back();
  int target = 1;
  EXPECT_EQ(q.run_on(cpu, [] { return std::string{"value"}; }), "value");
  q.run_on(cpu, [&]() -> int& { return target; }) = 2;
  EXPECT_EQ(target, 2);
  EXPECT_THROW(q.run_on(cpu, []() -> int { throw std::runtime_error{"no"}; }), std::runtime_error);
  EXPECT_EQ(q.run_on(cpu, [&] { return q.run_on(cpu, [] { return 3; }); }), 3) << "the caller makes room for it";
  EXPECT_THROW(plain.run_on(cpu, [] {}), std::system_error) << "no queue per CPU";
  EXPECT_THROW(q.run_on(100'000, [] {}), std::system_error);
}

// WQ-U7: with more CPUs than the machine has, pools whose CPU is not there run anywhere, and that is said once.
TEST(per_cpu, pools_of_cpus_that_are_not_there_are_disassociated_and_it_is_said_once) {
  std::vector<std::pair<const char*, unsigned>> machines{{"node:2 core:16 pu:2", 64}};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which take a minute for a thousand threads
  machines.emplace_back("node:8 core:32 pu:2", 512);
#endif
  for (const auto& [description, count] : machines) {
    test_runtime rt{{.cpus = 2, .topology = description}};
    {
      wring::workqueue q{rt, {.name = "many", .per_cpu = true}};
      std::atomic<unsigned> ran{0};
      for (unsigned cpu = 0; cpu < count; ++cpu) EXPECT_TRUE(q.submit_on(cpu, [&] { ran.fetch_add(1); }));
      q.flush();
      EXPECT_EQ(ran.load(), count);
      EXPECT_EQ(q.run_on(count - 1, [] { return 5; }), 5);
      EXPECT_TRUE(pool_named(rt, std::to_string(count - 1)).disassociated);
    }
    EXPECT_EQ(rt.warnings.count("could not be bound to CPU"), 1u);
    rt.warnings.ignore();
  }
}

// WQ-42, WQ-23: near a node means in its pool; the nodes share max_active by their CPUs.
TEST(per_cpu, nodes_have_pools_of_their_own) {
  test_runtime rt{{.cpus = 2, .topology = "node:2 core:2 pu:1"}};
  wring::workqueue q{
      rt, {.name = "nodes", .max_active = 20, .attributes = {.scope = wring::affinity_scope::numa, .strict = true}}};
  gate end;
  wring::test::counter inside;
  for (int i = 0; i < 30; ++i) {
    q.submit_on(3, [&] {
      inside.add();
      const wring::blocking_scope scope;
      end.wait();
    });
  }
  inside.wait_for(10);
  wring::work near_first{[] {}};
  EXPECT_TRUE(q.queue_near(0, near_first));
  near_first.flush();
  EXPECT_EQ(inside.value(), 10) << "half of 20 for half of the CPUs";
  end.open();
  q.flush();
  EXPECT_TRUE(q.queue_near(77, near_first)) << "a node that is not there is no wish";
  near_first.flush();
  wring::workqueue bound{rt, {.name = "bound", .per_cpu = true}};
  wring::work item{[] {}};
  EXPECT_TRUE(bound.queue_near(1, item));
  item.flush();
  EXPECT_TRUE(bound.queue_near(1, item));
  item.flush();
  EXPECT_EQ(rt.warnings.count("queue_near() on the per-CPU queue"), 1u);
  rt.warnings.ignore();
}

// WQ-25, WQ-U6: who may, gets nice -20.
TEST(per_cpu, workers_of_high_priority_have_nice_minus_20_where_that_is_allowed) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "high", .high_priority = true}};
  wring::workqueue bound{rt, {.name = "bound", .per_cpu = true, .high_priority = true}};
  const auto nice = [] { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); };
  const int before = nice();
  const int of_unbound = q.submit_for_result(nice).get();
  const int of_bound = bound.run_on(own_cpus().front(), nice);
  const bool refused = pool_named(rt, "u2").priority_refused;
  EXPECT_EQ(of_unbound, refused ? before : -20);
  EXPECT_EQ(of_bound, refused ? before : -20);
  EXPECT_GE(wring::test::threads_named("wring/" + std::to_string(own_cpus().front()) + ":0H"), 1u);
  EXPECT_EQ(rt.warnings.count("nice -20"), refused ? 1u : 0u);
  rt.warnings.ignore();
}

// WQ-U6: who may not runs on, and it is said once. Method: a child process without privileges.
TEST(per_cpu, without_the_privilege_high_priority_degrades_and_says_so_once) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to have privileges to give up";
  EXPECT_EQ(in_forked_child([](wring::test::claims& c) {
              c.check(::setgid(65534) == 0 && ::setuid(65534) == 0, "the privileges are given up");
              test_runtime rt;
              {
                wring::workqueue q{rt, {.name = "high", .high_priority = true}};
                wring::workqueue bound{rt, {.name = "bound", .per_cpu = true, .high_priority = true}};
                c.check(q.submit_for_result([] { return 1; }).get() == 1, "it runs");
                c.check(bound.run_on(own_cpus().front(), [] { return 2; }) == 2, "bound, too");
                c.check(pool_named(rt, "u2").priority_refused, "the stats say so");
              }
              c.check(rt.warnings.count("nice -20") == 1, "said once");
              rt.warnings.ignore();
            }),
            0);
}

// A call that could only wait for itself is misuse. WQ-49, WQ-86.
TEST(per_cpu, a_call_from_the_only_slot_of_its_cpu_is_misuse) {
  test_runtime rt;
  wring::workqueue q{rt, {.name = "narrow", .max_active = 1, .per_cpu = true}};
  const unsigned cpu = own_cpus().front();
  q.submit_on(cpu, [&] {
    try {
      q.run_on(cpu, [] {});
      ADD_FAILURE() << "it returned";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::resource_deadlock_would_occur);
    }
    EXPECT_THROW(q.run_on_each_cpu([] {}), std::system_error);
  });
  q.flush();
  EXPECT_EQ(rt.misuses.take().size(), 2u);
}

// New threads inherit from who makes them; those of a runtime go where the program's threads are. Method: queues,
// plans and a runtime made in a callback that is bound to one CPU, at high priority.
TEST(per_cpu, what_a_bound_callback_makes_is_not_bound_with_it) {
  test_runtime rt{{.cpus = 2}};
  const int nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
  const std::vector<unsigned> all = own_cpus();
  wring::workqueue bound{rt, {.name = "bound", .per_cpu = true, .high_priority = true}};
  bound.run_on(all.front(), [&] {
    const auto place = [] { return std::pair{own_cpus(), ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()))}; };
    wring::workqueue unmanaged{rt, {.name = "unmanaged", .unmanaged = true}};
    EXPECT_EQ(unmanaged.submit_for_result(place).get(), std::pair(all, nice));
    EXPECT_EQ(rt->replan(), 2u);
    wring::runtime own;
    EXPECT_EQ(own.stats().cpus, wring::runtime{}.stats().cpus);
    EXPECT_EQ(ids_of(own.cpus()), all);
    wring::workqueue of_own{own, {.name = "of its own runtime"}};
    EXPECT_EQ(of_own.submit_for_result(place).get(), std::pair(all, nice));
  });
  rt.warnings.ignore();  // nice -20 may be refused
}

// WQ-21. Option errors name what does not go together.
TEST(per_cpu, options_that_exclude_each_other_are_refused) {
  test_runtime rt;
  const auto error = [&](wring::workqueue_options o) { return wring::workqueue::create(rt, o).error(); };
  EXPECT_EQ(error({.ordered = true, .per_cpu = true}), std::errc::invalid_argument);
  EXPECT_EQ(error({.unmanaged = true, .per_cpu = true}), std::errc::invalid_argument);
  EXPECT_EQ(error({.per_cpu = true, .attributes = {.scope = wring::affinity_scope::numa, .strict = true}}),
            std::errc::invalid_argument);
  test_runtime odd{{.cpus = 1, .topology = "no topology"}};
  EXPECT_EQ(wring::workqueue::create(odd, {.per_cpu = true}).error(), std::errc::invalid_argument);
  EXPECT_TRUE(wring::workqueue::create(odd, {}).has_value()) << "who does not ask does not care";
}

// The plan follows the affinity mask on request; what an option says stays. Method: a child process.
TEST(per_cpu, replan_follows_the_affinity_mask) {
  const std::vector<unsigned> all = own_cpus();
  if (all.size() < 2) GTEST_SKIP() << "needs two CPUs";
  EXPECT_EQ(in_forked_child([&](wring::test::claims& c) {
              ::unsetenv("WRING_CPUS");
              wring::runtime rt;
              wring::runtime fixed{{.cpus = 3}};
              const unsigned before = rt.stats().cpus;
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(all.front(), &one);
              ::sched_setaffinity(0, sizeof one, &one);
              c.check(rt.stats().cpus == before, "nothing happens by itself");
              c.check(rt.replan() == 1 && rt.stats().cpus == 1 && rt.stats().pools.front().target == 1,
                      "one CPU is left");
              c.check(fixed.replan() == 3, "an option stays");
              cpu_set_t every;
              CPU_ZERO(&every);
              for (const unsigned cpu : all) CPU_SET(cpu, &every);
              ::sched_setaffinity(0, sizeof every, &every);
              c.check(rt.replan() == before, "all are back");
              ::setenv("WRING_CPUS", "7", 1);
              c.check(rt.replan() == 7, "WRING_CPUS is above all");
            }),
            0);
}

// The last test: it makes the default runtime, which stays, and the thread sanitizer allows no threads in a child that
// was forked beside other threads.
// WQ-36, WQ-47, WQ-48: the system queue, and what runs at once unless the caller must not be held up.
TEST(per_cpu, the_system_queue_is_there_for_everybody) {
  std::atomic<int> ran{0};
  wring::work item{[&] { ran.fetch_add(1); }};
  EXPECT_TRUE(wring::schedule(item));
  item.flush();
  EXPECT_TRUE(wring::schedule_on(own_cpus().back(), item));
  item.flush();
  wring::delayed_work later{[&] { ran.fetch_add(1); }};
  EXPECT_TRUE(wring::schedule_delayed(later, 1h));
  EXPECT_TRUE(later.flush());
  EXPECT_TRUE(wring::schedule_delayed_on(own_cpus().back(), later, 1ms));
  later.flush();
  EXPECT_EQ(wring::run_on_cpu(own_cpus().back(), own_cpus), std::vector{own_cpus().back()});
  std::atomic<std::size_t> cpus{0};
  wring::run_on_each_cpu([&] { cpus.fetch_add(1); });
  EXPECT_EQ(cpus.load(), own_cpus().size());
  EXPECT_EQ(&wring::system_queue(), &wring::system_queue());

  const pid_t self = ::gettid();
  std::atomic<pid_t> ran_on{0};
  const auto note = [&] { ran_on.store(::gettid()); };
  EXPECT_FALSE(wring::execute_in_process_context(note)) << "run now";
  EXPECT_EQ(ran_on.load(), self);
  {
    const wring::nonblocking_scope event_loop;
    EXPECT_TRUE(wring::execute_in_process_context(note)) << "queued";
  }
  wring::test::eventually([&] { return ran_on.load() != self; });
  EXPECT_EQ(ran.load(), 4);
}

}  // namespace
