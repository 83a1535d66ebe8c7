// SPDX-License-Identifier: Apache-2.0
// gate: how tests arrive at a state: gates that open, counters that are waited for, conditions that come true.
//
// None of the waits has a deadline; a watchdog (watchdog.h) ends a test that hangs.
// Threads: any.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace wring::test {

// Closed until somebody opens it, then open for good.
class gate {
 public:
  void open() {
    const std::lock_guard lock{mu_};
    open_ = true;
    changed_.notify_all();  // under the lock: who waited may destroy the gate as soon as it can take it
  }
  void wait() {
    std::unique_lock lock{mu_};
    changed_.wait(lock, [this] { return open_; });
  }
  [[nodiscard]] bool is_open() {
    const std::lock_guard lock{mu_};
    return open_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool open_ = false;
};

class counter {
 public:
  void add(int n = 1) {
    const std::lock_guard lock{mu_};
    value_ += n;
    changed_.notify_all();  // as in gate
  }
  // Until it has counted `n` or more.
  void wait_for(int n) {
    std::unique_lock lock{mu_};
    changed_.wait(lock, [this, n] { return value_ >= n; });
  }
  [[nodiscard]] int value() {
    const std::lock_guard lock{mu_};
    return value_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  int value_ = 0;
};

// Looks until `condition()` holds; for states that nobody announces.
template <class Condition>
void eventually(const Condition& condition) {
  while (!condition()) std::this_thread::yield();
}

// Remembers the most that were inside at once.
class overlap {
 public:
  void enter() {
    const int now = inside_.fetch_add(1) + 1;
    int most = most_.load();
    while (now > most && !most_.compare_exchange_weak(most, now)) continue;
  }
  void leave() { inside_.fetch_sub(1); }
  [[nodiscard]] int inside() const { return inside_.load(); }
  [[nodiscard]] int most() const { return most_.load(); }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

}  // namespace wring::test
