// SPDX-License-Identifier: Apache-2.0

#include "sched/watchdog.h"

namespace wring::sched {

std::optional<std::chrono::nanoseconds> watchdog::no_progress(base::instant now,
                                                              std::chrono::nanoseconds threshold) noexcept {
  if (threshold.count() == 0) return {};
  if (touched_.load(base::order::relaxed) && touched_.exchange(false, base::order::relaxed)) {
    progress(now);
    return {};
  }
  if (now < counted_from_ + threshold) return {};
  counted_from_ = now;
  reports_.fetch_add(1, base::order::relaxed);
  return now - since_;
}

}  // namespace wring::sched
