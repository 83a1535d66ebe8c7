// SPDX-License-Identifier: Apache-2.0
// ticker: an empty thread that sleeps a millisecond, again and again: what a machine takes to let anybody look at
// anything every millisecond, and how late that comes.
//
// Threads: made, asked and destroyed by one thread; ticks() and cpu_ns() at any time, lateness_us() once it has
// stopped.
#pragma once

#include "stopwatch.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <thread>
#include <vector>

namespace bench {

class ticker {
 public:
  static constexpr std::chrono::milliseconds period{1};

  ticker() : thread_{[this] { tick(); }} {}
  ~ticker() { stop(); }
  ticker(const ticker&) = delete;
  ticker& operator=(const ticker&) = delete;

  void stop() {
    stopping_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint64_t ticks() const noexcept { return ticks_.load(std::memory_order_relaxed); }
  // CPU time of the thread so far.
  [[nodiscard]] double used_ns() {
    clockid_t clock{};
    return pthread_getcpuclockid(thread_.native_handle(), &clock) == 0 ? cpu_ns(clock) : 0;
  }
  // Of each tick: how much longer than a millisecond it slept.
  [[nodiscard]] std::vector<double>& lateness_us() noexcept { return late_us_; }

 private:
  void tick() {
    do {
      const double before = now_ns();
      std::this_thread::sleep_for(period);
      late_us_.push_back((now_ns() - before) / 1e3 - std::chrono::microseconds{period}.count());
      ticks_.fetch_add(1, std::memory_order_relaxed);
    } while (!stopping_.load(std::memory_order_relaxed));
  }

  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> ticks_{0};
  std::vector<double> late_us_;
  std::thread thread_;  // the last, so that it finds the others made
};

}  // namespace bench
