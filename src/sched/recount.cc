// SPDX-License-Identifier: Apache-2.0
// recount: which of the counted workers really run.
//
// A callback that blocks without a word keeps its place in the count. While something waits and the count is full, the
// timekeeper asks the kernel about the workers that are in it, and about those that were seen to wait before: the
// count is set right from what they do now, not from events. A worker that has used much CPU time in its item leaves
// the count, too (WQ-79).
// What is seen may be outdated at once; then there is one worker too many, or too few until the next look.

#include "sched/worker_pool.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace wring::sched {

namespace {
// Of the looks at a worker that is known to wait, all but one in so many are left out if each costs a system call.
constexpr unsigned looks_left_out_most = 8;
// So long a CPU clock has to stand still. A thread that waits for a CPU looks the same.
constexpr auto clock_stands_still = std::chrono::milliseconds{10};
// How fast the estimate of waiting workers forgets, per look.
constexpr double kept_of_estimate = 0.95;
// The number of no item, for worker::measured_item.
constexpr std::uint64_t no_item = ~std::uint64_t{0};
}  // namespace

// Something waits, and nobody may be woken for it.
bool worker_pool::pressed() const noexcept { return word_.load().awake >= target() && more(); }

// Calls f(at_work) for each worker that is inside an item.
template <class F>
void worker_pool::for_each_busy(const F& f) noexcept {
  for (unsigned i = 0;; ++i) {
    worker* const w = at(i);
    if (w == nullptr) return;
    // In this order: who is still in that item when it leaves the count was in it when it was looked at.
    const std::uint64_t item = w->items_started.load(base::order::acquire);
    source* const s = w->serving.load(base::order::acquire);  // pairs with the source's store
    if (s != nullptr) f(at_work{*w, *s, item, w->out_of_count.load(base::order::relaxed)});
  }
}

// True: somebody was taken out of the count.
bool worker_pool::recount(base::instant now) noexcept {
  bool found = false;
  unsigned waiting = 0;
  unsigned cpu_intensive = 0;
  for_each_busy([&](const at_work& b) { cpu_intensive += (b.reasons & worker::cpu_intensive) != 0 ? 1U : 0U; });
  for_each_busy([&](const at_work& b) {
    if ((b.reasons & worker::waits) != 0) b.w.measured_item = no_item;  // WQ-79: blocking restarts the measurement
    if (b.reasons == worker::seen_waiting) {
      if (still_waits(b, now)) ++waiting;
    } else if (b.reasons == 0 && sight_of(b.w, now) == base::thread_sight::waiting) {
      const bool taken_out = take_out_waiting(b);
      waiting += taken_out ? 1U : 0U;
      found |= taken_out;
    } else if (b.reasons == 0 && uses_much_cpu(b) && (config_.slack == 0 || cpu_intensive < target())) {
      // A CPU that has no pool of its own gets one worker more at most.
      const bool taken_out = take_out_intensive(b);
      cpu_intensive += taken_out ? 1U : 0U;
      found |= taken_out;
    }
  });
  expect(waiting);
  return found;
}

// By a worker between two items: only what costs no system call, one at a time, and one worker found is enough.
void worker_pool::recount_by_rings() noexcept {
  std::optional<at_work> waiting;
  if (!rings_mu_.try_lock()) return;
  for_each_busy([&waiting](const at_work& b) {
    if (!waiting && b.reasons == 0 && b.w.switches.look() == base::thread_sight::waiting) waiting.emplace(b);
  });
  rings_mu_.unlock();
  if (!waiting || !waiting->s.leave_count(waiting->w, worker::seen_waiting, &waiting->item)) return;
  base::sometimes("a worker between items saw another one wait");
  blocks_seen_.fetch_add(1, base::order::relaxed);
}

bool worker_pool::take_out_waiting(const at_work& b) noexcept {
  if (!b.s.leave_count(b.w, worker::seen_waiting, &b.item)) return false;
  base::sometimes("a worker was seen to wait");
  blocks_seen_.fetch_add(1, base::order::relaxed);
  b.w.measured_item = no_item;
  watch_switches(b.w);  // it is likely to wait again
  return true;
}

bool worker_pool::still_waits(const at_work& b, base::instant now) noexcept {
  // A ring is silent until its thread has been switched, which one that waits since before will be when it goes on.
  if (b.w.switches.look() == base::thread_sight::unknown && b.w.looks_left_out++ < looks_left_out_most) return true;
  b.w.looks_left_out = 0;
  if (sight_of(b.w, now) != base::thread_sight::running) return true;
  base::sometimes("a worker that was seen to wait goes on");
  b.s.join_count(b.w, worker::seen_waiting, false);
  return false;
}

// WQ-79: measured from the first look at this item on.
bool worker_pool::uses_much_cpu(const at_work& b) noexcept {
  const std::chrono::nanoseconds most = services_.options.cpu_intensive_threshold;
  if (most.count() == 0) return false;
  const std::int64_t used = base::cpu_time_of(b.w.thread_id.load(base::order::relaxed));
  if (used < 0) return false;
  if (b.w.measured_item != b.item) {
    b.w.measured_item = b.item;
    b.w.measured_from_ns = used;
  }
  return used - b.w.measured_from_ns > most.count();
}

bool worker_pool::take_out_intensive(const at_work& b) noexcept {
  source::sight inside{};
  const bool known = b.s.look(b.w, inside) && inside.code != nullptr;
  if (!b.s.leave_count(b.w, worker::cpu_intensive, &b.item)) return false;
  base::sometimes("a worker used much CPU time");
  cpu_intensive_seen_.fetch_add(1, base::order::relaxed);
  if (known) services_.hogs.note(inside.code, b.s.name(), services_.options.cpu_intensive_threshold);
  return true;
}

// If it can be had; else this worker's state is read from /proc, or guessed, as before.
void worker_pool::watch_switches(worker& w) noexcept {
  if (services_.detect.kind() != detection::perf || w.switches.is_open()) return;
  const base::lock_guard lock{rings_mu_};
  if (w.switches.open(w.thread_id.load(base::order::relaxed)) == 0) rings_.fetch_add(1, base::order::relaxed);
}

void worker_pool::unwatch_switches(worker& w) noexcept {
  if (!w.switches.is_open()) return;
  const base::lock_guard lock{rings_mu_};
  w.switches.close();
  rings_.fetch_sub(1, base::order::relaxed);
}

base::thread_sight worker_pool::sight_of(worker& w, base::instant now) noexcept {
  looks_.store(looks_.load(base::order::relaxed) + 1, base::order::relaxed);  // the timekeeper only
  if (const base::thread_sight seen = w.switches.look(); seen != base::thread_sight::unknown) return seen;
  const std::uint32_t tid = w.thread_id.load(base::order::relaxed);
  if (services_.detect.reads_stat()) {
    if (const base::thread_sight seen = base::look_at_stat(tid); seen != base::thread_sight::unknown) return seen;
  } else {
    watch_switches(w);
  }
  const std::int64_t used = base::cpu_time_of(tid);
  if (used < 0) return base::thread_sight::unknown;
  if (used != w.cpu_ns) {
    w.cpu_ns = used;
    w.cpu_moved = now;
    return base::thread_sight::running;
  }
  return now - w.cpu_moved >= clock_stands_still ? base::thread_sight::waiting : base::thread_sight::running;
}

// Workers that were seen to wait come back, and wait again before they are seen to. So many may stay awake until they
// are: at once as many as wait, and fewer only slowly. The pool of a CPU keeps the kernel's rule.
void worker_pool::expect(unsigned waiting) noexcept {
  if (config_.slack == 0) return;
  const auto now = static_cast<double>(waiting);
  waiting_estimate_ = std::max(now, waiting_estimate_ * kept_of_estimate + now * (1 - kept_of_estimate));
  expected_waiting_.store(static_cast<std::uint32_t>(std::lround(waiting_estimate_)), base::order::relaxed);
}

void worker_pool::forget_expected() noexcept {
  waiting_estimate_ = 0;
  expected_waiting_.store(0, base::order::relaxed);
}

}  // namespace wring::sched
