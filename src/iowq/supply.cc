// SPDX-License-Identifier: Apache-2.0
// supply: where the workers of a queue come from, and what becomes of a refusal (README.md, 7).

#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

#include <new>

namespace wring::iowq {

namespace {
constexpr std::chrono::hours longest_pause{24};
}

// Something may wait that could run: who is to see to it?
queue::owed queue::decide(account_kind k, bool concurrent, trigger why) noexcept {
  const ledger& l = of(k);
  if (!l.wants.load(base::order::relaxed)) return {};
  const supply now = supply_for(numbers(k), concurrent);
  if (now == supply::leave || l.queued > 1) keep_looking();
  switch (now) {
    case supply::wake: return {.wake = &wake_free(k)};
    case supply::make:
      if (has_stopped(k) || retry_.armed || pool_.home().is_early()) return {};  // for the last, see start()
      if (pool_.has_manager()) {
        unsigned& needs = of(k).needs_workers;
        needs = concurrent ? needs + 1 : std::max(needs, 1U);
        return {.manager = owed::tell::needs_worker};
      }
      if (pool_.may_make_workers_here()) return add_worker(k, why);
      if (!pool_.owner_makes_workers() || pool_.exiting()) leave_note();
      return {};
    case supply::leave: break;
  }
  return {.manager = pool_.has_manager() ? owed::tell::will_look : owed::tell::nothing};
}

unsigned queue::see_to(account_kind k, trigger why, bool concurrent) noexcept {
  if (!serves(k)) return 0;
  owed o;
  {
    const base::lock_guard lock{mu_};
    o = decide(k, concurrent, why);
  }
  pay(o);
  return o.make != nullptr ? 1 : 0;
}

unsigned queue::see_to_all(trigger why) noexcept {
  unsigned made = 0;
  for (const account_kind k : both_kinds) made += see_to(k, why, false);
  return made;
}

// For the timekeeper; an owner that makes its workers looks by itself.
void queue::leave_note() noexcept {
  if (!note_.armed) arm(note_, 0, fire<&queue::note_is_due>);
}

// K1
queue::owed queue::add_worker(account_kind k, trigger why) noexcept {
  worker* const w = pool_.new_worker();
  if (w == nullptr) return {.kind = k, .no_memory = true};
  w->begin_life(*this, k);
  all_.push_back(*w);
  w->is_fixed = of_both_ && !has_fixed_ && !WRING_PLANT(nobody_is_fixed);
  has_fixed_ = has_fixed_ || w->is_fixed;
  ledger& l = of(k);
  ++l.workers;
  l.most = std::max(l.most, l.workers);
  joined_count(k);
  pool_.charge(k, 1);
  switch (why) {
    case trigger::enqueue: ++l.created.enqueue; break;
    case trigger::note: ++l.created.note; break;
    case trigger::retry: ++l.created.retry; break;
    case trigger::manager: ++l.created.manager; break;
  }
  return {.make = w, .kind = k};
}

// K2. False: what waited has been failed.
bool queue::pay(const owed& o) noexcept {
  if (o.wake != nullptr) o.wake->wake();
  switch (o.manager) {
    case owed::tell::nothing: break;
    case owed::tell::will_look: pool_.its_manager().expect(); break;
    case owed::tell::needs_worker: pool_.its_manager().wake(); break;
  }
  if (o.no_memory) return !refused(o.kind, nullptr, -ENOMEM);
  if (o.make == nullptr) return true;
  pool_.join_ended();
  if (const int error = o.make->start(); error != 0) return !refused(o.kind, o.make, error);
  o.make->let_go();
  return true;
}

void queue::has_begun() noexcept {
  const base::lock_guard lock{mu_};
  attempt_ = 0;
}

void queue::uncount(worker& w) noexcept {
  leave(w);
  of(w.kind).running.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
}

// K5
bool queue::refused(account_kind k, worker* w, int error) noexcept {
  work_list failing;
  bool has_free = false;
  {
    const base::lock_guard lock{mu_};
    if (w != nullptr) {
      uncount(*w);
    }
    ++of(k).created.refused;
    switch (after(error, ++attempt_, pool_.exiting(), all_workers())) {
      case after_refusal::retry:
        base::sometimes("the creation of an I/O worker is tried again");
        if (!retry_.armed) arm(retry_, retry_delay_ms(attempt_), fire<&queue::retry_is_due>);
        break;
      // Somebody is there who looks at the end of its item, which may wait for one that waits here.
      case after_refusal::give_up:
        attempt_ = 0;
        if (of(k).wants.load(base::order::relaxed) && !has_stopped(k) && !later_.armed) {
          const auto pause = std::min<std::chrono::milliseconds>(pool_.home().options().creation_retry, longest_pause);
          arm(later_, static_cast<unsigned>(pause.count()), fire<&queue::later_is_due>);
        }
        break;
      case after_refusal::fail_all:
        attempt_ = 0;
        unlink_all(k, failing);
        break;
    }
    has_free = numbers(k).free != 0;
  }
  if (w != nullptr) pool_.forget_worker(*w);
  if (has_free) see_to_all(trigger::note);
  const bool failed_some = !failing.empty();
  pool_.fail_all(failing);
  return failed_some;
}

// ---- timers ----

void queue::arm(alarm& a, unsigned ms, void (*due)(base::timer&)) noexcept {
  a.armed = true;
  a.timer.cookie = reinterpret_cast<std::uintptr_t>(this);
  a.timer.fire = due;
  pin();
  pool_.home().time().arm(a.timer, base::clock::now() + std::chrono::milliseconds{ms});
}

void queue::disarm(alarm& a) noexcept {
  if (!a.armed || !pool_.home().time().disarm(a.timer)) return;  // it fires just now, and is waited for
  a.armed = false;
  unpin();
}

void queue::note_is_due() {
  {
    const base::lock_guard lock{mu_};
    note_.armed = false;
  }
  run_note();
}

// K6
unsigned queue::run_note() noexcept { return see_to_all(trigger::note); }

void queue::retry_is_due() { try_again(retry_); }
void queue::later_is_due() { try_again(later_); }

void queue::try_again(alarm& due) noexcept {
  {
    const base::lock_guard lock{mu_};
    due.armed = false;
  }
  see_to_all(trigger::retry);
  if (pool_.has_manager()) pool_.its_manager().wake();  // for whom it could not make meanwhile
}

unsigned queue::set_limit(account_kind k, unsigned limit) noexcept {
  unsigned before = 0;
  {
    const base::lock_guard lock{mu_};
    before = of(k).limit;
    if (limit != 0) of(k).limit = limit;
  }
  see_to_all(trigger::note);
  return before;
}

}  // namespace wring::iowq
