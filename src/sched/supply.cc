// SPDX-License-Identifier: Apache-2.0
// supply: how a pool gets and loses its threads.
//
// The manager rule (WQ-102): whoever starts serving and leaves no idle worker behind makes one first. One
// at a time manages. A refused creation is retried by a timer; until then nobody tries (WQ-103). While there is nobody
// to wake, rescuers are called (WQ-110).

#include "base/patience.h"
#include "sched/rescuer.h"
#include "sched/stuck.h"
#include "sched/worker_pool.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace wring::sched {

void worker_pool::ensure_spare() noexcept {
  // A worker that was woken sees at least its own departure from the list, so the last one never skips this.
  if (idle_hint_.load(base::order::relaxed) != 0) return;
  if (begin_creation()) create();
}

bool worker_pool::begin_creation() noexcept {
  const base::lock_guard lock{idle_mu_};
  if (!idle_.empty() || managing_ || cooling_down_ || stopping_ || alive_ >= most_workers()) return false;
  managing_ = true;
  ++alive_;
  return true;
}

bool worker_pool::is_managed() const noexcept {
  const base::lock_guard lock{idle_mu_};
  return managing_;
}

int worker_pool::start() {
  if (starts_later()) return 0;
  {
    const base::lock_guard lock{idle_mu_};
    if (alive_ != 0) return 0;
  }
  if (begin_creation()) return create();
  const base::lock_guard lock{idle_mu_};
  if (alive_ != 0) return 0;
  return stopping_ ? -ECANCELED : -EAGAIN;  // the pool ends; or refused a moment ago
}

// A worker without a thread; null if there is none, or memory is short. Only the manager comes here, so nobody
// else takes it. He must not wait for a leaver: destructors of that thread's own variables may wait for work,
// which may need the very worker that is to be made.
worker* worker_pool::free_slot() noexcept {
  for (std::size_t i = 0; i < first_seat(); ++i) {
    worker* w = workers_[i].load(base::order::relaxed);
    if (w == nullptr) {
      w = new (std::nothrow)
          worker{*this, static_cast<std::uint16_t>(i), services_.blocks, worker::kind::thread_of_pool};
      if (w != nullptr) workers_[i].store(w, base::order::release);  // pairs with at()
      return w;
    }
    if (w->leaving.load(base::order::relaxed) && base::thread_try_join(w->thread)) {
      w->leaving.store(false, base::order::relaxed);
      return w;
    }
  }
  return nullptr;
}

// The caller manages. 0 or -errno.
int worker_pool::create() noexcept {
  worker* const w = free_slot();
  int error = -EAGAIN;
  if (w != nullptr) {
    const std::string thread_name = name_of(*w);
    error = base::thread_create(w->thread, {.name = thread_name.c_str(), .stack_bytes = services_.options.stack_bytes},
                                main, w);
    if (error != 0) w->leaving.store(true, base::order::relaxed);
  }
  if (error != 0) {
    base::sometimes("thread creation refused");
    creation_refused(error);
    return error;
  }
  created_.fetch_add(1, base::order::relaxed);
  bool claimed = false;
  bool stopping = false;
  base::list<worker> gone;
  {
    const base::lock_guard lock{idle_mu_};
    managing_ = false;
    refused_last_ = false;
    if (alive_ > alive_max_.load(base::order::relaxed)) alive_max_.store(alive_, base::order::relaxed);
    stopping = stopping_;
    claimed = !stopping && owed_ > 0;
    if (claimed) {
      --owed_;
    } else if (!stopping) {
      w->idle_since = base::clock::now();
      idle_.push_front(*w);
      idle_hint_.store(++idle_count_, base::order::relaxed);
      end_if_unused_locked(gone);
    } else {
      --alive_;
      w->leaving.store(true, base::order::relaxed);
    }
  }
  if (claimed || stopping) w->parker.unpark();
  dismiss(gone);
  return 0;
}

void worker_pool::creation_refused(int error) noexcept {
  unsigned alive = 0;
  bool report = false;
  base::list<worker> gone;
  {
    const base::lock_guard lock{idle_mu_};
    managing_ = false;
    alive = --alive_;
    cooling_down_ = true;
    // Nobody is idle now, so there is nobody to wake for these slots; workers look before they park (K3). Under
    // the lock, as in wake_one().
    if (owed_ != 0 && !WRING_PLANT(owed_slot_forgotten)) word_.leave_searching(owed_);
    owed_ = 0;
    report = !refused_last_;
    refused_last_ = true;
    end_if_unused_locked(gone);
  }
  dismiss(gone);
  refused_.fetch_add(1, base::order::relaxed);
  services_.time.arm(retry_timer_, base::clock::now() + services_.options.creation_retry);
  if (more() && !watched()) watch();  // for those who relied on the slots: see wake_one()
  if (report) {
    services_.report.warn("a worker thread could not be created (" + std::string{std::strerror(-error)} + "); " +
                          std::to_string(alive) + " exist, the next try is in " +
                          std::to_string(services_.options.creation_retry.count()) +
                          " ms; no work is lost. Look at ulimit -u and pids.max");
  }
}

void worker_pool::retry_due(base::timer& t) {
  worker_pool& pool = of(t);
  {
    const base::lock_guard lock{pool.idle_mu_};
    pool.cooling_down_ = false;
  }
  if (pool.begin_creation()) pool.create();
  if (pool.more()) pool.notify();
}

void worker_pool::report_limit(base::timer& t) {
  const worker_pool& pool = of(t);
  const std::string crowd = crowd_in(pool);
  pool.services_.report.warn("pool " + pool.name() + " has reached its limit of " +
                             std::to_string(pool.services_.options.max_workers) +
                             " workers (runtime_options::max_workers); work waits until one is free" +
                             (crowd.empty() ? "" : ". They are: " + crowd));
}

// ---- rescuers are called ----------------------------------------------------------------------------------

worker* worker_pool::take_seat() noexcept {
  const base::lock_guard lock{idle_mu_};
  for (std::size_t i = first_seat(); i < workers_.size(); ++i) {
    worker* w = workers_[i].load(base::order::relaxed);
    const bool made = w == nullptr;
    if (made) {
      w = new (std::nothrow)
          worker{*this, static_cast<std::uint16_t>(i), services_.blocks, worker::kind::seat_of_rescuer};
      if (w == nullptr) return nullptr;
    } else if (!w->leaving.load(base::order::relaxed)) {
      continue;
    }
    w->leaving.store(false, base::order::relaxed);
    if (made) workers_[i].store(w, base::order::release);  // pairs with at()
    seats_taken_.fetch_add(1, base::order::seq_cst);
    return w;
  }
  return nullptr;
}

void worker_pool::give_back(worker& seat) noexcept {
  const base::lock_guard lock{idle_mu_};
  seat.leaving.store(true, base::order::relaxed);
  seats_taken_.fetch_sub(1, base::order::seq_cst);
}

bool worker_pool::exhausted() const noexcept {
  const base::lock_guard lock{idle_mu_};
  return idle_.empty() && (refused_last_ || (!managing_ && alive_ >= most_workers()));
}

std::uint64_t worker_pool::started() const noexcept {
  std::uint64_t sum = 0;
  for_each_worker([&sum](const worker& w) {
    if (!w.is_rescuer) sum += w.turns.load(base::order::relaxed);
    return false;
  });
  return sum;
}

// WQ-110: at once if surely nobody runs. Those that are counted may wait unseen: then if they have started nothing
// since the last time.
void worker_pool::call_rescuers(base::instant now) noexcept {
  if (seats_taken_.load(base::order::relaxed) == 0 || !more() || !exhausted()) {
    mayday_due_ = base::never;
    return;
  }
  const std::uint64_t all = started();
  const bool first = mayday_due_ == base::never;
  if (first) {
    mayday_due_ = now + services_.options.mayday_initial;
    stood_before_ = false;
    started_at_mayday_.store(all, base::order::relaxed);
  }
  if (now < mayday_due_) return;
  mayday_due_ = now + services_.options.mayday_interval;
  const bool stands = started_at_mayday_.exchange(all, base::order::relaxed) == all;
  const bool stood_before = std::exchange(stood_before_, true);
  if (word_.load().awake != 0 && !(stands && stood_before)) return;
  const base::lock_guard lock{sources_mu_};  // what is on the list cannot end meanwhile
  drain_inbox_locked();
  for (source* s = sources_.front(); s != nullptr; s = base::list<source>::next(*s)) {
    if (s->rescue != nullptr) s->rescue->by.call(*s->rescue);
  }
}

// ---- surplus workers leave --------------------------------------------------------------------------------

// WQ-105.
bool worker_pool::too_many_idle_locked() const noexcept {
  const std::uint64_t kept = services_.options.idle_workers_kept;
  const std::uint64_t idle = idle_count_ + (managing_ ? 1 : 0);
  const std::uint64_t busy = alive_ - std::min<std::uint64_t>(idle, alive_);
  return idle > kept && (idle - kept) * services_.options.busy_workers_per_idle >= busy;
}

void worker_pool::retire_due(base::timer& t) {
  worker_pool& pool = of(t);
  const base::instant now = base::clock::now();
  const auto timeout = pool.services_.options.idle_timeout;
  base::list<worker> gone;
  base::instant next{};
  {
    const base::lock_guard lock{pool.idle_mu_};
    // The last idle worker never leaves: wake_one() relies on whoever took it from the list to make another.
    while (pool.too_many_idle_locked() && pool.idle_count_ > 1 && pool.idle_.back()->idle_since + timeout <= now) {
      worker* const w = pool.idle_.pop_back();
      pool.idle_hint_.store(--pool.idle_count_, base::order::relaxed);
      --pool.alive_;
      w->leaving.store(true, base::order::relaxed);
      gone.push_back(*w);
    }
    pool.retirement_armed_ = !pool.stopping_ && pool.too_many_idle_locked() && pool.idle_count_ > 1;
    if (pool.retirement_armed_) next = pool.idle_.back()->idle_since + timeout;
  }
  if (next != base::instant{}) pool.services_.time.arm(t, next);
  pool.dismiss(gone);
}

void worker_pool::dismiss(base::list<worker>& gone) noexcept {
  while (worker* const w = gone.pop_front()) {
    retired_.fetch_add(1, base::order::relaxed);
    unwatch_switches(*w);
    w->parker.unpark();
  }
}

// Not while some are busy: they rely on the idle ones, as who takes the last of these makes another.
void worker_pool::end_if_unused_locked(base::list<worker>& gone) noexcept {
  if (in_use_ || managing_ || alive_ != idle_count_ || more()) return;
  while (worker* const w = idle_.pop_front()) {
    w->leaving.store(true, base::order::relaxed);
    gone.push_back(*w);
  }
  alive_ = idle_count_ = 0;
  idle_hint_.store(0, base::order::relaxed);
}

void worker_pool::set_in_use(bool in_use) noexcept {
  base::list<worker> gone;
  {
    const base::lock_guard lock{idle_mu_};
    in_use_ = in_use;
    end_if_unused_locked(gone);
  }
  dismiss(gone);
  if (more()) notify();  // published while they were told to leave: that gets a new worker
}

// No source is left, so nobody serves and nobody manages; the timekeeper has stopped.
void worker_pool::stop() {
  services_.time.disarm(retry_timer_);
  services_.time.disarm(retire_timer_);
  services_.time.disarm(limit_timer_);
  {
    const base::lock_guard lock{idle_mu_};
    stopping_ = true;
    while (worker* const w = idle_.pop_front()) {
      --alive_;
      w->leaving.store(true, base::order::relaxed);
      w->parker.unpark();
    }
    idle_count_ = 0;
    idle_hint_.store(0, base::order::relaxed);
  }
  // A queue that was being made may have asked for a worker before.
  for (base::patience p; is_managed(); p.pause()) continue;
  for_each_worker([](worker& w) {
    if (!w.is_rescuer) base::thread_join(w.thread);
    return false;
  });
}

}  // namespace wring::sched
