// SPDX-License-Identifier: Apache-2.0
// cpu_meter: of a worker's CPU time, how much has been charged to the sources that it served (WQ-137).
//
// In samples: once the worker has served for an interval, whomever, what its thread has used since the last time is
// charged to the source it serves then; but for what others served before may have used, if this one alone took so
// long. So a short item costs an addition, and a clock is read once in an interval.
//
// Threads: changed by the worker, with the source it serves held; read by who holds that.
#pragma once

#include "base/clock.h"
#include "base/thread_watch.h"

#include <algorithm>
#include <cstdint>

namespace wring::sched {

class cpu_meter {
 public:
  static constexpr std::uint64_t interval_ns = 1'000'000;

  // Of a thread that has used so much without being this worker.
  void begin(std::int64_t used_ns) noexcept {
    charged_ns_ = used_ns;
    served_ticks_ = 0;
  }
  // The worker has served a source for so many ticks. What to charge it with, if an interval is over; else 0.
  [[nodiscard]] std::int64_t served(std::uint64_t ticks, std::uint32_t thread_id) noexcept {
    const std::uint64_t interval = base::clock::ticks_of_ns(interval_ns);
    const std::uint64_t before = served_ticks_;
    served_ticks_ += ticks;
    if (served_ticks_ < interval) return 0;
    const std::int64_t used = base::cpu_time_of(thread_id);
    served_ticks_ = 0;
    if (used < 0) return 0;  // not to be known
    std::int64_t more = used - charged_ns_;
    if (ticks >= interval) {
      more = std::max<std::int64_t>(more - ns_of(before), 0);
      served_ticks_ = before;
    }
    charged_ns_ += more;
    return more;
  }
  // What is charged when the worker, whose thread has used so much, stops serving, if it has used a whole interval.
  [[nodiscard]] std::int64_t to_be_charged(std::int64_t used_ns) const noexcept {
    const std::int64_t more = used_ns - charged_ns_ - ns_of(served_ticks_);
    return more >= static_cast<std::int64_t>(interval_ns) ? more : 0;
  }

 private:
  static std::int64_t ns_of(std::uint64_t ticks) noexcept {
    return static_cast<std::int64_t>(ticks * interval_ns / base::clock::ticks_of_ns(interval_ns));
  }

  std::int64_t charged_ns_ = 0;     // of the thread's time
  std::uint64_t served_ticks_ = 0;  // since then
};

}  // namespace wring::sched
