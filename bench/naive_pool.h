// SPDX-License-Identifier: Apache-2.0
// naive_pool: the pool everybody writes first, and writes well: one mutex, one condition variable, one
// deque of std::function. The opponent that needs no package.
//
// Threads: any thread may call submit(); the destructor runs what is queued, then joins.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

class naive_pool {
 public:
  explicit naive_pool(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~naive_pool() {
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

 private:
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
};

// Fork and join: wait() helps with the newest items, so that nesting neither deadlocks nor piles up stack.
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

}  // namespace bench
