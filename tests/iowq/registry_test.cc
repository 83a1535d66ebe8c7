// SPDX-License-Identifier: Apache-2.0
// I/O worker pools and their runtime: its shutdown, its end, its start, its CPUs, and forked children.
#include "iowq/waits.h"
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <sched.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::make;
using test::test_runtime;

template <class F>
std::error_code error_of(const F& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

std::vector<unsigned> usable_cpus() {
  cpu_set_t mask;
  EXPECT_EQ(::sched_getaffinity(0, sizeof(mask), &mask), 0);
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

// IOWQ-90: a shutdown ends the pools too: what is bounded runs still, what is not is interrupted or fails.
TEST(io_pools_of_a_runtime, end_with_its_shutdown) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  gate first;
  io_pool pool{rt, {.name = "p", .bounded = 1, .unbounded = 1}};
  std::atomic<int> ran{0};
  std::atomic<int> failed{0};
  pool.submit([&] { first.wait(); });
  for (int i = 0; i < 9; ++i) pool.submit([&] { ++ran; });
  for (int i = 0; i < 10; ++i) {
    pool.submit(
        {.unbounded = true}, [&](io_call& call) { make(call, pipe.what()); },
        [&](std::error_code e) { failed += e ? 1 : 0; });
  }
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  EXPECT_FALSE(rt->shutdown(0ns).complete);
  EXPECT_EQ(failed.load(), 9);
  EXPECT_FALSE(pool.submit([] {})) << "it takes nothing any more";
  EXPECT_EQ(error_of([&] { io_pool late{rt, {}}; }), std::errc::operation_canceled);
  first.open();
  EXPECT_TRUE(rt->shutdown(1h).complete);
  EXPECT_EQ(ran.load(), 9);
  eventually([] { return test::threads_named("io-wrk") == 0; });
}

TEST(io_pools_of_a_runtime, are_told_of_by_a_shutdown_that_gives_up) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  io_pool pool{rt, {.name = "files", .bounded = 1}};
  pool.submit([&](io_call& call) { make(call, pipe.what()); });
  pool.submit([] {});
  eventually([&] { return pool.stats().bounded.blocked == 1; });
  const shutdown_report report = rt->shutdown(1ms);
  EXPECT_FALSE(report.complete);
  ASSERT_EQ(report.stuck.size(), 1U);
  EXPECT_EQ(report.stuck[0].queue, "files");
  EXPECT_EQ(report.stuck[0].thread_id, pool.stats().workers[0].thread_id);
  EXPECT_TRUE(report.stuck[0].announced);
  EXPECT_EQ(report.queues, std::vector<std::string>{"files: 1 waiting"});
  EXPECT_NE(rt->describe().find("io_pool 'files'"), std::string::npos) << rt->describe();
  pipe.write();
  EXPECT_TRUE(rt->shutdown(1h).complete);
}

TEST(io_pools_of_a_runtime, refuse_a_shutdown_by_an_item_of_theirs) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p"}};
  EXPECT_FALSE(pool.submit_for_result({}, [&] { return rt->shutdown(1h).complete; }).get());
  EXPECT_EQ(rt.misuses.take().size(), 1U);
}

// The misuse is said, no thread is left, and the pool can be destroyed.
TEST(io_pools_of_a_runtime, that_outlive_it_have_ended) {
  test::report_log misuses;
  std::optional<io_pool> pool;
  std::optional<hash_domain> domain;
  {
    runtime rt{{.on_misuse = [](const char* text, void* to) { static_cast<test::report_log*>(to)->add(text); },
                .report_context = &misuses}};
    domain.emplace(rt);
    pool.emplace(rt, io_pool_options{.name = "late", .domain = &*domain});
    EXPECT_EQ(pool->submit_for_result({}, [] { return 7; }).get(), 7);
  }
  EXPECT_EQ(misuses.count("io_pool 'late'"), 1U);
  eventually([] { return test::threads_named("io-wrk") == 0; });
  EXPECT_FALSE(pool->submit([] {}));
}

// IOWQ-U13: pools of threads end with the runtime, if that is first, and that is no misuse.
TEST(io_pools_of_a_runtime, of_threads_may_outlive_it) {
  gate made;
  gate gone;
  std::optional<hash_domain> domain;
  std::thread owner;
  {
    test_runtime rt;
    domain.emplace(rt);
    owner = std::thread{[&] {
      io_pool& pool = domain->this_threads_pool();
      EXPECT_EQ(pool.submit_for_result({}, [] { return 7; }).get(), 7);
      made.open();
      gone.wait();
      EXPECT_FALSE(pool.submit([] {}));
    }};
    made.wait();
  }
  eventually([] { return test::threads_named("io-wrk") == 0; });
  EXPECT_EQ(error_of([&] { domain->this_threads_pool(); }), std::errc::operation_canceled);
  gone.open();
  owner.join();
}

// As a queue: what comes before start() waits for it.
TEST(io_pools_of_a_runtime, have_no_thread_before_its_start) {
  test_runtime rt{{.start_later = true}};
  io_pool pool{rt, {.name = "p"}};
  std::atomic<int> ran{0};
  for (int i = 0; i < 3; ++i) pool.submit([&] { ++ran; });
  pool.submit({.unbounded = true}, [&] { ++ran; });
  EXPECT_EQ(test::threads_named("io-wrk"), 0U);
  EXPECT_EQ(pool.stats().bounded.queued, 3U);
  rt->start();
  eventually([&] { return ran == 4; });
}

// IOWQ-101, IOWQ-102: new workers begin where the runtime may run now, and nothing else may be asked for.
TEST(io_pools_of_a_runtime, follow_its_cpus) {
  const std::vector<unsigned> all = usable_cpus();
  if (all.size() < 2) GTEST_SKIP() << "one CPU";
  test_runtime rt{{}};
  io_pool pool{rt, {.name = "p", .bounded = 1}};
  const auto cpus_of_a_worker = [&] { return pool.submit_for_result({}, [] { return usable_cpus(); }).get(); };
  EXPECT_EQ(cpus_of_a_worker(), all);
  rt->replan({all[0]});
  pool.exit_on_idle(true);
  eventually([&] { return pool.stats().bounded.workers == 0; });
  EXPECT_EQ(cpus_of_a_worker(), std::vector<unsigned>{all[0]});
  EXPECT_EQ(error_of([&] { pool.set_affinity({all[1]}); }), std::errc::invalid_argument);
  rt->replan(all);
  pool.set_affinity({all[1]});
  pool.exit_on_idle(true);
  eventually([&] { return pool.stats().bounded.workers == 0; });
  EXPECT_EQ(cpus_of_a_worker(), std::vector<unsigned>{all[1]});
}

// IOWQ-U16: what is busy in the parent is free in the child, which makes a pool of its own for it.
TEST(io_pools_of_a_runtime, leave_their_domain_to_a_forked_child) {
  if (!test::can_fork_beside_threads) GTEST_SKIP() << test::cannot_fork;
  test_runtime rt;
  hash_domain domain{rt};
  io_pool pool{rt, {.name = "p", .domain = &domain}};
  gate began;
  gate forked;
  const int key = 0;
  EXPECT_EQ(domain.this_threads_pool().submit_for_result([] { return 7; }).get(), 7);
  pool.submit({.key = &key}, [&] {
    began.open();
    forked.wait();
  });
  began.wait();
  EXPECT_EQ(test::in_forked_child([&](test::claims& claims) {
              claims.check(domain.busy() == 0, "no bucket is busy");
              io_pool its{rt, {.name = "child", .domain = &domain}};
              claims.check(its.submit_for_result({.key = &key}, [] { return 7; }).get() == 7, "the key is free");
              claims.check(domain.this_threads_pool().submit_for_result([] { return 7; }).get() == 7, "as new as that");
              pool.max_workers({.bounded = 9});
            }),
            0);
  EXPECT_EQ(domain.busy(), std::uint64_t{1} << hash_domain::bucket_of(&key));
  forked.open();
}

}  // namespace
}  // namespace wring
