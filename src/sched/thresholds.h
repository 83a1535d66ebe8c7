// SPDX-License-Identifier: Apache-2.0
// thresholds: how long a runtime is patient with its callbacks; may change while it lives (WQ-79, WQ-80, WQ-135,
// WQ-136).
//
// Threads: any. Each value is read by itself: who changes several at once may see one of them take effect first.
#pragma once

#include "base/sync.h"

#include <wring/runtime.h>

#include <chrono>
#include <cstdint>

namespace wring::sched {

class thresholds {
 public:
  // Beyond it, sums of times would overflow; a year is for ever, to a program.
  static constexpr std::chrono::hours longest{24 * 365};

  explicit thresholds(const runtime_options& o);
  // All or nothing: throws std::system_error (EINVAL).
  void set(const runtime_thresholds& t);
  [[nodiscard]] runtime_thresholds get() const noexcept;

  [[nodiscard]] std::chrono::microseconds cpu_intensive() const noexcept {
    return std::chrono::microseconds{cpu_intensive_us_.load(base::order::relaxed)};
  }
  [[nodiscard]] unsigned cpu_intensive_warning() const noexcept {
    return cpu_intensive_warning_.load(base::order::relaxed);
  }
  [[nodiscard]] std::chrono::milliseconds watchdog() const noexcept {
    return std::chrono::milliseconds{watchdog_ms_.load(base::order::relaxed)};
  }
  // Is this report of a stall, the so manieth, one too many, or has it lasted for too long?
  [[nodiscard]] bool ends_patience(std::uint64_t reports, std::chrono::nanoseconds stalled) const noexcept;

 private:
  base::atomic<std::int64_t> cpu_intensive_us_{0};
  base::atomic<unsigned> cpu_intensive_warning_{0};
  base::atomic<std::int64_t> watchdog_ms_{0};
  base::atomic<unsigned> panic_on_stall_{0};
  base::atomic<std::int64_t> panic_on_stall_ms_{0};
};

}  // namespace wring::sched
