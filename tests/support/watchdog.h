// SPDX-License-Identifier: Apache-2.0
// watchdog: ends a test that hangs, and says what the runtime was doing (WQ-159).
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace wring::test {

// Far more than any test needs, also under a sanitizer on a busy machine.
inline constexpr std::chrono::seconds patience{60};

class watchdog {
 public:
  explicit watchdog(std::function<std::string()> describe)
      : thread_{[this, describe = std::move(describe)] { watch(describe); }} {}
  ~watchdog() {
    {
      const std::lock_guard lock{mu_};
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  // A long test says that it goes on; it may take as long again.
  void beat() {
    const std::lock_guard lock{mu_};
    ++beats_;
  }
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

 private:
  void watch(const std::function<std::string()>& describe) {
    std::unique_lock lock{mu_};
    for (bool beaten = true; beaten;) {
      const unsigned before = beats_;
      if (changed_.wait_for(lock, patience, [this] { return done_; })) return;
      beaten = beats_ != before;
    }
    const auto* const info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::fprintf(stderr, "watchdog: %s.%s hangs\n", info != nullptr ? info->test_suite_name() : "?",
                 info != nullptr ? info->name() : "?");
    std::fprintf(stderr, "%s\n", describe().c_str());  // may hang as well; the line above is out already
    std::abort();
  }

  std::mutex mu_;
  std::condition_variable changed_;
  bool done_ = false;
  unsigned beats_ = 0;
  std::thread thread_;
};

}  // namespace wring::test
