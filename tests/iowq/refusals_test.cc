// SPDX-License-Identifier: Apache-2.0
// Identities and threads that an io_pool is refused, and what becomes of its items.
//
// Method: threads are refused, for real, in a child process that has lowered its limit.
#include "support/gate.h"
#include "support/limited_process.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::allow_threads;
using test::eventually;
using test::gate;
using test::in_limited_process;
using test::test_runtime;

// An item of the caller's, and what it was told.
struct node : io_work {
  using io_work::io_work;
  std::atomic<int> refusal{1};  // none yet
};

// IOWQ-U4: an item as whom its worker may not be has not run; all that ask for its end are told why. What depends on it
// is cancelled, its bucket is free again, and the worker goes on as itself.
TEST(io_refusals, of_an_identity_are_told_to_who_waits_for_the_item) {
  in_limited_process([]() -> std::string {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NICE, &none);
    result<identity> less_nice = identity::make({.nice = -5});
    result<identity> root = identity::make({.user = 0, .group = 0});
    if (!less_nice.has_value() || !root.has_value()) return "the identities cannot be made";
    test_runtime rt;
    const int key = 0;
    for (const identity& refused : {*less_nice, *root}) {
      io_pool pool{rt,
                   {.name = "p",
                    .bounded = 1,
                    .callbacks = {.do_work = [](io_work& it, io_call& call,
                                                void*) { static_cast<node&>(it).refusal = call.refusal(); },
                                  .free_work = [](io_work&, void*) -> io_work* { return nullptr; }}}};
      bool ran = false;
      std::atomic<int> told{0};
      pool.submit(
          {.key = &key, .as = refused}, [&ran] { ran = true; }, [&told](std::error_code e) { told = e.value(); });
      eventually([&] { return told != 0; });
      if (told != EPERM) return "the closure is told " + std::to_string(told);
      if (pool.submit_for_result({.key = &key}, [] { return 7; }).get() != 7) return "the key is not free";
      io_task task{{.as = refused}, [&ran] { ran = true; }};
      io_task next{{}, [&ran] { ran = true; }};
      bool ran_anyway = false;
      io_task anyway{{}, [&ran_anyway] { ran_anyway = true; }};
      task.then(next).then_anyway(anyway);
      if (!pool.enqueue(task)) return "the task is not taken";
      task.wait();
      if (task.value() != -EPERM) return "the task has " + std::to_string(task.value());
      next.wait();
      if (next.value() != -ECANCELED) return "what depends on it has " + std::to_string(next.value());
      anyway.wait();
      if (!ran_anyway || anyway.value() != 0) return "what runs anyway has not";
      node bare{{.as = refused}};
      pool.enqueue(bare);
      eventually([&] { return bare.refusal != 1; });
      if (bare.refusal != -EPERM) return "the node is told " + std::to_string(bare.refusal);
      try {
        pool.submit_for_result({.as = refused}, [] { return 7; }).get();
        return "the future has a value";
      } catch (const std::system_error& e) {
        if (e.code() != std::errc::operation_not_permitted) return e.what();
      }
      if (ran) return "it has run";
      eventually([&] { return pool.stats().bounded.free == 1; });
      const io_account_stats s = pool.stats().bounded;
      if (s.refused != 4) return "refused: " + std::to_string(s.refused);
      if (s.workers_most != 1 || s.created.enqueue != 1) return "another worker was made";
      if (pool.submit_for_result([] { return ::getuid() == ::geteuid(); }).get() != 1) return "it is somebody else";
    }
    return "";
  });
}

runtime_options announced(std::chrono::milliseconds retry) {
  return {.cpus = 2, .creation_retry = retry, .detect = detection::announced};  // no thread that ends by itself
}

// Waits, announced, until it opens.
auto wait_for(gate& open) {
  return [&open] {
    const blocking_scope scope;
    open.wait();
  };
}

// IOWQ-100, IOWQ-U11: nobody is promised more than the process may have.
TEST(io_refusals, by_the_limit_of_the_process_bound_the_limits_of_a_pool) {
  in_limited_process([]() -> std::string {
    test_runtime rt{announced(1h)};
    const rlimit seven{7, 4'096};
    ::setrlimit(RLIMIT_NPROC, &seven);
    io_pool pool{rt, {.bounded = 6, .unbounded = 500}};
    const io_limits before = pool.max_workers({.bounded = 100});
    if (before.bounded != 6 || before.unbounded != 7) return "not at its beginning";
    if (pool.max_workers({}).bounded != 7) return "not later";
    if (io_user{1'000}.granted() != 7) return "not of a user";
    return "";
  });
}

// IOWQ-33, IOWQ-43, IOWQ-U11: with no thread to be had and no worker there what waits fails, after the fourth refusal;
// when the system allows threads again the next one gets one.
TEST(io_refusals, of_the_first_worker_fail_what_waits_for_it) {
  in_limited_process([]() -> std::string {
    test_runtime rt{announced(1h)};
    io_pool pool{rt, {.name = "p"}};
    for (int round = 0; round < 2; ++round) {
      allow_threads(0);
      const std::uint64_t before = pool.stats().bounded.created.refused;
      std::atomic<int> failed{0};
      for (int i = 0; i < 3; ++i) {
        pool.submit(
            {}, [] {}, [&](std::error_code e) { failed += e == std::errc::operation_canceled ? 1 : 0; });
      }
      eventually([&] { return failed == 3; });
      const io_account_stats s = pool.stats().bounded;
      const std::uint64_t refused = s.created.refused - before;  // more than four: an item came after the others' end
      if (refused == 0 || refused % 4 != 0) return "refused: " + std::to_string(refused);
      if (s.workers != 0 || s.queued != 0 || s.running != 0) return "something is left";
      pool.audit();
      allow_threads(100);
      if (pool.submit_for_result([] { return 7; }).get() != 7) return "not even with threads";
      pool.exit_on_idle(true);
      eventually([&] { return pool.stats().bounded.workers == 0 && test::threads_named("io-wrk") == 0; });
    }
    return "";
  });
}

// IOWQ-43, IOWQ-46, IOWQ-U11: a worker that blocks cannot be replaced; what waits behind it is run by itself when it
// comes back, or by another one as soon as the system allows it.
TEST(io_refusals, of_another_worker_leave_the_items_waiting) {
  in_limited_process([]() -> std::string {
    for (const bool comes_back : {true, false}) {
      test_runtime rt{announced(comes_back ? std::chrono::milliseconds{1h} : 1ms)};
      io_pool pool{rt, {.name = "p"}};
      gate end;
      pool.submit(wait_for(end));
      eventually([&] { return pool.stats().bounded.blocked == 1; });
      allow_threads(0);
      std::atomic<int> ran{0};
      for (int i = 0; i < 3; ++i) pool.submit([&] { ++ran; });
      eventually([&] { return pool.stats().bounded.created.refused >= 4; });
      if (ran != 0 || pool.stats().bounded.queued != 3) return "not all wait";
      if (comes_back) {
        end.open();
        eventually([&] { return ran == 3; });
        if (pool.stats().bounded.workers_most > 2) return "somebody was made";
      } else {
        allow_threads(100);
        eventually([&] { return ran == 3; });
        end.open();
      }
      allow_threads(100);
    }
    return "";
  });
}

// IOWQ-11: with no thread for its manager, or for a first worker, a pool of nodes is not made.
TEST(io_refusals, of_the_first_threads_leave_nothing_of_a_pool_of_nodes) {
  in_limited_process([]() -> std::string {
    test_runtime rt{{.cpus = 2, .topology = "node:2 core:1 pu:1", .detect = detection::announced}};
    const io_user user{3};
    const io_pool_options o{.name = "n", .profile = io_profile::node, .user = &user};
    for (const std::size_t allowed : {0U, 1U, 2U}) {
      eventually([] { return test::threads_named("io-") == 0; });
      allow_threads(allowed);
      const auto made = io_pool::create(rt, o);
      if (made.has_value()) return "it was made with " + std::to_string(allowed) + " threads";
      if (made.error() != std::errc::not_enough_memory) return made.error().message();
    }
    eventually([] { return test::threads_named("io-") == 0; });
    allow_threads(100);
    return io_pool::create(rt, o).has_value() ? "" : "not even with threads";
  });
}

}  // namespace
}  // namespace wring
