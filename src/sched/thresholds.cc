// SPDX-License-Identifier: Apache-2.0

#include "sched/thresholds.h"

#include <string>
#include <system_error>

namespace wring::sched {

namespace {

// Of any unit, without a conversion that could overflow.
template <class Time>
void check(const char* name, Time t) {
  if (t.count() >= 0 && t <= thresholds::longest) return;
  throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                          std::string{"wring::runtime_options::"} + name +
                              (t.count() < 0 ? " is negative" : " is above a year; 0 turns it off")};
}

}  // namespace

thresholds::thresholds(const runtime_options& o) {
  set({.cpu_intensive_threshold = o.cpu_intensive_threshold,
       .cpu_intensive_warning_threshold = o.cpu_intensive_warning_threshold,
       .watchdog_threshold = o.watchdog_threshold,
       .panic_on_stall = o.panic_on_stall,
       .panic_on_stall_time = o.panic_on_stall_time});
}

void thresholds::set(const runtime_thresholds& t) {
  check("cpu_intensive_threshold", t.cpu_intensive_threshold);
  check("watchdog_threshold", t.watchdog_threshold);
  check("panic_on_stall_time", t.panic_on_stall_time);
  cpu_intensive_us_.store(t.cpu_intensive_threshold.count(), base::order::relaxed);
  cpu_intensive_warning_.store(t.cpu_intensive_warning_threshold, base::order::relaxed);
  watchdog_ms_.store(t.watchdog_threshold.count(), base::order::relaxed);
  panic_on_stall_.store(t.panic_on_stall, base::order::relaxed);
  panic_on_stall_ms_.store(t.panic_on_stall_time.count(), base::order::relaxed);
}

runtime_thresholds thresholds::get() const noexcept {
  return {.cpu_intensive_threshold = cpu_intensive(),
          .cpu_intensive_warning_threshold = cpu_intensive_warning(),
          .watchdog_threshold = watchdog(),
          .panic_on_stall = panic_on_stall_.load(base::order::relaxed),
          .panic_on_stall_time = std::chrono::milliseconds{panic_on_stall_ms_.load(base::order::relaxed)}};
}

bool thresholds::ends_patience(std::uint64_t reports, std::chrono::nanoseconds stalled) const noexcept {
  const unsigned most = panic_on_stall_.load(base::order::relaxed);
  const std::chrono::milliseconds longest_stall{panic_on_stall_ms_.load(base::order::relaxed)};
  return (most != 0 && reports >= most) || (longest_stall.count() != 0 && stalled >= longest_stall);
}

}  // namespace wring::sched
