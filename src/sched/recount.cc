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
#include <cerrno>
#include <cmath>
#include <optional>
#include <utility>

namespace wring::sched {

namespace {
// Of the looks at a worker that is known to wait, so many are left out before each: sixty rings are sixty cold pages.
constexpr unsigned looks_left_out_most = 8;
// Who used all the time since the last look but so much runs, or has not waited for longer. Not asked if that was just
// now.
constexpr std::int64_t wait_overlooked_ns = 50'000;
constexpr std::int64_t just_now_ns = 4 * wait_overlooked_ns;
// So long a CPU clock has to stand still. A thread that waits for a CPU looks the same.
constexpr auto clock_stands_still = std::chrono::milliseconds{10};
// So often at most workers between two items look at the others' rings.
constexpr std::uint64_t ring_looks_apart_ns = 20'000;
// How fast the estimate of waiting workers forgets, per look.
constexpr double kept_of_estimate = 0.95;
// The number of no turn, for worker::measured_turn.
constexpr std::uint64_t no_turn = ~std::uint64_t{0};

// What the timekeeper has used so far.
std::int64_t own_cpu_time() noexcept { return base::cpu_time_of(base::thread_id()); }
}  // namespace

// Something waits, and nobody may be woken for it.
bool worker_pool::pressed() const noexcept { return word_.load().awake >= target() && more(); }

// Calls f(at_work) for each worker that is inside an item, until it answers true.
template <class F>
void worker_pool::for_each_busy(const F& f) noexcept {
  for_each_worker([&f](worker& w) {
    // In this order: who is still in that item when it leaves the count was in it when it was looked at.
    const std::uint64_t item = w.turns.load(base::order::acquire);
    source* const s = w.serving.load(base::order::acquire);  // pairs with the source's store
    return s != nullptr && f(at_work{w, *s, item, w.out_of_count.load(base::order::relaxed)});
  });
}

worker_pool::recounted worker_pool::recount(base::instant now) noexcept {
  const detection kind = services_.detect.kind();
  recounted r{.soon = kind == detection::automatic, .cost_ns = 0};
  if (kind > detection::announced) {
    const std::int64_t before = own_cpu_time();
    for_each_busy([&](const at_work& b) {
      if (b.reasons == worker::seen_waiting) {
        if (goes_on(b, now)) b.s.join_count(b.w, worker::seen_waiting, false);
      } else if (b.reasons == 0) {
        const std::int64_t used = base::cpu_time_of(b.w.thread_id.load(base::order::relaxed));
        if (sight_of(b.w, used, now) == base::thread_sight::waiting) {
          r.soon |= take_out_waiting(b);
        } else if (uses_much_cpu(b, used) && one_more_intensive()) {
          r.soon |= take_out_intensive(b);
        }
      }
      return false;
    });
    r.cost_ns = static_cast<std::uint64_t>(std::max(own_cpu_time() - before, std::int64_t{0}));
  }
  expect();
  return r;
}

// By a worker between two items: only what costs no system call, one at a time, and one worker found is enough.
void worker_pool::recount_by_rings() noexcept {
  std::optional<at_work> waiting;
  if (!rings_mu_.try_lock()) return;
  const std::uint64_t now = base::clock::ticks();
  if (now - rings_looked_at_ >= base::clock::ticks_of_ns(ring_looks_apart_ns)) {
    rings_looked_at_ = now;
    for_each_busy([&waiting](const at_work& b) {
      if (b.reasons == 0 && b.w.switches.look() == base::thread_sight::waiting) waiting.emplace(b);
      return waiting.has_value();
    });
  }
  rings_mu_.unlock();
  if (waiting && waiting->s.leave_count(waiting->w, worker::seen_waiting, &waiting->item)) {
    base::sometimes("a worker between items saw another one wait");
  }
}

bool worker_pool::take_out_waiting(const at_work& b) noexcept {
  if (!b.s.leave_count(b.w, worker::seen_waiting, WRING_PLANT(next_item_taken_out) ? nullptr : &b.item)) return false;
  base::sometimes("a worker was seen to wait");
  watch_switches(b.w);  // it is likely to wait again
  return true;
}

// Has one that was seen to wait been seen to run?
bool worker_pool::goes_on(const at_work& b, base::instant now) noexcept {
  worker& w = b.w;
  if (w.looks_left_out++ < looks_left_out_most) return false;
  w.looks_left_out = 0;
  base::thread_sight seen = w.switches.look();
  // A ring is silent until its thread has been switched, which one that waits since before will be when it goes on.
  if (seen == base::thread_sight::unknown) {
    const std::int64_t used = base::cpu_time_of(w.thread_id.load(base::order::relaxed));
    if (used >= 0 && used == w.cpu_ns) return false;
    seen = sight_of(w, used, now);
  }
  if (seen != base::thread_sight::running || WRING_PLANT(going_on_unseen)) return false;
  base::sometimes("a worker that was seen to wait goes on");
  w.measured_turn = no_turn;  // WQ-79: blocking restarts the measurement
  return true;
}

// WQ-79: measured from the first look at this item on, or since it last announced a wait.
bool worker_pool::uses_much_cpu(const at_work& b, std::int64_t used) noexcept {
  const std::chrono::nanoseconds most = services_.limits.cpu_intensive();
  if (most.count() == 0 || used < 0) return false;
  const std::uint64_t blocked = b.w.blocked_ns.load(base::order::relaxed);
  if ((b.w.measured_turn != b.item && !WRING_PLANT(items_measured_as_one)) ||
      b.w.measured_after_blocked_ns != blocked) {
    b.w.measured_turn = b.item;
    b.w.measured_after_blocked_ns = blocked;
    b.w.measured_from_ns = used;
  }
  return used - b.w.measured_from_ns > most.count();
}

// A CPU that has no pool of its own gets one worker more at most.
bool worker_pool::one_more_intensive() noexcept {
  if (config_.slack == 0) return true;
  unsigned intensive = 0;
  for_each_busy([&intensive](const at_work& b) {
    intensive += (b.reasons & worker::cpu_intensive) != 0 ? 1U : 0U;
    return false;
  });
  return intensive < target();
}

bool worker_pool::take_out_intensive(const at_work& b) noexcept {
  source::sight inside{};
  const bool known = b.s.look(b.w, inside) && inside.code != nullptr;
  if (!b.s.leave_count(b.w, worker::cpu_intensive, &b.item)) return false;
  base::sometimes("a worker used much CPU time");
  cpu_intensive_seen_.fetch_add(1, base::order::relaxed);
  if (known) services_.hogs.note(inside.code, b.s.name(), services_.limits.cpu_intensive());
  return true;
}

// If it can be had; else this worker's state is read from /proc, or guessed, as before.
void worker_pool::watch_switches(worker& w) noexcept {
  if (services_.detect.kind() != detection::perf || w.switches.is_open() || w.ring_refused) return;
  const base::lock_guard lock{rings_mu_};
  const int error = w.switches.open(w.thread_id.load(base::order::relaxed));
  if (error == 0) rings_.fetch_add(1, base::order::relaxed);
  w.ring_refused = error != 0 && error != -ESRCH;
}

// Its thread is about to end.
void worker_pool::unwatch_switches(worker& w) noexcept {
  w.ring_refused = false;
  if (!w.switches.is_open()) return;
  const base::lock_guard lock{rings_mu_};
  w.switches.close();
  rings_.fetch_sub(1, base::order::relaxed);
}

// `used`: its CPU time, or below 0.
base::thread_sight worker_pool::sight_of(worker& w, std::int64_t used, base::instant now) noexcept {
  looks_.store(looks_.load(base::order::relaxed) + 1, base::order::relaxed);  // the timekeeper only
  const std::int64_t more = used - std::exchange(w.cpu_ns, used);
  const std::int64_t since_look = (now - std::exchange(w.cpu_looked_at, now)).count();
  if (more != 0) w.cpu_moved = now;
  if (const base::thread_sight seen = w.switches.look(); seen != base::thread_sight::unknown) return seen;
  // The last recount took its time from somebody, too.
  const std::int64_t overlooked = wait_overlooked_ns + static_cast<std::int64_t>(recount_cost_ns_);
  if (used >= 0 && since_look > just_now_ns && more + overlooked >= since_look) return base::thread_sight::running;
  if (services_.detect.reads_stat()) {
    const base::thread_sight seen = base::look_at_stat(w.thread_id.load(base::order::relaxed));
    if (seen != base::thread_sight::unknown) return seen;
  } else {
    watch_switches(w);
  }
  if (used < 0) return base::thread_sight::unknown;
  return now - w.cpu_moved >= clock_stands_still ? base::thread_sight::waiting : base::thread_sight::running;
}

// Workers that wait come back, and wait again before others are woken for them, or they are seen to. So many may stay
// awake until they do: at once as many as wait, and fewer only slowly. The pool of a CPU keeps the kernel's rule.
void worker_pool::expect() noexcept {
  if (config_.slack == 0) return;
  const auto now = static_cast<double>(std::max(blocked_.load(base::order::relaxed), 0));
  waiting_estimate_ = std::max(now, waiting_estimate_ * kept_of_estimate + now * (1 - kept_of_estimate));
  expected_waiting_.store(static_cast<std::uint32_t>(std::lround(waiting_estimate_)), base::order::relaxed);
}

void worker_pool::forget_expected() noexcept {
  waiting_estimate_ = 0;
  expected_waiting_.store(0, base::order::relaxed);
}

}  // namespace wring::sched
