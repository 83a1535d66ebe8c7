// SPDX-License-Identifier: Apache-2.0
// watch: the timekeeper's looks at a busy pool.
//
// Two things can hold up work although nobody has announced anything. A worker that leads a queue of short
// items gets a long one: what waits behind it is handed to others after some 50 us. And all counted workers
// may be stuck: then, if nothing has started for the stall floor, the one that is stuck longest leaves the
// count, so that another worker starts. A pool is watched from the moment somebody publishes without
// waking anyone until nothing waits any more; an idle pool costs nothing.

#include "sched/stuck.h"
#include "sched/worker_pool.h"

#include <algorithm>
#include <string>
#include <utility>

namespace wring::sched {

namespace {
constexpr std::uint64_t interval_min_ns = 50'000;
constexpr std::uint64_t interval_max_ns = 1'000'000;
// While there is nobody to be woken, looks can only feed the watchdog.
constexpr std::uint64_t interval_of_nobody_ns = 50'000'000;
// Of a CPU, the recounts of a pool use at most one part in so many.
constexpr std::uint64_t share_of_recount = 10;
}  // namespace

void worker_pool::watch() noexcept {
  if (watched_.exchange(1, base::order::seq_cst) != 0) return;          // pairs with look()
  if (!services_.time.kick()) watched_.store(0, base::order::seq_cst);  // who comes next tries again
}

base::instant worker_pool::look(base::instant now) noexcept {
  if (first_wanted_.load(base::order::relaxed) && first_wanted_.exchange(false, base::order::acquire) &&
      begin_creation()) {  // pairs with wake_one()
    create();
  }
  if (!watched()) {
    look_interval_ns_ = 0;
    return base::never;
  }
  if (look_interval_ns_ == 0) {  // watched since just now: remember where everybody is
    look_interval_ns_ = interval_min_ns;
    look_at_workers(now);
    progress_since_ = now;
    watchdog_.progress(now);
    return look_due_ = now + std::chrono::nanoseconds{look_interval_ns_};
  }
  if (now < look_due_) return look_due_;

  const sight seen = look_at_workers(now);
  if (seen.moving) progress_since_ = now;
  const bool something_waits = pressed();
  recounted r{};
  if (something_waits && now >= recount_due_) {
    r = recount(now);
    recount_cost_ns_ = r.cost_ns;
    recount_due_ = now + std::chrono::nanoseconds{r.cost_ns * share_of_recount};
  }
  keep_floor(now);
  call_rescuers(now);
  const bool stands = !seen.moving && more();
  stands_since_ns_.store(stands ? progress_since_.ns : 0, base::order::relaxed);
  if (!stands) {
    watchdog_.progress(now);
  } else if (const auto stalled = watchdog_.no_progress(now, services_.limits.watchdog())) {
    report_stall(*stalled);
  }

  if (!seen.moving && !more()) {
    // Quiet. Publishers who find the pool unwatched watch it again; what was published before the exchange
    // is seen by the second look (store and load on both sides, all seq_cst).
    watched_.exchange(0, base::order::seq_cst);
    // Pairs with serve(): a leader that is not seen yet looks for itself whether somebody waits; and with share_kept().
    base::fence_heavy();
    const sight again = look_at_workers(now);
    if (!again.moving && !again.relieved && !more()) {
      look_interval_ns_ = 0;
      mayday_due_ = base::never;
      forget_expected();
      return base::never;
    }
    watched_.exchange(1, base::order::seq_cst);
  }
  const bool nobody = more() && !pressed() && !seen.moving;
  const std::uint64_t longest = nobody ? interval_of_nobody_ns : interval_max_ns;
  look_interval_ns_ = seen.relieved || r.soon ? interval_min_ns : std::min(look_interval_ns_ * 2, longest);
  return look_due_ = std::min(now + std::chrono::nanoseconds{look_interval_ns_}, mayday_due_);
}

worker_pool::sight worker_pool::look_at_workers(base::instant now) noexcept {
  sight seen{};
  for_each_worker([&](worker& w) {
    const std::uint64_t turn = w.turns.load(base::order::relaxed);
    source* const s = w.serving.load(base::order::acquire);  // pairs with the source's store
    const source* const before = std::exchange<const source*>(w.seen_serving, s);
    if (const std::uint64_t turns = turn - w.seen_turn; turns != 0) {
      const std::int64_t time = (now - w.seen_since).count();
      w.seen_turn = turn;
      w.seen_since = now;
      seen.moving = true;
      // A leader whose items have become long, though none of them lasts from one look to the next.
      if (s == nullptr || s != before || static_cast<std::uint64_t>(time) < turns * interval_min_ns) return false;
    }
    // Who has left the count to wait leads nobody: leave_count() has seen to that.
    if (s == nullptr || (w.out_of_count.load(base::order::relaxed) & worker::waits) != 0) return false;
    if (s->relieve(w, turn)) {
      base::sometimes("stuck leader relieved");
      seen.relieved = true;
    } else if (w.turns.load(base::order::relaxed) != turn) {  // what relieve() has seen may be newer
      seen.moving = true;
    }
    return false;
  });
  return seen;
}

// Work is pending and nothing has started for the whole floor: one stuck worker leaves the count.
void worker_pool::keep_floor(base::instant now) noexcept {
  const std::chrono::nanoseconds floor = services_.options.stall_floor;
  if (floor.count() == 0 || !services_.detect.keeps_floor() || now - progress_since_ < floor || !more()) return;
  progress_since_ = now;
  if (word_.load().awake < target()) return;  // somebody is on the way, or was refused and is tried again
  worker* longest = nullptr;
  base::instant before = base::never;
  for_each_worker([&](worker& w) {
    const source* const s = w.serving.load(base::order::acquire);  // pairs with the source's store
    if (s == nullptr || w.out_of_count.load(base::order::relaxed) != 0 || w.seen_since >= before) return false;
    longest = &w;
    before = w.seen_since;
    return false;
  });
  if (longest == nullptr) return;
  const std::uint64_t item = longest->seen_turn;
  source* const s = longest->serving.load(base::order::acquire);  // pairs with the source's store
  if (s != nullptr && s->leave_count(*longest, worker::stuck, &item)) {
    base::sometimes("stall floor raised");
    stalls_.fetch_add(1, base::order::relaxed);
  }
}

// The evidence is what each worker is in, and what that waits for.
void worker_pool::report_stall(std::chrono::nanoseconds stalled) noexcept {
  base::sometimes("the watchdog reported a stall");
  const std::string crowd = crowd_in(*this);
  const std::string text = "pool " + name() + " has started nothing for " +
                           std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(stalled).count()) +
                           " ms, though work waits (runtime_options::watchdog_threshold)" +
                           (crowd.empty() ? "" : ". Its workers are: " + crowd);
  const std::uint64_t reports = services_.stall_reports.fetch_add(1, base::order::relaxed) + 1;
  if (services_.limits.ends_patience(reports, stalled)) {
    services_.report.misuse(text);
  } else {
    services_.report.warn(text);
  }
}

void worker_pool::report_blocked_bh(const worker& w) const {
  services_.report.misuse("a callback of the bh queue '" + w.serving.load(base::order::relaxed)->name() +
                          "' blocks, and with it all bh items of CPU " + std::to_string(config_.cpu) +
                          "; give it a queue without workqueue_options::bh");
}

}  // namespace wring::sched
