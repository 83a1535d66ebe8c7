// SPDX-License-Identifier: Apache-2.0
// naive_pool: the pool everybody writes first, and writes well: one mutex, one condition variable, one
// deque of std::function. The opponent that needs no package.
//
// Its timers are one thread with a sorted map, which submits what is due (naive_timekeeper.h).
// Threads: any thread may call submit(); the destructor runs what is queued, then joins.
#pragma once

#include "naive_timekeeper.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

class naive_pool {
 public:
  static constexpr unsigned default_threads(unsigned cpus) { return cpus; }

  explicit naive_pool(unsigned threads) {
    give_threads_big_stacks();
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~naive_pool() {
    timekeeper_.reset();
    {
      const std::lock_guard lock{mu_};
      closing_ = true;
    }
    filled_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  naive_pool(const naive_pool&) = delete;
  naive_pool& operator=(const naive_pool&) = delete;

  template <class F>
  void submit(F&& function) {
    {
      const std::lock_guard lock{mu_};
      items_.emplace_back(std::forward<F>(function));
    }
    filled_.notify_one();  // outside of the lock, and no system call unless somebody waits
  }

  // Runs the newest item, if there is one, on the calling thread.
  bool run_newest() {
    std::function<void()> item;
    {
      const std::lock_guard lock{mu_};
      if (items_.empty()) return false;
      item = std::move(items_.back());
      items_.pop_back();
    }
    item();
    return true;
  }

  class group;
  class serial;
  template <class F>
  class timer;

 private:
  naive_timekeeper& timekeeper() {
    if (!timekeeper_) timekeeper_ = std::make_unique<naive_timekeeper>();
    return *timekeeper_;
  }

  // Who waits for a group runs whatever is newest, and that may wait as well: some trees nest tens of thousands deep.
  static void give_threads_big_stacks() {
    pthread_attr_t attributes;
    if (::pthread_getattr_default_np(&attributes) != 0) return;
    ::pthread_attr_setstacksize(&attributes, std::size_t{256} << 20);
    ::pthread_setattr_default_np(&attributes);
    ::pthread_attr_destroy(&attributes);
  }

  void serve() {
    std::unique_lock lock{mu_};
    for (;;) {
      filled_.wait(lock, [this] { return closing_ || !items_.empty(); });
      if (items_.empty()) return;
      auto item = std::move(items_.front());
      items_.pop_front();
      lock.unlock();
      item();
      item = nullptr;
      lock.lock();
    }
  }

  std::mutex mu_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> items_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
  std::unique_ptr<naive_timekeeper> timekeeper_;  // made for the first timer
};

// Fork and join: wait() helps with the newest items, so that nesting does not deadlock.
class naive_pool::group {
 public:
  explicit group(naive_pool& pool) : pool_{pool} {}

  template <class F>
  void run(F function) {
    outstanding_.fetch_add(1, std::memory_order_relaxed);
    pool_.submit([this, function = std::move(function)] {
      function();
      outstanding_.fetch_sub(1, std::memory_order_release);
    });
  }

  void wait() {
    while (outstanding_.load(std::memory_order_acquire) != 0) {
      if (!pool_.run_newest()) std::this_thread::yield();
    }
  }

 private:
  naive_pool& pool_;
  std::atomic<std::uint64_t> outstanding_{0};
};

// A strand: its own locked deque, which one pool item at a time empties.
class naive_pool::serial {
 public:
  template <class F>
  serial(naive_pool& pool, F body) : pool_{pool}, body_{std::move(body)} {}
  // Waits until no pool item knows this strand any more.
  ~serial() {
    while (scheduled()) std::this_thread::yield();
  }
  serial(const serial&) = delete;
  serial& operator=(const serial&) = delete;

  void post(std::uint32_t message) {
    {
      const std::lock_guard lock{mu_};
      waiting_.emplace_back([this, message] { body_(message); });
      if (std::exchange(scheduled_, true)) return;
    }
    pool_.submit([this] { run_all(); });
  }

 private:
  void run_all() {
    std::deque<std::function<void()>> taken;
    for (;;) {
      {
        const std::lock_guard lock{mu_};
        taken.clear();
        taken.swap(waiting_);
        if (taken.empty()) {
          scheduled_ = false;
          return;
        }
      }
      for (auto& item : taken) item();
    }
  }

  bool scheduled() {
    const std::lock_guard lock{mu_};
    return scheduled_;
  }

  naive_pool& pool_;
  std::function<void(std::uint32_t)> body_;
  std::mutex mu_;
  std::deque<std::function<void()>> waiting_;
  bool scheduled_ = false;
};

// Calls function(true) on the pool when it is due, or function(false) when it was cancelled before. Timers are
// made by one thread.
template <class F>
class naive_pool::timer {
 public:
  timer(naive_pool& pool, F function)
      : timekeeper_{pool.timekeeper()},
        function_{std::move(function)},
        alarm_{[this, &pool] { pool.submit([this] { function_(true); }); }} {}

  void arm(std::chrono::steady_clock::time_point due) { timekeeper_.arm(alarm_, due); }
  void cancel() {
    if (timekeeper_.cancel(alarm_)) function_(false);
  }

 private:
  naive_timekeeper& timekeeper_;
  F function_;
  naive_timekeeper::alarm alarm_;
};

}  // namespace bench
