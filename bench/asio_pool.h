// SPDX-License-Identifier: Apache-2.0
// asio_pool: asio::thread_pool, with strands for ordered messages and steady_timer for timers.
//
// asio's default is two threads for each CPU. Items posted are stored by asio, one allocation each. There is
// no group: nothing in a thread_pool helps while it waits.
#pragma once

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <utility>

namespace bench {

class asio_pool {
 public:
  static constexpr unsigned default_threads(unsigned cpus) { return 2 * cpus; }

  explicit asio_pool(unsigned threads) : pool_{threads} {}

  template <class F>
  void submit(F&& function) {
    asio::post(pool_, std::forward<F>(function));
  }

  class serial {
   public:
    template <class F>
    serial(asio_pool& pool, F body) : strand_{pool.pool_.get_executor()}, body_{std::move(body)} {}
    // Waits until everything posted before has run.
    ~serial() {
      std::promise<void> empty;
      asio::post(strand_, [&empty] { empty.set_value(); });
      empty.get_future().wait();
    }
    serial(const serial&) = delete;
    serial& operator=(const serial&) = delete;

    void post(std::uint32_t message) {
      asio::post(strand_, [this, message] { body_(message); });
    }

   private:
    asio::strand<asio::thread_pool::executor_type> strand_;
    std::function<void(std::uint32_t)> body_;
  };

  // Calls function(true) on the pool when it is due, or function(false) when it was cancelled before.
  template <class F>
  class timer {
   public:
    timer(asio_pool& pool, F function) : timer_{pool.pool_.get_executor()}, function_{std::move(function)} {}

    void arm(std::chrono::steady_clock::time_point due) {
      timer_.expires_at(due);
      timer_.async_wait([this](const asio::error_code& error) { function_(!error); });
    }
    void cancel() { timer_.cancel(); }

   private:
    asio::steady_timer timer_;
    F function_;
  };

 private:
  asio::thread_pool pool_;
};

}  // namespace bench
