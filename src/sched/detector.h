// SPDX-License-Identifier: Apache-2.0
// detector: by which means blocked workers are seen here; what was asked for, or the best that works.
//
// That is tried out at the first need: a pool has work and all the workers it may have awake are busy. A program that
// never gets there pays nothing. It takes about a millisecond, in a thread of its own, since the timekeeper has other
// things to do.
//
// Threads: any. Locks: mu_ (rank leaf), to begin with it and to wait for its end.
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
  ~detector() { join(); }
  detector(const detector&) = delete;
  detector& operator=(const detector&) = delete;

  struct choice {
    detection kind = detection::automatic;  // never that, once chosen
    bool stat = false;                      // with rings: /proc can be read, too
    std::string why;
  };
  [[nodiscard]] static choice not_tried() { return {.why = "it is tried out after runtime::start()"}; }
  // Waits for it.
  [[nodiscard]] choice chosen();
  // The same without its reason, and without waiting; automatic: not known yet.
  [[nodiscard]] detection kind() noexcept;
  [[nodiscard]] bool reads_stat() const noexcept { return stat_.load(base::order::relaxed); }

  // Whoever wants nothing but announcements wants no guesses either.
  [[nodiscard]] bool keeps_floor() const noexcept { return asked_ != detection::announced; }

  // Its thread has ended on return.
  void join() noexcept;
  void renew_in_child();

 private:
  void begin_locked() noexcept WRING_REQUIRES(mu_);
  void join_locked() noexcept WRING_REQUIRES(mu_);
  void choose();

  detection asked_;
  std::string by_;  // who asked
  base::atomic<detection> kind_{detection::automatic};
  base::atomic<bool> stat_{false};
  choice choice_;  // written before kind_, and never again
  base::mutex mu_{base::rank::leaf};
  base::atomic<bool> settled_{false};  // known, and the thread has ended
  bool begun_ WRING_GUARDED_BY(mu_) = false;
  base::thread thread_ WRING_GUARDED_BY(mu_);
};

}  // namespace wring::sched
