// SPDX-License-Identifier: Apache-2.0
// cpu_meter: of a worker's CPU time, how much has been charged to the sources that it served (WQ-137).
//
// As the kernel does, in samples: once the worker has served for an interval, whomever, all that its thread has used
// since the last time is charged to the source it serves then. So a short item costs an addition, and none reads a
// clock.
//
// Threads: changed by the worker, with the source it serves held; read by who holds that.
#pragma once

#include "base/clock.h"
#include "base/thread_watch.h"

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
    served_ticks_ += ticks;
    if (served_ticks_ < base::clock::ticks_of_ns(interval_ns)) return 0;
    const std::int64_t used = base::cpu_time_of(thread_id);
    if (used < 0) return 0;  // not to be known
    served_ticks_ = 0;
    const std::int64_t more = used - charged_ns_;
    charged_ns_ = used;
    return more;
  }
  // What is charged at least when the worker, whose thread has used so much, stops serving.
  [[nodiscard]] std::int64_t to_be_charged(std::int64_t used_ns) const noexcept {
    const std::uint64_t ticks_of_interval = base::clock::ticks_of_ns(interval_ns);
    const auto before_ns = static_cast<std::int64_t>(served_ticks_ * interval_ns / ticks_of_interval);
    const std::int64_t more = used_ns - charged_ns_ - before_ns;
    return more >= static_cast<std::int64_t>(interval_ns) ? more : 0;
  }

 private:
  std::int64_t charged_ns_ = 0;     // of the thread's time
  std::uint64_t served_ticks_ = 0;  // since then
};

}  // namespace wring::sched
