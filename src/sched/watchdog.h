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
  // Something has started, or nothing waits.
  void progress(base::instant now) noexcept {
    since_ = now;
    counted_from_ = now;
  }
  // Nothing has. For how long, if that is to be reported now, because so much has passed since the last progress, or
  // report; 0: never.
  std::optional<std::chrono::nanoseconds> no_progress(base::instant now, std::chrono::nanoseconds threshold) noexcept;
  // What takes long is meant to.
  void touch() noexcept { touched_.store(true, base::order::relaxed); }

  [[nodiscard]] std::uint64_t reports() const noexcept { return reports_.load(base::order::relaxed); }

 private:
  base::instant since_{};
  base::instant counted_from_{};  // the same, or the last report
  base::atomic<bool> touched_{false};
  base::atomic<std::uint64_t> reports_{0};
};

}  // namespace wring::sched
