// SPDX-License-Identifier: Apache-2.0
// uv_pool: uv_queue_work on libuv's one pool of threads (4 by default), and its timers.
//
// Work is handed over through a loop, and a loop belongs to a thread: each thread that submits, workers too, gets
// one. It runs its loop for a moment after every 256 submissions, which takes back what has completed.
// Timers belong to the measuring thread's loop: armed, cancelled and fired there.
#pragma once

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>

namespace bench {

class uv_pool {
 public:
  static constexpr unsigned default_threads(unsigned) { return 4; }

  // libuv reads the size when the first work is queued, so this is for one pool in a process.
  explicit uv_pool(unsigned threads) { setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), 1); }
  uv_pool(const uv_pool&) = delete;
  uv_pool& operator=(const uv_pool&) = delete;

  template <class F>
  void submit(F&& function) {
    using box = closure<std::decay_t<F>>;
    auto* const made = new box{{}, std::forward<F>(function)};
    made->request.data = made;
    my_loop().queue(made->request, &box::run, &box::free);
  }

  // What the caller owns; lives until its loop has taken it back, which ends with the thread that posted it.
  template <class F>
  struct item {
    explicit item(F f) : function{std::move(f)} { request.data = this; }
    uv_work_t request{};
    F function;
  };

  template <class F>
  void post(item<F>& it) {
    my_loop().queue(
        it.request, [](uv_work_t* done) { static_cast<item<F>*>(done->data)->function(); }, nullptr);
  }

  // Calls function(true) when it is due, in settle(), or function(false) when it is cancelled before.
  template <class F>
  class timer {
   public:
    timer(uv_pool&, F function) : function_{std::move(function)} {
      uv_timer_init(&my_loop().raw, &handle_);
      handle_.data = this;
    }
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    void arm(std::chrono::steady_clock::time_point due) {
      const auto due_ms = std::chrono::ceil<std::chrono::milliseconds>(due.time_since_epoch()).count();
      const std::int64_t delay_ms = due_ms - static_cast<std::int64_t>(uv_now(&my_loop().raw));
      uv_timer_start(&handle_, &fire, delay_ms > 0 ? static_cast<std::uint64_t>(delay_ms) : 0, /*repeat=*/0);
    }
    void cancel() {
      if (uv_is_active(reinterpret_cast<uv_handle_t*>(&handle_)) == 0) return;
      uv_timer_stop(&handle_);
      function_(false);
    }

   private:
    static void fire(uv_timer_t* due) { static_cast<timer*>(due->data)->function_(true); }

    uv_timer_t handle_;
    F function_;
  };

  // Runs the calling thread's loop until all its timers have fired and it has taken back all its work.
  void settle() { uv_run(&my_loop().raw, UV_RUN_DEFAULT); }

 private:
  template <class F>
  struct closure {
    static void run(uv_work_t* request) { static_cast<closure*>(request->data)->function(); }
    static void free(uv_work_t* request, int) { delete static_cast<closure*>(request->data); }
    uv_work_t request;
    F function;
  };

  struct loop {
    loop() { uv_loop_init(&raw); }
    // For producers that end; the others last as long as their process.
    ~loop() {
      uv_run(&raw, UV_RUN_DEFAULT);
      uv_loop_close(&raw);
    }
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    void queue(uv_work_t& request, uv_work_cb run, uv_after_work_cb completed) {
      uv_queue_work(&raw, &request, run, completed);
      if (++queued % 256 == 0) uv_run(&raw, UV_RUN_NOWAIT);
    }

    uv_loop_t raw;
    unsigned queued = 0;
  };

  static loop& my_loop() {
    thread_local loop mine;
    return mine;
  }
};

}  // namespace bench
