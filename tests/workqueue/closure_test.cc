// SPDX-License-Identifier: Apache-2.0
// One-off closures, results of closures, and what becomes of exceptions (WQ-U14).
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace wring {
namespace {

using test::gate;
using test::plug;
using test::test_runtime;

TEST(closure, of_any_size_and_move_only_is_run_once_and_destroyed) {
  test_runtime rt;
  workqueue queue{rt, {.name = "sizes"}};
  auto shared = std::make_shared<int>(7);
  std::atomic<int> sum{0};
  queue.submit([&sum, shared] { sum.fetch_add(*shared); });
  std::array<int, 100> big{};
  big.fill(1);
  queue.submit([&sum, big, shared] {
    for (const int i : big) sum.fetch_add(i);
  });
  std::array<char, 5'000> huge{};
  queue.submit([&sum, huge, shared] { sum.fetch_add(static_cast<int>(huge.size())); });
  auto unique = std::make_unique<int>(1'000'000);
  queue.submit([&sum, unique = std::move(unique)] { sum.fetch_add(*unique); });
  queue.flush();
  EXPECT_EQ(sum.load(), 7 + 100 + 5'000 + 1'000'000);
  EXPECT_EQ(shared.use_count(), 1) << "destroyed before the flush returned";
}

// WQ-46. Method: the closure holds a reference, which is given back although it never ran.
TEST(closure, that_is_refused_is_destroyed_without_a_run) {
  test_runtime rt;
  workqueue queue{rt, {.name = "refuses"}};
  auto shared = std::make_shared<int>(1);
  plug stopper{queue};
  std::thread drainer{[&] { queue.drain(); }};
  test::eventually([&] { return !queue.submit([shared] {}); });
  EXPECT_FALSE(queue.submit([shared] { ADD_FAILURE(); }));
  stopper.pull();
  drainer.join();
  EXPECT_EQ(shared.use_count(), 1);
  EXPECT_EQ(rt.warnings.take().size(), 1u);
}

struct throws_when_copied {
  throws_when_copied() = default;
  throws_when_copied(const throws_when_copied&) { throw std::runtime_error{"copy"}; }
  void operator()() const {}
};

TEST(closure, whose_copy_throws_leaves_the_queue_as_it_was) {
  test_runtime rt;
  workqueue queue{rt, {.name = "copies"}};
  const throws_when_copied thrower;
  EXPECT_THROW(queue.submit(thrower), std::runtime_error);
  EXPECT_TRUE(queue.flush());
  EXPECT_EQ(queue.stats().items_started, 0u);
}

TEST(closure, submitted_by_a_closure_of_the_same_queue_runs) {
  test_runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "nested"}};
  std::atomic<int> runs{0};
  queue.submit([&] {
    runs.fetch_add(1);
    queue.submit([&] {
      runs.fetch_add(1);
      queue.submit([&] { runs.fetch_add(1); });
    });
  });
  queue.drain();
  EXPECT_EQ(runs.load(), 3);
}

TEST(closure, results_are_values_void_references_and_move_only) {
  test_runtime rt;
  workqueue queue{rt, {.name = "results"}};
  EXPECT_EQ(queue.submit_for_result([] { return 42; }).get(), 42);
  EXPECT_EQ(queue.submit_for_result([] { return std::string(1'000, 'x'); }).get(), std::string(1'000, 'x'));
  bool ran = false;
  future<void> nothing = queue.submit_for_result([&] { ran = true; });
  nothing.get();
  EXPECT_TRUE(ran);
  int target = 1;
  future<int&> reference = queue.submit_for_result([&]() -> int& { return target; });
  EXPECT_EQ(&reference.get(), &target);
  EXPECT_EQ(*queue.submit_for_result([] { return std::make_unique<int>(5); }).get(), 5);
}

TEST(closure, a_result_that_is_an_exception_is_thrown_by_get) {
  test_runtime rt;
  workqueue queue{rt, {.name = "throws"}};  // policy terminate: this exception has an owner
  auto failed = queue.submit_for_result([]() -> int { throw std::out_of_range{"seven"}; });
  try {
    failed.get();
    ADD_FAILURE();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "seven");
  }
  EXPECT_FALSE(failed.valid());
  EXPECT_EQ(queue.stats().exceptions, 0u);
}

TEST(closure, a_future_knows_whether_it_is_valid_and_ready) {
  test_runtime rt;
  workqueue queue{rt, {.name = "states", .max_active = 1}};
  future<int> empty;
  EXPECT_FALSE(empty.valid());
  EXPECT_THROW(empty.get(), std::future_error);
  plug stopper{queue};
  auto answer = queue.submit_for_result([] { return 1; });
  EXPECT_TRUE(answer.valid());
  EXPECT_FALSE(answer.ready());
  EXPECT_FALSE(answer.wait_for(std::chrono::milliseconds{1}));
  EXPECT_FALSE(answer.wait_for(std::chrono::nanoseconds{0}));
  stopper.pull();
  EXPECT_TRUE(answer.wait_for(std::chrono::hours{1}));
  EXPECT_TRUE(answer.ready());
  future<int> moved = std::move(answer);
  EXPECT_EQ(moved.get(), 1);
  EXPECT_FALSE(moved.valid());
}

TEST(closure, a_future_may_be_dropped_before_its_closure_runs) {
  test_runtime rt;
  workqueue queue{rt, {.name = "dropped", .max_active = 1}};
  std::atomic<int> runs{0};
  {
    plug stopper{queue};
    for (int i = 0; i < 10; ++i) {
      [[maybe_unused]] auto dropped = queue.submit_for_result([&] { return runs.fetch_add(1); });
    }
  }
  queue.flush();
  EXPECT_EQ(runs.load(), 10);
}

TEST(closure, a_refused_closure_breaks_its_promise) {
  test_runtime rt;
  workqueue queue{rt, {.name = "broken"}};
  plug stopper{queue};
  std::thread drainer{[&] { queue.drain(); }};
  test::eventually([&] { return !queue.submit([] {}); });
  auto refused = queue.submit_for_result([] { return 1; });
  try {
    refused.get();
    ADD_FAILURE();
  } catch (const std::future_error& e) {
    EXPECT_EQ(e.code(), std::future_errc::broken_promise);
  }
  stopper.pull();
  drainer.join();
  rt.warnings.ignore();
}

// The wait counts as blocking. Method: one CPU, and the only counted worker waits for what is behind it.
TEST(closure, a_future_waited_for_by_the_only_worker_comes_true) {
  test_runtime rt{{.cpus = 1, .stall_floor = std::chrono::milliseconds{0}}};
  workqueue queue{rt, {.name = "waits"}};
  auto outer = queue.submit_for_result([&] {
    auto inner = queue.submit_for_result([&] { return queue.submit_for_result([] { return 3; }).get() + 1; });
    return inner.get() + 1;
  });
  EXPECT_EQ(outer.get(), 5);
}

// Policy report. Method: closures and items throw std and other things; all is counted, and the rest goes on.
TEST(closure, exceptions_under_report_reach_the_handler_and_the_counter) {
  test_runtime rt;
  struct {
    std::atomic<int> standard{0};
    std::atomic<int> other{0};
  } seen;
  const error_handler note = [](std::exception_ptr error, void* context) {
    auto& s = *static_cast<decltype(seen)*>(context);
    try {
      std::rethrow_exception(error);
    } catch (const std::exception&) {
      s.standard.fetch_add(1);
    } catch (...) {
      s.other.fetch_add(1);
    }
  };
  workqueue queue{rt,
                  {.name = "reports", .on_exception = on_exception::report, .on_error = note, .error_context = &seen}};
  std::atomic<int> runs{0};
  work w{[&] {
    if (runs.fetch_add(1) == 0) throw std::runtime_error{"from an item"};
  }};
  queue.queue(w);
  queue.submit([] { throw std::logic_error{"from a closure"}; });
  queue.submit([] { throw 5; });
  queue.submit([&] { runs.fetch_add(10); });
  queue.flush();
  EXPECT_TRUE(queue.queue(w)) << "a run that threw is a completed run";
  queue.flush();
  EXPECT_EQ(runs.load(), 12);
  EXPECT_EQ(seen.standard.load(), 2);
  EXPECT_EQ(seen.other.load(), 1);
  EXPECT_EQ(queue.stats().exceptions, 3u);
  EXPECT_EQ(queue.stats().items_started, 5u);
}

TEST(closure, exceptions_under_report_without_a_handler_are_warnings_that_name_the_queue) {
  test_runtime rt;
  workqueue queue{rt, {.name = "no handler", .on_exception = on_exception::report}};
  queue.submit([] { throw std::runtime_error{"the reason"}; });
  queue.flush();
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("no handler"), std::string::npos);
  EXPECT_NE(warnings[0].find("the reason"), std::string::npos);
}

void throw_under_terminate() {
  runtime rt{{.cpus = 1}};
  workqueue queue{rt, {.name = "strict"}};
  queue.submit([] { throw std::runtime_error{"the reason"}; });
  queue.flush();
}

TEST(closure_death, an_exception_under_terminate_ends_the_process_with_a_line_that_names_the_queue) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(throw_under_terminate(), "strict.*the reason");
}

}  // namespace
}  // namespace wring
