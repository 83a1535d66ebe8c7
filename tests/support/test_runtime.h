// SPDX-License-Identifier: Apache-2.0
// test_runtime: a runtime of its own for a test, which records warnings and misuse, has a watchdog, and is
// audited at the end. A test that provokes warnings or misuse takes or ignores them; what is left fails it.
#pragma once

#include "support/gate.h"
#include "support/watchdog.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace wring::test {

// Lines that a handler received.
class report_log {
 public:
  void add(const char* text) {
    const std::lock_guard lock{mu_};
    if (!ignored_) lines_.emplace_back(text);
  }
  [[nodiscard]] std::vector<std::string> take() {
    const std::lock_guard lock{mu_};
    return std::exchange(lines_, {});
  }
  // What came, and what still comes from threads of the runtime, is as expected.
  void ignore() {
    const std::lock_guard lock{mu_};
    ignored_ = true;
    lines_.clear();
  }
  // How many lines so far, not taken, hold `text`.
  [[nodiscard]] std::size_t count(const std::string& text) {
    const std::lock_guard lock{mu_};
    std::size_t n = 0;
    for (const std::string& line : lines_) n += line.find(text) != std::string::npos ? 1U : 0U;
    return n;
  }

 private:
  std::mutex mu_;
  std::vector<std::string> lines_;
  bool ignored_ = false;
};

class test_runtime {
 public:
  explicit test_runtime(runtime_options options = {.cpus = 4}) : runtime_{wired(options)} {}
  ~test_runtime() {
    runtime_.audit();
    for (const std::string& line : warnings.take()) ADD_FAILURE() << "warning: " << line;
    for (const std::string& line : misuses.take()) ADD_FAILURE() << "misuse: " << line;
  }
  test_runtime(const test_runtime&) = delete;
  test_runtime& operator=(const test_runtime&) = delete;

  operator runtime&() noexcept { return runtime_; }
  runtime* operator->() noexcept { return &runtime_; }
  // For a test that may take longer than the watchdog's patience.
  void goes_on() { watchdog_.beat(); }
  [[nodiscard]] pool_stats pool() const { return runtime_.stats().pools.at(0); }
  [[nodiscard]] pool_stats unmanaged_pool() const { return runtime_.stats().pools.at(1); }

  report_log warnings;
  report_log misuses;

 private:
  runtime_options wired(runtime_options o) {
    o.on_warning = [](const char* text, void* self) { static_cast<test_runtime*>(self)->warnings.add(text); };
    o.on_misuse = [](const char* text, void* self) { static_cast<test_runtime*>(self)->misuses.add(text); };
    o.report_context = this;
    return o;
  }

  runtime runtime_;
  watchdog watchdog_{[this] { return runtime_.describe(); }};
};

// Keeps one worker of a queue inside an item: with max_active 1, whatever is queued behind it stays pending.
// The wait is announced, so no CPU's place is taken.
class plug {
 public:
  explicit plug(workqueue& queue) {
    queue.queue(work_);
    entered_.wait();
  }
  ~plug() { pull(); }
  plug(const plug&) = delete;
  plug& operator=(const plug&) = delete;
  void pull() { pulled_.open(); }

 private:
  gate entered_;
  gate pulled_;
  work work_{[this] {
    entered_.open();
    const blocking_scope scope;
    pulled_.wait();
  }};
};

}  // namespace wring::test
