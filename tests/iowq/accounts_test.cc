// SPDX-License-Identifier: Apache-2.0
// Accounts of an io_pool: how many workers each kind of items may have, by default, by a limit of its own and by that
// of the domain; that the two kinds do not hold up each other; and what a snapshot says.
#include "iowq/waits.h"
#include "support/gate.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::test_runtime;

// Nobody is looked at: who announces nothing counts as running.
runtime_options announced() { return {.cpus = 4, .detect = detection::announced}; }

unsigned usable_cpus() {
  cpu_set_t mask;
  EXPECT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
  return static_cast<unsigned>(CPU_COUNT(&mask));
}

unsigned limit_of_the_process() {
  rlimit limit{};
  EXPECT_EQ(::getrlimit(RLIMIT_NPROC, &limit), 0);
  return static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur, ~0U));
}

// Waits, announced, until it opens.
auto wait_for(gate& open) {
  return [&open] {
    const blocking_scope scope;
    open.wait();
  };
}

std::uint64_t made(const io_account_stats& a) {
  return a.created.enqueue + a.created.note + a.created.retry + a.created.manager;
}

// IOWQ-4, IOWQ-14, IOWQ-U11: bounded ones by the queue and the CPUs, the others by the limit of the process and the
// cap, which nobody exceeds.
TEST(io_accounts, have_limits_by_default) {
  test_runtime rt;
  const unsigned four_for_each_cpu = 4 * usable_cpus();
  const unsigned most = limit_of_the_process();
  const auto limits_of = [&](const io_pool_options& o) {
    const io_pool_stats s = io_pool{rt, o}.stats();
    return std::pair{s.bounded.workers_max, s.unbounded.workers_max};
  };
  using limits = std::pair<unsigned, unsigned>;
  EXPECT_EQ(limits_of({}), limits(std::min({four_for_each_cpu, most, 1'024U}), std::min(1'024U, most)));
  EXPECT_EQ(limits_of({.queue_size = 3}).first, std::min(3U, most));
  EXPECT_EQ(limits_of({.queue_size = 100'000}).first, std::min({four_for_each_cpu, most, 1'024U}));
  EXPECT_EQ(limits_of({.bounded = 5'000, .unbounded = 5'000}), limits(std::min(1'024U, most), std::min(1'024U, most)));
  EXPECT_EQ(limits_of({.hard_cap = 2}), limits(std::min(2U, most), std::min(2U, most)));
  io_pool pool{rt, {}};
  pool.max_workers({.bounded = 5'000, .unbounded = 5'000});
  EXPECT_EQ(pool.max_workers({}).bounded, std::min(1'024U, most));
  EXPECT_EQ(pool.max_workers({}).unbounded, std::min(1'024U, most));
}

// IOWQ-14: limits that are set before a thread's pool exists hold for it, which has no thread at first.
TEST(io_accounts, of_a_threads_pool_have_the_limits_that_were_set_before) {
  test_runtime rt;
  hash_domain domain{rt};
  domain.set_options({.name = "own", .bounded = 7, .unbounded = 8});
  domain.max_workers({.bounded = 3});
  std::thread{[&] {
    io_pool& pool = domain.this_threads_pool();
    const io_pool_stats s = pool.stats();
    EXPECT_EQ(s.name, "own");
    EXPECT_EQ(s.bounded.workers_max, 3U);
    EXPECT_EQ(s.unbounded.workers_max, 8U);
    EXPECT_EQ(s.owner, static_cast<std::uint32_t>(::gettid()));
    EXPECT_EQ(test::threads_named("io-wrk"), 0U);
  }}.join();
}

// IOWQ-25, IOWQ-49: above a lowered limit nobody is made, whatever waits, and nobody is sent away. Who leaves by itself
// is not replaced before the limit allows it.
TEST(io_accounts, with_a_lowered_limit_make_nobody_and_send_nobody_away) {
  test_runtime rt{announced()};
  io_pool pool{rt, {.name = "p", .bounded = 4, .idle_timeout = 1h}};
  gate end;
  for (int i = 0; i < 4; ++i) pool.submit(wait_for(end));
  eventually([&] { return pool.stats().bounded.blocked == 4; });
  pool.max_workers({.bounded = 2});
  std::atomic<int> ran{0};
  for (int i = 0; i < 3; ++i) pool.submit({.concurrent = i == 0}, [&] { ++ran; });
  EXPECT_EQ(pool.stats().bounded.workers, 4U);
  EXPECT_EQ(pool.stats().bounded.queued, 3U) << "all four wait, and no fifth one is made";
  EXPECT_EQ(made(pool.stats().bounded), 4U);
  end.open();
  eventually([&] { return ran == 3 && pool.stats().bounded.free == 4; });
  EXPECT_EQ(pool.stats().bounded.workers_most, 4U);
  pool.exit_on_idle(true);
  eventually([&] { return pool.stats().bounded.workers == 0; });
  gate again;
  for (int i = 0; i < 4; ++i) pool.submit(wait_for(again));
  eventually([&] { return pool.stats().bounded.blocked == 2 && pool.stats().bounded.queued == 2; });
  EXPECT_EQ(made(pool.stats().bounded), 6U) << "two, as the limit says";
  again.open();
  eventually([&] { return pool.stats().bounded.free == 2; });
  pool.audit();
}

// IOWQ-25: a hundred threads enqueue what wants workers of its own, while the limit goes up and down.
TEST(io_accounts, keep_their_limit_whoever_enqueues) {
  test_runtime rt{announced()};
  std::atomic<int> ran{0};
  {
    io_pool pool{rt, {.name = "p", .bounded = 5}};
    test::together(100, [&](int i) {
      pool.submit({.concurrent = true}, [&] {
        const blocking_scope scope;
        std::this_thread::yield();
        ++ran;
      });
      if (i % 10 == 0) pool.max_workers({.bounded = i % 20 == 0 ? 5U : 3U});
    });
    EXPECT_LE(pool.stats().bounded.workers_most, 5U);
  }
  EXPECT_EQ(ran, 100);
}

// IOWQ-100: limits that one pool is given are those of all that live in its domain, each clamped as it has to be, and
// let go on what waits there. Of no other domain's.
TEST(io_accounts, of_a_domain_change_together) {
  test_runtime rt{announced()};
  hash_domain domain{rt};
  io_pool one{rt, {.name = "one", .bounded = 1, .unbounded = 1, .domain = &domain}};
  io_pool two{rt, {.name = "two", .bounded = 1, .unbounded = 1, .hard_cap = 3, .domain = &domain}};
  io_pool other{rt, {.name = "other", .bounded = 1, .unbounded = 1}};
  gate end;
  std::atomic<bool> ran{false};
  two.submit(wait_for(end));
  eventually([&] { return two.stats().bounded.blocked == 1; });
  two.submit([&] { ran = true; });
  EXPECT_EQ(two.stats().bounded.queued, 1U);
  one.max_workers({.bounded = 2});
  eventually([&] { return ran.load(); });
  EXPECT_EQ(two.stats().bounded.workers_max, 2U);
  EXPECT_EQ(two.stats().unbounded.workers_max, 1U) << "0 leaves it as it is";
  domain.max_workers({.bounded = 5, .unbounded = 4});
  const auto limits_of = [](const io_pool& p) {
    return std::pair{p.stats().bounded.workers_max, p.stats().unbounded.workers_max};
  };
  EXPECT_EQ(limits_of(one), (std::pair{5U, 4U}));
  EXPECT_EQ(limits_of(two), (std::pair{3U, 3U}));
  EXPECT_EQ(limits_of(other), (std::pair{1U, 1U}));
  end.open();
}

// IOWQ-21, IOWQ-123: bounded items that wait fill their limit, and unbounded ones start all the same.
TEST(io_accounts, of_bounded_items_that_wait_do_not_hold_up_the_others) {
  test_runtime rt;
  test::read_of_a_pipe pipe;
  io_pool pool{rt, {.name = "p", .bounded = 3, .unbounded = 1}};
  constexpr int many = 1'000;
  std::atomic<int> failed{0};
  for (int i = 0; i < many; ++i) {
    pool.submit(
        {},
        [&](io_call& call) {
          const test::call c = pipe.what();
          call.system_call(c.number, c.a, c.b, c.c);
        },
        [&](std::error_code e) { failed += e ? 1 : 0; });
  }
  eventually([&] { return pool.stats().bounded.blocked == 3; });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.submit_for_result({.unbounded = true}, [i] { return i; }).get(), i);
  EXPECT_EQ(pool.stats().bounded.workers_most, 3U);
  EXPECT_EQ(pool.stats().bounded.queued, many - 3U);
  EXPECT_EQ(pool.cancel_all(), io_cancel::running);
  eventually([&] { return pool.stats().bounded.free == 3; });
  EXPECT_EQ(failed.load(), many - 3);
}

// IOWQ-5, IOWQ-111: one that runs, one that is blocked and cancelled, and one that is idle, each with what it does; the
// same for people.
TEST(io_accounts, are_told_of_with_every_worker) {
  test_runtime rt{announced()};
  io_pool pool{rt, {.name = "p", .bounded = 5, .unbounded = 6, .idle_timeout = 1h}};
  const int tag = 0;
  const int key = 0;
  result<identity> as = identity::make({.file_size = 10});
  ASSERT_TRUE(as.has_value());
  gate began;
  gate end;
  pool.submit({.unbounded = true, .key = &key, .tag = &tag, .as = *as}, wait_for(end));
  eventually([&] { return pool.stats().unbounded.blocked == 1; });
  EXPECT_EQ(pool.cancel_tagged(&tag), io_cancel::running);
  pool.submit({.unbounded = true, .key = &key}, [] {});
  pool.submit_for_result({.unbounded = true}, [] {}).get();  // by a second worker, which finds no other one
  eventually([&] { return pool.stats().unbounded.free == 1; });
  pool.submit([&] {
    began.open();
    end.wait();
  });
  began.wait();

  const io_pool_stats s = pool.stats();
  EXPECT_EQ(s.owner, static_cast<std::uint32_t>(::gettid()));
  EXPECT_EQ(s.busy_buckets, std::uint64_t{1} << hash_domain::bucket_of(&key));
  EXPECT_TRUE(s.unbounded.stalled);
  EXPECT_FALSE(s.bounded.stalled);
  ASSERT_EQ(s.workers.size(), 3U);
  using state = io_worker_stats::state_kind;
  const auto in_state = [&](state wanted) -> const io_worker_stats& {
    return *std::ranges::find_if(s.workers, [&](const io_worker_stats& w) { return w.state == wanted; });
  };
  for (const io_worker_stats& w : s.workers) EXPECT_EQ(w.name, "io-wrk-" + std::to_string(s.owner));
  ASSERT_EQ(std::ranges::count_if(s.workers, [](const io_worker_stats& w) { return w.state == state::blocked; }), 1);
  ASSERT_EQ(std::ranges::count_if(s.workers, [](const io_worker_stats& w) { return w.state == state::free; }), 1);
  const io_worker_stats& blocked = in_state(state::blocked);
  EXPECT_FALSE(blocked.bounded);
  EXPECT_EQ(blocked.tag, &tag);
  EXPECT_TRUE(blocked.cancelled);
  EXPECT_EQ(blocked.identity, as->describe());
  EXPECT_GT(blocked.running, 0ns);
  const io_worker_stats& runs = in_state(state::running);
  EXPECT_TRUE(runs.bounded);
  EXPECT_EQ(runs.tag, nullptr);
  EXPECT_FALSE(runs.cancelled);
  EXPECT_EQ(runs.identity, "");
  EXPECT_GT(runs.running, 0ns);
  const io_worker_stats& idle = in_state(state::free);
  EXPECT_FALSE(idle.bounded);
  EXPECT_EQ(idle.running, 0ns);

  const std::string text = pool.describe();
  const auto thread = [](const io_worker_stats& w) { return w.name + " (thread " + std::to_string(w.thread_id) + ")"; };
  for (const std::string& wanted :
       {"io_pool 'p' of thread " + std::to_string(s.owner) + "\n",
        std::string{"bounded: 1 of at most 5 workers (1 run, 0 blocked, 0 idle), 0 items wait;"},
        std::string{"unbounded: 2 of at most 6 workers (0 run, 1 blocked, 1 idle), 1 items "
                    "wait, all for busy keys;"},
        thread(runs) + ", bounded, runs, in its item for ", thread(blocked) + ", unbounded, blocked, in its item for ",
        " ms, cancelled, as " + as->describe() + "\n"}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted << "\nis not in\n" << text;
  }
  EXPECT_EQ(text.find(thread(idle)), std::string::npos) << "who is idle is only counted:\n" << text;
  pool.exit_on_idle(true);
  EXPECT_NE(pool.describe().find(", leaves when idle\n"), std::string::npos) << pool.describe();
  pool.exit_start();
  EXPECT_NE(pool.describe().find(", ending"), std::string::npos) << pool.describe();
  end.open();
}

}  // namespace
}  // namespace wring
