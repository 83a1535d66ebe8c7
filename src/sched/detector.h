// SPDX-License-Identifier: Apache-2.0
// detector: by which means blocked workers are seen here; what was asked for, or the best that works.
//
// It is tried out at the first need: a pool has work and all the workers it may have awake are busy. A program that
// never gets there pays nothing.
//
// Threads: any. Locks: mu_, while the means are tried, which takes about a millisecond.
#pragma once

#include "base/mutex.h"
#include "sched/reporter.h"

#include <wring/runtime.h>

#include <string>

namespace wring::sched {

// "stat": as in WRING_DETECT.
const char* name_of(detection kind) noexcept;

class detector {
 public:
  // `asked` is what the options say, `environment` overrides it; null: says nothing.
  detector(detection asked, const char* environment, reporter& report);

  struct choice {
    detection kind = detection::automatic;  // never that, once chosen
    bool stat = false;                      // with rings: /proc can be read, too
    std::string why;
  };
  [[nodiscard]] choice chosen();
  // The same without its reason.
  [[nodiscard]] detection kind() noexcept;
  [[nodiscard]] bool reads_stat() const noexcept { return stat_.load(base::order::relaxed); }

  // Whoever wants nothing but announcements wants no guesses either.
  [[nodiscard]] bool keeps_floor() const noexcept { return asked_ != detection::announced; }

  void renew_in_child();

 private:
  void choose() WRING_REQUIRES(mu_);

  detection asked_;
  std::string by_;  // who asked
  base::atomic<detection> kind_{detection::automatic};
  base::atomic<bool> stat_{false};
  base::mutex mu_{base::rank::runtime};
  choice choice_ WRING_GUARDED_BY(mu_);
};

}  // namespace wring::sched
