// SPDX-License-Identifier: Apache-2.0
// timekeeper: the one thread of a runtime that waits for time: delayed work, retries of refused thread
// creations, leave of surplus workers, and looks at busy pools.
//
// Timers lie in shards, one per CPU planned for; a timer remembers its shard in the low byte of `tag`.
// Threads: arm(), disarm(), kick() any; fire functions run on the timekeeper, without locks.
// Locks:   a shard's (rank timer) for list operations only.
// Pairing: sleep until (T1) against arm then look (T2); proof in README.md, 3.
#pragma once

#include "base/mutex.h"
#include "base/parker.h"
#include "base/timer_wheel.h"
#include "sched/place.h"
#include "sched/reporter.h"

#include <memory>
#include <vector>

namespace wring::sched {

class worker_pool;

class timekeeper {
 public:
  static constexpr std::uint64_t shard_mask = 0xff;  // of timer::tag

  // `held`: without a thread, whoever needs it, until start() or let_go().
  timekeeper(unsigned cpus, std::size_t stack_bytes, reporter& report, const place& home, bool held = false);
  ~timekeeper();

  // 0 or -errno; then it is held still, if it was.
  int start() noexcept;
  // The first call that needs its thread starts it.
  void let_go() noexcept { held_.store(false, base::order::release); }                      // pairs with is_held()
  [[nodiscard]] bool is_held() const noexcept { return held_.load(base::order::acquire); }  // pairs with let_go()
  void stop();
  // A pool to look at while it is watched; for good.
  void add_pool(worker_pool& pool) noexcept;
  // In a forked child: as just made, without its thread, which the first call that needs it starts, unless it is held.
  void renew_in_child();

  // `t` must be idle: not armed, not being fired, nobody else arming it.
  void arm(base::timer& t, base::instant deadline) noexcept;
  // True: it was armed and will not fire. False: it is idle, or its fire function is about to run or runs.
  bool disarm(base::timer& t) noexcept;
  // Look at the pools now, or when it starts. False: in a forked child, its thread cannot be made yet.
  bool kick() noexcept;
  // While it looks at pools, it also makes this call once in so long. Before start().
  void check_now_and_then(void (*check)(void* context), void* context, std::chrono::nanoseconds interval) noexcept {
    check_ = check;
    check_context_ = context;
    check_interval_ = interval;
  }
  [[nodiscard]] bool has_thread() const noexcept { return started_.load(base::order::acquire); }  // pairs with start()

  [[nodiscard]] std::size_t armed() const noexcept;
  void audit() const;

 private:
  struct alignas(base::cache_line) shard {
    explicit shard(base::instant now) : wheel{now} {}
    base::mutex mu{base::rank::timer};
    base::timer_wheel wheel WRING_GUARDED_BY(mu);
  };

  // A timer may have been in another runtime before, with more shards; any number will do, if it is always the
  // same for the same tag.
  [[nodiscard]] std::size_t shard_in(std::uint64_t tag) const noexcept {
    return static_cast<std::size_t>(tag & shard_mask) % shards_.size();
  }
  static void main(void* self);
  void run() noexcept;
  base::instant fire_due(base::instant now) noexcept;

  std::vector<std::unique_ptr<shard>> shards_;
  const std::size_t stack_bytes_;
  reporter& report_;
  const place& home_;
  base::atomic<worker_pool*> pools_{nullptr};  // linked by next; added in front, never removed
  void (*check_)(void*) = nullptr;
  void* check_context_ = nullptr;
  std::chrono::nanoseconds check_interval_{};
  base::instant check_due_{};  // the thread only
  base::mutex start_mu_{base::rank::timekeeper};
  base::thread thread_ WRING_GUARDED_BY(start_mu_);
  base::atomic<bool> started_{false};
  base::atomic<bool> held_;
  base::parker parker_;
  base::atomic<std::uint64_t> sleep_until_{base::never.ns};  // ns; until then it looks at nothing
  base::atomic<bool> stopping_{false};
};

}  // namespace wring::sched
