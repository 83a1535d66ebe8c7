// SPDX-License-Identifier: Apache-2.0
// rcu_work: the states of an item that is queued after a grace period; the proofs are in README.md.
//
// state (one word):
//   phase    : 8   below; changed by compare and exchange, or, by who owns the item, by an addition
//   refusing :24   cancel_sync() calls and the destructor that are under way: nothing is queued
//   forks    :32   queue_for_later::forks() of the process that used the item last
#include <wring/rcu.h>

#include "base/sync.h"
#include "rcu/grace_period.h"

#include <urcu/urcu-bp.h>

#include <cstdint>
#include <cstdlib>

namespace wring {

namespace detail {

class rcu_access {
 public:
  static work& work_of(rcu_work& r) noexcept { return r.work_; }
  static base::atomic_ref<std::uint64_t> state_of(rcu_work& r) noexcept {
    return base::atomic_ref<std::uint64_t>{r.state_};
  }
  static queue_for_later& where_of(rcu_work& r) noexcept { return r.where_; }
  static rcu_head& head_of(rcu_work& r) noexcept { return *reinterpret_cast<rcu_head*>(r.head_.bytes); }

  static rcu_work& around(work& w) noexcept { return *reinterpret_cast<rcu_work*>(&w); }
  static rcu_work& around(rcu_head& h) noexcept {
    static_assert(sizeof(rcu_head) == sizeof(rcu_work::head_storage) &&
                  sizeof(rcu_work) == head_offset + sizeof(rcu_head));
    return *reinterpret_cast<rcu_work*>(reinterpret_cast<char*>(&h) - head_offset);
  }

 private:
  static constexpr std::size_t head_offset = sizeof(work) + sizeof(std::uint64_t) + sizeof(queue_for_later);
};

namespace {

using base::order;
using word = base::atomic_ref<std::uint64_t>;

enum phase : std::uint64_t {
  idle,      // not pending; ours alone
  arming,    // pending; its owner writes where it goes and hands the head to liburcu
  grace,     // pending; liburcu has the head
  dropped,   // not pending, cancelled during the grace period; liburcu has the head
  rearming,  // pending again; its owner writes where it goes; liburcu has the head
  again,     // pending; liburcu has the head, and when it gives it back a new grace period begins
  queued,    // pending; in its queue, or on the way there
};
constexpr std::uint64_t phase_mask = 0xff;
constexpr std::uint64_t refuse_one = 0x100;
constexpr std::uint64_t refusing_mask = 0xffff'ff00;
constexpr unsigned forks_shift = 32;

constexpr phase phase_of(std::uint64_t state) noexcept { return static_cast<phase>(state & phase_mask); }
constexpr std::uint64_t with(std::uint64_t state, phase p) noexcept { return (state & ~phase_mask) | p; }
constexpr bool is_pending(phase p) noexcept { return p != idle && p != dropped; }
constexpr bool is_lent(phase p) noexcept { return p != idle && p != queued; }  // liburcu has the head, or may have it

class patience {
 public:
  void pause() noexcept {
    if (tries_++ < 64) {
      base::cpu_relax();
    } else {
      rcu::yield();
    }
  }

 private:
  unsigned tries_ = 0;
};

// By the owner, while nobody else changes the phase.
void move(word state, phase from, phase to) noexcept {
  state.fetch_add(std::uint64_t{to} - std::uint64_t{from}, order::acq_rel);  // pairs with current()
}

bool change(word state, std::uint64_t& seen, phase to) noexcept {
  return state.compare_exchange_strong(seen, with(seen, to), order::acq_rel, order::acquire);
}

// The state, after a fork made idle: what the parent queued does not run here. If liburcu took the head along, it gives
// it back here, too, once the program has told it of the fork.
std::uint64_t current(word state) noexcept {
  const std::uint64_t forks = std::uint64_t{queue_for_later::forks()} << forks_shift;
  std::uint64_t seen = state.load(order::acquire);
  while ((seen >> forks_shift) != (forks >> forks_shift)) {
    const std::uint64_t renewed = forks | (is_lent(phase_of(seen)) ? dropped : idle);
    if (state.compare_exchange_strong(seen, renewed, order::acq_rel, order::acquire)) return renewed;
  }
  return seen;
}

void grace_over(rcu_head* head);

// In phase `arming`. The head is given first, and the phase set then: who sees `grace` can wait for liburcu.
void arm(rcu_work& r) noexcept {
  rcu::start_grace_period(rcu_access::head_of(r), grace_over);
  move(rcu_access::state_of(r), arming, grace);  // (A) our last touch
}

// Our last touch is that of the queue call, or of the refused item. `where_` is the next owner's from the moment the
// item is in its queue.
void enter_queue(rcu_work& r) noexcept {
  const queue_for_later where = rcu_access::where_of(r);
  if (!where.queue(rcu_access::work_of(r), "an rcu_work")) move(rcu_access::state_of(r), queued, idle);
}

// In a thread of liburcu's, which has given the head back.
void grace_over(rcu_head* head) {
  rcu_work& r = rcu_access::around(*head);
  const word state = rcu_access::state_of(r);
  for (patience p;; p.pause()) {
    std::uint64_t seen = current(state);
    switch (phase_of(seen)) {
      case arming:
      case rearming: break;  // the owner is about to leave it
      case grace:
        if (change(state, seen, queued)) return enter_queue(r);
        break;
      case again:
        if (change(state, seen, arming)) return arm(r);
        break;
      case dropped:
        if (change(state, seen, idle)) return;
        break;
      case idle:
      case queued: std::abort();  // liburcu does not have the head then
    }
  }
}

bool drop(rcu_work& r) noexcept {
  const word state = rcu_access::state_of(r);
  for (patience p;; p.pause()) {
    std::uint64_t seen = current(state);
    switch (phase_of(seen)) {
      case idle:
      case dropped: return false;
      case grace:
      case again:
        if (change(state, seen, dropped)) return true;
        break;
      case queued:  // or on the way into its queue, or out of it into its run
        if (rcu_access::work_of(r).cancel()) {
          move(state, queued, idle);
          return true;
        }
        break;
      case arming:
      case rearming: break;
    }
  }
}

// How often callbacks of liburcu have to return until the item that is pending now is in its queue.
unsigned grace_periods_ahead(rcu_work& r) noexcept {
  for (patience p;; p.pause()) {
    switch (phase_of(current(rcu_access::state_of(r)))) {
      case arming:
      case rearming: break;
      case grace: return 1;
      case again: return 2;
      case idle:
      case dropped:
      case queued: return 0;
    }
  }
}

// False: misuse, reported.
bool wait_for_liburcu(rcu_work& r, const char* otherwise) {
  if (rcu::would_wait_for_itself()) {
    rcu_access::where_of(r).misuse(otherwise);
    return false;
  }
  rcu::wait_for_grace_periods();
  return true;
}

}  // namespace

rcu_work& rcu_run_begins(work& inner) noexcept {
  rcu_work& r = rcu_access::around(inner);
  const word state = rcu_access::state_of(r);
  // acq_rel: the run sees what was done before a queue_rcu() that found the item pending, by its exchange (WQ-64).
  for (std::uint64_t seen = current(state); phase_of(seen) == queued && !change(state, seen, idle);) continue;
  return r;
}

}  // namespace detail

using detail::rcu_access;

bool queue_rcu(workqueue& queue, rcu_work& item) noexcept {
  const detail::word state = rcu_access::state_of(item);
  for (;;) {
    std::uint64_t seen = detail::current(state);
    const detail::phase before = detail::phase_of(seen);
    if (detail::is_pending(before)) {
      if (detail::change(state, seen, before)) return false;  // an exchange all the same, for the run to see (WQ-64)
      continue;
    }
    if ((seen & detail::refusing_mask) != 0) return false;
    const detail::phase mine = before == detail::idle ? detail::arming : detail::rearming;
    if (!detail::change(state, seen, mine)) continue;

    const detail::queue_for_later where{queue};
    if (!where.accepts()) {
      detail::move(state, mine, before);
      return false;
    }
    rcu_access::where_of(item) = where;
    if (mine == detail::arming) {
      detail::arm(item);
    } else {
      detail::move(state, detail::rearming, detail::again);
    }
    return true;
  }
}

bool rcu_work::cancel() noexcept { return detail::drop(*this); }

bool rcu_work::cancel_sync() noexcept {
  if (current_work() == &work_) return work_.cancel_sync();  // misuse
  const detail::word state = rcu_access::state_of(*this);
  detail::current(state);
  state.fetch_add(detail::refuse_one, base::order::acq_rel);  // pairs with the exchange in queue_rcu()
  const bool was_pending = detail::drop(*this);
  work_.cancel_sync();
  state.fetch_sub(detail::refuse_one, base::order::acq_rel);
  return was_pending;
}

bool rcu_work::flush() noexcept {
  if (current_work() == &work_) return work_.flush();  // misuse
  const unsigned ahead = detail::grace_periods_ahead(*this);
  for (unsigned i = 0; i < ahead; ++i) {
    if (!detail::wait_for_liburcu(*this,
                                  "flush of an rcu_work from a reader or from a callback of call_rcu() would wait for "
                                  "itself")) {
      return false;
    }
  }
  // It may be on its way into the queue still, by another thread.
  const detail::word state = rcu_access::state_of(*this);
  for (detail::patience p; detail::phase_of(detail::current(state)) == detail::queued && !work_.pending(); p.pause())
    continue;
  return work_.flush() || ahead != 0;
}

bool rcu_work::pending() const noexcept {
  const std::uint64_t state = rcu_access::state_of(const_cast<rcu_work&>(*this)).load(base::order::relaxed);
  return detail::is_pending(detail::phase_of(state)) &&
         state >> detail::forks_shift == detail::queue_for_later::forks();
}

void rcu_work::quiesce() noexcept {
  const detail::word state = rcu_access::state_of(*this);
  if (state.load(base::order::acquire) == 0) return;  // never queued
  detail::current(state);
  state.fetch_add(detail::refuse_one, base::order::acq_rel);  // its callback may be about to queue it again
  detail::drop(*this);
  while (detail::is_lent(detail::phase_of(detail::current(state)))) {
    if (!detail::wait_for_liburcu(*this,
                                  "an rcu_work was destroyed during its grace period by a reader or a callback of "
                                  "call_rcu(), which would wait for itself")) {
      std::abort();  // liburcu would come back to memory that is gone
    }
  }
}

}  // namespace wring
