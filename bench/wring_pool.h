// SPDX-License-Identifier: Apache-2.0
// wring_pool: one default workqueue of the default runtime behind the face that the opponents have too.
#pragma once

#include <wring/wring.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace bench {

class wring_pool {
 public:
  static constexpr unsigned default_threads(unsigned cpus) { return cpus; }

  explicit wring_pool(unsigned threads) : wring_pool{wring::runtime_options{.cpus = threads}} {}
  explicit wring_pool(const wring::runtime_options& options) {
    wring::runtime::configure_default(options);
    queue_ = std::make_unique<wring::workqueue>(wring::workqueue_options{.name = "bench"});
  }

  template <class F>
  void submit(F&& function) {
    queue_->submit(std::forward<F>(function));
  }

  [[nodiscard]] wring::workqueue& queue() noexcept { return *queue_; }

  // Most threads that existed at once.
  [[nodiscard]] static unsigned threads_most() { return managed().workers_max; }
  [[nodiscard]] static std::uint64_t looks() { return managed().looks; }

  // From now on at most so many items at once, whoever blocks. Nothing has been submitted yet.
  void limit(unsigned items) {
    queue_ = std::make_unique<wring::workqueue>(wring::workqueue_options{.name = "bench", .max_active = items});
  }

  // What the caller owns; in a cache line of its own.
  template <class F>
  struct alignas(64) item {
    explicit item(F f) : work{std::move(f)} {}
    wring::work work;
  };

  template <class F>
  void post(item<F>& it) {
    queue_->queue(it.work);
  }

  // Calls function(true) on the pool when it is due, or function(false) when it was cancelled before.
  template <class F>
  class timer {
   public:
    timer(wring_pool& pool, F function)
        : queue_{pool.queue()}, function_{std::move(function)}, work_{[this] { function_(true); }} {}

    void arm(std::chrono::steady_clock::time_point due) {
      queue_.queue_delayed(work_, due - std::chrono::steady_clock::now());
    }
    void cancel() {
      if (work_.cancel()) function_(false);
    }

   private:
    wring::workqueue& queue_;
    F function_;
    wring::delayed_work work_;
  };

  class group : public wring::task_group {
   public:
    explicit group(wring_pool& pool) : task_group{*pool.queue_} {}
  };

  class serial {
   public:
    template <class F>
    serial(wring_pool&, F body) : body_{std::move(body)}, queue_{{.name = "ordered", .ordered = true}} {}
    void post(std::uint32_t message) {
      queue_.submit([this, message] { body_(message); });
    }

   private:
    std::function<void(std::uint32_t)> body_;
    wring::workqueue queue_;
  };

 private:
  static wring::pool_stats managed() { return wring::runtime::default_instance().stats().pools.front(); }

  std::unique_ptr<wring::workqueue> queue_;
};

}  // namespace bench
