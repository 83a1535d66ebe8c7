// SPDX-License-Identifier: Apache-2.0

#include "sched/worker_pool.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace wring::sched {

namespace {

// How often an idle worker looks before it parks: about a microsecond, which a publisher's next item often
// makes worthwhile, and far below what a wake-up costs.
constexpr int looks_before_park = base::simulated ? 2 : 32;

// Places for workers that have left, but whose threads still run destructors of their own variables.
constexpr unsigned places_for_leavers = 64;

constexpr std::chrono::milliseconds limit_report_delay{10};

}  // namespace

worker_pool::worker_pool(const pool_services& services, config c, placement where)
    : services_{services},
      config_{c},
      target_{config_.target},
      in_use_{c.in_use},
      place_{std::move(where)},
      place_version_{place_.cpus.empty() ? 0U : 1U},
      workers_(most_workers() + places_for_leavers + seats_most) {
  for (base::timer* t : {&retry_timer_, &retire_timer_, &limit_timer_})
    t->cookie = reinterpret_cast<std::uintptr_t>(this);
  retry_timer_.fire = retry_due;
  retire_timer_.fire = retire_due;
  limit_timer_.fire = report_limit;
}

worker_pool::~worker_pool() {
  for_each_worker([](worker& w) {
    delete &w;
    return false;
  });
}

// Nothing is destroyed: what other threads of the parent were about to change must not be looked at.
void worker_pool::renew_in_child() WRING_NO_ANALYSIS {
  const pool_services services = services_;
  config c = config_;
  c.target = target();
  c.in_use = in_use_;
  placement where = place_;
  std::construct_at(this, services, c, std::move(where));
}

std::string worker_pool::name() const {
  if (config_.cpu < 0) return "u" + std::to_string(config_.index);
  return std::to_string(config_.cpu) + (config_.run_to_completion ? "B" : "") + (config_.nice == high_nice ? "H" : "");
}

void worker_pool::set_target(unsigned target) noexcept {
  target_.store(target, base::order::seq_cst);
  if (more()) notify();  // who published before found the old target reached
}

// ---- publishing -------------------------------------------------------------------------------------------

void worker_pool::offer(source& s) noexcept {
  inbox_.push(s);  // (P1) seq_cst
  notify();        // (P2)
}

void worker_pool::notify() noexcept {
  switch (word_.claim(target_.load(base::order::seq_cst))) {  // pairs with set_target()
    case pool_word::claim_result::claimed: wake_one(); break;
    case pool_word::claim_result::somebody_searches:  // it has (F1) or (K2) still before it
      break;
    case pool_word::claim_result::full:
      if (!watched()) watch();
      break;
  }
}

// The caller has claimed a slot.
void worker_pool::wake_one() noexcept {
  worker* w = nullptr;
  bool at_limit = false;
  bool nobody = false;
  bool first = false;
  {
    const base::lock_guard lock{idle_mu_};
    w = idle_.pop_front();
    if (w != nullptr) {
      idle_hint_.store(--idle_count_, base::order::relaxed);
    } else if (cooling_down_ || stopping_ || (!managing_ && alive_ >= most_workers())) {
      // Whoever frees a worker, or the retry, looks again. Given back under the lock: a worker that parks
      // from here on must not find our slot and rely on it.
      word_.leave_searching();
      at_limit = !cooling_down_ && !stopping_ && !config_.run_to_completion;  // these have all they should have
      nobody = !stopping_;
    } else {
      ++owed_;  // a worker is being made, or is on its way and will make one or take the slot (K1)
      first = alive_ == 0;
    }
  }
  if (w != nullptr) {
    wakeups_.fetch_add(1, base::order::relaxed);
    w->parker.unpark();
  } else if (nobody && !watched()) {
    watch();  // for rescuers and the watchdog
  }
  if (at_limit) {
    limit_reached_.fetch_add(1, base::order::relaxed);
    // Not at once: those that are about to wait will do so by then.
    if (!limit_reported_.exchange(true, base::order::relaxed))
      services_.time.arm(limit_timer_, base::clock::now() + limit_report_delay);
  }
  if (first) {
    first_wanted_.store(true, base::order::release);  // pairs with look()
    services_.time.kick();
  }
}

bool worker_pool::mark(worker& w, std::uint8_t why) noexcept {
  const std::uint8_t before = w.out_of_count.load(base::order::relaxed);
  if ((why & worker::seen_waiting) != 0) blocks_seen_.fetch_add(1, base::order::relaxed);
  w.out_of_count.store(before | why, base::order::relaxed);
  if ((before & worker::waits) == 0 && (why & worker::waits) != 0) {
    const std::int32_t blocked = blocked_.fetch_add(1, base::order::relaxed) + 1;
    std::int32_t most = blocked_max_.load(base::order::relaxed);
    while (blocked > most &&
           !blocked_max_.compare_exchange_weak(most, blocked, base::order::relaxed, base::order::relaxed)) {
      base::cpu_relax();
    }
  }
  return before == 0;
}

void worker_pool::left_count() noexcept {
  word_.block();
  if (more()) notify();
}

// The count comes first: as soon as the worker is said to be in it, the timekeeper may take it out again, and
// the word must not go below what it counts.
void worker_pool::join_count(worker& w, std::uint8_t reasons) noexcept {
  const std::uint8_t before = w.out_of_count.load(base::order::relaxed);
  const auto after = static_cast<std::uint8_t>(before & (~reasons | worker::rescuing));
  if (before == after) return;
  if (after == 0) word_.resume();
  if ((before & worker::waits) != 0 && (after & worker::waits) == 0) blocked_.fetch_sub(1, base::order::relaxed);
  w.out_of_count.store(after, base::order::relaxed);
}

// ---- the list of sources ----------------------------------------------------------------------------------

void worker_pool::drain_inbox_locked() noexcept {
  if (inbox_.empty()) return;
  // Before the inbox looks empty, so that more() never misses what is between the two.
  list_in_use_.store(1, base::order::seq_cst);
  source* newest = inbox_.grab();
  source* oldest_first = nullptr;
  while (newest != nullptr) {
    source* const older = newest->next;
    newest->next = oldest_first;
    oldest_first = newest;
    newest = older;
  }
  while (oldest_first != nullptr) {
    source* const s = oldest_first;
    oldest_first = s->next;
    s->listed = true;
    sources_.push_back(*s);
  }
}

source* worker_pool::take() noexcept {
  if (!more()) return nullptr;
  const base::lock_guard lock{sources_mu_};
  drain_inbox_locked();
  source* const s = sources_.pop_front();
  if (s != nullptr) s->listed = false;
  if (sources_.empty()) list_in_use_.store(0, base::order::seq_cst);
  return s;
}

bool worker_pool::withdraw(source& s) noexcept {
  const base::lock_guard lock{sources_mu_};
  drain_inbox_locked();
  const bool listed = s.listed;
  if (listed) {
    sources_.remove(s);
    s.listed = false;
  }
  if (sources_.empty()) list_in_use_.store(0, base::order::seq_cst);
  return listed;
}

// ---- the life of a worker ---------------------------------------------------------------------------------

void worker_pool::main(void* p) {
  worker& w = *static_cast<worker*>(p);
  worker::set_current(&w);
  w.thread_id.store(base::thread_id(), base::order::relaxed);
  w.cpu.begin(0);
  w.stack = base::thread_stack();
  w.pool.settle(w);
  w.pool.run(w);
}

void worker_pool::run(worker& w) noexcept {
  for (;;) {
    w.parker.park();
    if (w.leaving.load(base::order::relaxed)) break;  // ordered by the parker
    w.woken = true;
    source* s = search(w);  // the waker has claimed a slot: awake and searching
    while (s != nullptr) s = serve(w, *s);
    // A callback forked and came back in the child. That was the program's only thread there, and has nothing left to
    // do; threads that a runtime has made in the child do not count.
    if (worker::current() != &w) std::exit(EXIT_SUCCESS);
    // Who is told to leave is always unparked too, and takes that wake-up with it: it must not reach the worker
    // that gets this place next.
  }
  worker::set_current(nullptr);  // destructors of the thread's own variables are outside of the pool
}

// WQ-101: on its CPU, another has gone on before this one, which was woken in its place, came to look. It parks, and
// its last look at the list (K3) serves whoever relied on it.
bool worker_pool::not_needed() const noexcept {
  if (config_.slack != 0 || word_.load().awake <= target()) return false;
  base::sometimes("a woken worker was not needed any more");
  return true;
}

// Awake and searching on entry. A source: awake, not searching. Null: parked (or leaving).
source* worker_pool::search(worker& w) noexcept {
  for (;;) {
    for (int look = 0; look < looks_before_park && !not_needed(); ++look) {
      if (source* const s = take()) {
        if (word_.found() && more()) notify();  // (F1) the last searcher hands the search on
        return s;
      }
      base::cpu_relax();
    }
    word_.leave_searching();  // (K1)
    if (park(w)) return nullptr;
  }
}

// Awake on entry, not searching. The next source, on the same terms, or null: parked (or leaving).
source* worker_pool::serve(worker& w, source& first) noexcept {
  ensure_spare();
  const std::uint32_t version = place_version_.load(base::order::relaxed);
  if (version != w.placed || (version != 0 && w.woken)) [[unlikely]]
    come_home(w);
  first.serve(w);
  if (worker::current() != &w) return nullptr;  // see run()
  if (rings_.load(base::order::relaxed) != 0 && pressed()) recount_by_rings();
  // In unbound pools one more than the target may stay, so that a worker that comes back from blocking does not cost
  // a wake-up later, and as many as are expected to be seen waiting; nothing beyond that for longer than one item
  // (WQ-74).
  if (word_.leave_if_above(most_awake())) {  // (K1)
    return park(w) ? nullptr : search(w);
  }
  if (source* const s = take()) return s;
  word_.search();
  return search(w);
}

// (K2), (K3): out of the count on entry. True: on the idle list, to be parked, or leaving. False: the
// worker has taken a slot that somebody claimed meanwhile and is awake and searching again.
bool worker_pool::park(worker& w) noexcept {
  bool arm = false;
  base::list<worker> gone;
  const base::instant now = base::clock::now();
  {
    const base::lock_guard lock{idle_mu_};
    if (stopping_) {
      --alive_;
      w.leaving.store(true, base::order::relaxed);
      w.parker.unpark();
      return true;
    }
    if (owed_ > 0) {
      --owed_;
      return false;
    }
    w.idle_since = now;
    idle_.push_front(w);  // (K2)
    idle_hint_.store(++idle_count_, base::order::relaxed);
    arm = !retirement_armed_ && too_many_idle_locked();
    retirement_armed_ |= arm;
    if (!in_use_) [[unlikely]]
      end_if_unused_locked(gone);
  }
  dismiss(gone);
  if (arm) services_.time.arm(retire_timer_, now + services_.options.idle_timeout);
  if (WRING_PLANT(park_without_recheck)) return true;
  if (more()) notify();  // (K3) may well wake this worker
  return true;
}

}  // namespace wring::sched
