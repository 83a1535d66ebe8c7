// SPDX-License-Identifier: Apache-2.0
// cancel: taking items back, and waiting for one item.
//
// An item that is pending is in a list of its queue, or in its timer, or on the way between two of these (a
// few instructions of another thread, no user code): then the caller tries again.

#include "workqueue/cancel.h"

#include "base/patience.h"
#include "sched/stuck.h"
#include "workqueue/delayed.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/revive.h"
#include "workqueue/slots.h"

namespace wring::detail {

namespace {

// The queue that the item waits for in its timer, after taking it out of there; null: it is not in its timer.
pool_workqueue* take_from_timer(base::timer* t) noexcept {
  if (t == nullptr) return nullptr;
  pool_workqueue* const q = delay_target(*t);
  return q != nullptr && q->home().time().disarm(*t) ? q : nullptr;
}

sched::worker* last_worker(item& it) noexcept {
  const std::uint64_t state = state_of(it).load(base::order::acquire);  // pairs with run()
  pool_workqueue* const q = item_place::queue_of(place_of(it).load(base::order::acquire));
  if ((state & item_state::worker_mask) == 0 || q == nullptr) return nullptr;
  const item_state::worker_number n = item_state::worker_of(state);
  sched::worker_pool* const pool = q->home().pools().at(n.pool);
  return pool != nullptr ? pool->at(n.worker) : nullptr;
}

}  // namespace

pool_workqueue* served_by(sched::worker& w) noexcept {
  return dynamic_cast<pool_workqueue*>(w.serving.load(base::order::acquire));  // pairs with start_serving()
}

bool steal(item& it, base::timer* t) noexcept {
  for (base::patience p;; p.pause()) {
    if ((state_of(it).load(base::order::acquire) & item_state::pending) == 0) return false;
    if (take_from_timer(t) != nullptr) return true;
    pool_workqueue* const q = item_place::queue_of(place_of(it).load(base::order::acquire));  // pairs with submit()
    if (q != nullptr && q->unlist(it)) return true;
    base::sometimes("cancel met an item on its way");
  }
}

// Its callback may have a stop_token, and not have ended.
void request_stop(item& it) noexcept {
  sched::worker* const w = last_worker(it);
  if (w == nullptr || w->stoppable.load(base::order::seq_cst) != &it) return;  // seq_cst: pairs with stop_scope
  pool_workqueue* const q = served_by(*w);
  if (q == nullptr) return;
  if (std::optional<std::stop_source> stop = q->stop_source_of(*w, it)) stop->request_stop();
}

bool cancel(item& it, base::timer* t) noexcept {
  revive(it);
  const bool was_pending = steal(it, t);
  if (was_pending) state_of(it).fetch_and(~item_state::pending, base::order::release);  // pairs with queue()
  request_stop(it);
  return was_pending;
}

run_wait wait_for_run(item& it, const wait_call& call, base::instant deadline) noexcept {
  sched::worker* const w = last_worker(it);
  if (w == nullptr) return run_wait::idle;
  pool_workqueue* const q = served_by(*w);
  if (q == nullptr) return run_wait::idle;
  waiter end;
  waiter_chain ends;
  ends.add(end);
  const std::optional<waited_queue> of = q->watch_run(*w, it, ends);
  if (!of) return run_wait::idle;
  note_wait_for_item(*of, call);
  if (wait_blocking(end, "the end of an item", *q, deadline)) return run_wait::waited;
  if (q->unwatch_run(*w, end)) return run_wait::late;
  wait_blocking(end, "the end of an item", *q);  // it has ended, and we are about to be told
  return run_wait::waited;
}

bool is_running(item& it) noexcept {
  if (!is_of_this_process(state_of(it).load(base::order::relaxed))) return false;
  sched::worker* const w = last_worker(it);
  if (w == nullptr) return false;
  pool_workqueue* const q = served_by(*w);
  return q != nullptr && q->is_run_by(*w, it);
}

cancelled cancel_sync(item& it, base::timer* t, const wait_call& call, base::instant deadline) noexcept {
  revive(it);
  const auto state = state_of(it);
  // From here on no queue call succeeds. If another call has seen to that, it waits for the same run.
  for (base::patience p; (state.fetch_or(item_state::cancelling, base::order::seq_cst) & item_state::cancelling) != 0;
       p.pause()) {
    base::sometimes("cancel_sync met another");
    if (wait_for_run(it, call, deadline) == run_wait::late) return {.was_pending = false, .ended = false};
    // The other one may be in a stop_callback of the user's.
    if (deadline != base::never && base::clock::now() >= deadline) return {.was_pending = false, .ended = false};
  }
  const bool was_pending = cancel(it, t);
  const bool ended = wait_for_run(it, call, deadline) != run_wait::late;
  if (!ended) base::sometimes("cancel_sync gave up");
  state.fetch_and(~item_state::cancelling, base::order::release);
  return {.was_pending = was_pending, .ended = ended};
}

bool disable(item& it) noexcept {
  revive(it);
  const auto state = state_of(it);
  std::uint64_t seen = state.load(base::order::relaxed);
  do {
    if ((seen & item_state::disabled_mask) == item_state::disabled_mask) return false;
  } while (!state.compare_exchange_weak(seen, seen + item_state::disabled_one, base::order::seq_cst,  // with stop_scope
                                        base::order::relaxed));
  return true;
}

enabling enable(item& it) noexcept {
  revive(it);
  const auto state = state_of(it);
  std::uint64_t seen = state.load(base::order::relaxed);
  do {
    if ((seen & item_state::disabled_mask) == 0) return enabling::was_enabled;
  } while (
      !state.compare_exchange_weak(seen, seen - item_state::disabled_one, base::order::acq_rel, base::order::relaxed));
  return (seen & item_state::disabled_mask) == item_state::disabled_one ? enabling::enabled : enabling::still_disabled;
}

std::optional<stuck_callback> find_run(item& it) {
  sched::worker* const w = last_worker(it);
  pool_workqueue* const q = w != nullptr ? served_by(*w) : nullptr;
  sched::source::sight seen;
  if (q == nullptr || !q->is_run_by(*w, it) || !q->look(*w, seen)) return {};
  return sched::stuck_in(*w, *q, seen, {});
}

namespace {

// The queue that the pending item waits for is of a runtime that has not started (WQ-145), which is warned about.
bool is_too_early(item& it, base::timer* t) {
  if ((state_of(it).load(base::order::relaxed) & item_state::pending) == 0) return false;
  const pool_workqueue* q = item_place::queue_of(place_of(it).load(base::order::acquire));  // pairs with submit()
  if (q == nullptr && t != nullptr) q = delay_target(*t);
  return q != nullptr && q->home().is_too_early_for("flush() of an item");
}

}  // namespace

flush_result flush(item& it, base::timer* t, const wait_call& call) noexcept {
  revive(it);
  if (is_too_early(it, t)) return flush_result::refused;
  barrier_item barrier;
  bool asked = false;  // it was pending when we came: true also if it has run meanwhile, without us (WQ-82)
  for (base::patience p;; asked = true, p.pause()) {
    if ((state_of(it).load(base::order::acquire) & item_state::pending) == 0) {
      return wait_for_run(it, call) != run_wait::idle || asked ? flush_result::waited : flush_result::idle;
    }
    if (pool_workqueue* const target = take_from_timer(t)) {  // the delay is cut short (WQ-83)
      if (!delay_is_of(*target, *t) || !enqueue(*target, it)) {
        state_of(it).fetch_and(~item_state::pending, base::order::release);
        return flush_result::idle;
      }
    }
    pool_workqueue* const q = item_place::queue_of(place_of(it).load(base::order::acquire));
    if (q == nullptr) continue;
    const pool_workqueue::barrier_attempt attempt = q->place_barrier(it, barrier);
    if (attempt.refused) {
      q->misuse(
          "flush of a pending item from a callback of its own queue, which runs one item at a time, would wait for "
          "itself");
      return flush_result::refused;
    }
    if (attempt.placed) {
      note_wait_for_item(attempt.of, call);
      wait_blocking(barrier.end, "the end of an item", *q);
      return flush_result::waited;
    }
  }
}

namespace {

// For who holds the item back: a run of it that goes on in another queue, or in a pool that its queue has left, takes
// over those who wait for it. No other run can begin meanwhile.
void watch_run_elsewhere(item& it, waiter_chain& ends) noexcept {
  if (ends.empty()) return;
  sched::worker* const w = last_worker(it);
  pool_workqueue* const q = w != nullptr ? served_by(*w) : nullptr;
  if (q != nullptr && q->watch_run(*w, it, ends)) base::sometimes("a cancelled item's barrier waits elsewhere");
}

}  // namespace

bool pool_workqueue::unlist(item& it) noexcept {
  waiter_chain ended;
  waiter_chain of_item;  // who waits for it by a barrier that no run here takes over
  pool_workqueue* heir = nullptr;
  {
    visit hold{*this};
    drain_inbox();
    const std::uint64_t place = place_of(it).load(base::order::relaxed);
    if (item_place::queue_of(place) != this || (place & item_place::listed) == 0) return false;
    const std::uint64_t state = state_of(it).fetch_and(~item_state::linked, base::order::relaxed);
    const bool handed = (place & item_place::handed) != 0;
    execution* const runner = runs(it, state);
    item* following = (state & item_state::linked) != 0 ? item_list::next(it) : nullptr;
    (handed ? runner->handed : run_).remove(it);
    place_of(it).store(item_place::make(*this), base::order::release);
    if (handed) {
      --in_flight_[item_place::colour_of(place)];
      flush_progress(ended);
    }
    // Barriers wait for the run that is going on, if there is one, else for nothing any more (WQ-88). Those in
    // a private list are there already. A run that is not here can be looked for only once this is let go.
    if (following != nullptr && !handed) {
      if (runner != nullptr) {
        take_linked(following, run_, *runner);
        hold.leave_message(*runner);
      } else {
        while (following != nullptr) {
          auto& barrier = *static_cast<barrier_item*>(following);
          const bool more = (state_of(barrier).load(base::order::relaxed) & item_state::linked) != 0;
          following = more ? item_list::next(barrier) : nullptr;
          run_.remove(barrier);
          of_item.add(barrier.end);
        }
      }
    }
    heir = take_heir();
  }
  if (heir != nullptr) heir->unplug();
  watch_run_elsewhere(it, of_item);
  of_item.complete_all();
  ended.complete_all();
  return true;
}

bool pool_workqueue::is_run_by(sched::worker& w, const item& it) noexcept {
  const visit hold{*this};
  return runs(w, it);
}

std::optional<waited_queue> pool_workqueue::watch_run(sched::worker& w, const item& it, waiter_chain& ends) noexcept {
  visit hold{*this};
  if (!runs(w, it)) return {};
  auto& x = *static_cast<execution*>(w.frame);
  x.waiters.add_all(ends);
  hold.leave_message(x);
  return waited_here();
}

bool pool_workqueue::unwatch_run(sched::worker& w, waiter& end) noexcept {
  const visit hold{*this};
  return w.serving.load(base::order::relaxed) == this && static_cast<execution*>(w.frame)->waiters.remove(end);
}

std::optional<std::stop_source> pool_workqueue::stop_source_of(sched::worker& w, const item& it) noexcept {
  const visit hold{*this};
  if (!runs(w, it)) return {};
  const std::stop_source* const stop = static_cast<execution*>(w.frame)->stop;
  return stop != nullptr ? std::optional{*stop} : std::nullopt;
}

}  // namespace wring::detail
