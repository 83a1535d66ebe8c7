// SPDX-License-Identifier: Apache-2.0
// watchdog: notices that a pool has started nothing for long, though work waits (WQ-135, WQ-136).
//
// It has no clock of its own: a pool in which something waits is looked at by the timekeeper anyway (watch.cc), and one
// in which nothing does cannot stall.
// Threads: the timekeeper, but touch() and reports().
#pragma once

#include "base/clock.h"
#include "base/sync.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace wring::sched {

class watchdog {
 public:
  // 0: off.
  explicit watchdog(std::chrono::nanoseconds threshold) noexcept : threshold_{threshold} {}

  // Something has started, or nothing waits.
  void progress(base::instant now) noexcept {
    since_ = now;
    due_ = now + threshold_;
  }
  // Nothing has. For how long, if that is to be reported now.
  std::optional<std::chrono::nanoseconds> no_progress(base::instant now) noexcept;
  // What takes long is meant to.
  void touch() noexcept { touched_.store(true, base::order::relaxed); }

  [[nodiscard]] std::uint64_t reports() const noexcept { return reports_.load(base::order::relaxed); }

 private:
  const std::chrono::nanoseconds threshold_;
  base::instant since_{};
  base::instant due_{};
  base::atomic<bool> touched_{false};
  base::atomic<std::uint64_t> reports_{0};
};

}  // namespace wring::sched
