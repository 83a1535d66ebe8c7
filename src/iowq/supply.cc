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
queue::owed queue::decide(bool concurrent, trigger why) noexcept {
  if (!wants_.load(base::order::relaxed)) return {};
  const supply now = supply_for(numbers(), concurrent);
  if (now == supply::leave || queued_ > 1) keep_looking();
  switch (now) {
    case supply::wake: return {.wake = &wake_free()};
    case supply::make:
      if (has_stopped() || retry_.armed || pool_.home().is_early()) return {};  // for the last, see start()
      if (pool_.may_make_workers_here()) return add_worker(why);
      if (!pool_.owner_makes_workers() || pool_.exiting()) leave_note();
      return {};
    case supply::leave: break;
  }
  return {};
}

// For the timekeeper; an owner that makes its workers looks by itself.
void queue::leave_note() noexcept {
  if (!note_.armed) arm(note_, 0, fire<&queue::note_is_due>);
}

// K1
queue::owed queue::add_worker(trigger why) noexcept {
  worker* const w = pool_.new_worker();
  if (w == nullptr) return {.no_memory = true};
  w->begin_life(*this);
  all_.push_back(*w);
  ++workers_;
  most_ = std::max(most_, workers_);
  running_.fetch_add(1, base::order::seq_cst);  // pairs with left_count()
  switch (why) {
    case trigger::enqueue: ++created_.enqueue; break;
    case trigger::note: ++created_.note; break;
    case trigger::retry: ++created_.retry; break;
  }
  return {.make = w};
}

// K2. False: what waited has been failed.
bool queue::pay(const owed& o) noexcept {
  if (o.wake != nullptr) o.wake->wake();
  if (o.no_memory) return !refused(nullptr, -ENOMEM);
  if (o.make == nullptr) return true;
  pool_.join_ended();
  if (const int error = o.make->start(); error != 0) return !refused(o.make, error);
  o.make->let_go();
  return true;
}

void queue::has_begun() noexcept {
  const base::lock_guard lock{mu_};
  attempt_ = 0;
}

// K5
bool queue::refused(worker* w, int error) noexcept {
  work_list failing;
  owed o;
  {
    const base::lock_guard lock{mu_};
    if (w != nullptr) {
      leave(*w);
      running_.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
    }
    ++created_.refused;
    switch (after(error, ++attempt_, pool_.exiting(), workers_)) {
      case after_refusal::retry:
        base::sometimes("the creation of an I/O worker is tried again");
        if (!retry_.armed) arm(retry_, retry_delay_ms(attempt_), fire<&queue::retry_is_due>);
        break;
      // Somebody is there who looks at the end of its item, which may wait for one that waits here.
      case after_refusal::give_up:
        attempt_ = 0;
        if (wants_.load(base::order::relaxed) && !has_stopped() && !later_.armed) {
          const auto pause = std::min<std::chrono::milliseconds>(pool_.home().options().creation_retry, longest_pause);
          arm(later_, static_cast<unsigned>(pause.count()), fire<&queue::later_is_due>);
        }
        break;
      case after_refusal::fail_all:
        attempt_ = 0;
        unlink_all(failing);
        break;
    }
    if (free_count_ != 0) o = decide(false, trigger::note);
  }
  if (w != nullptr) pool_.forget_worker(*w);
  pay(o);
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
unsigned queue::run_note() noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    o = decide(false, trigger::note);
  }
  pay(o);
  return o.make != nullptr ? 1 : 0;
}

void queue::retry_is_due() { try_again(retry_); }
void queue::later_is_due() { try_again(later_); }

void queue::try_again(alarm& due) noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    due.armed = false;
    o = decide(false, trigger::retry);
  }
  pay(o);
}

unsigned queue::set_limit(unsigned limit) noexcept {
  owed o;
  unsigned before = 0;
  {
    const base::lock_guard lock{mu_};
    before = limit_;
    if (limit != 0) limit_ = limit;
    o = decide(false, trigger::note);
  }
  pay(o);
  return before;
}

}  // namespace wring::iowq
