// SPDX-License-Identifier: Apache-2.0

#include "workqueue/pool_workqueue.h"

namespace wring::detail {

// ---- publishing -------------------------------------------------------------------------------------------

pool_workqueue::answer pool_workqueue::submit(item& it, bool runs_here) noexcept {
  sched::worker_pool* const pool = pool_;  // before the item is published: then the queue may end at any time
  place_of(it).store(item_place::make(*this), base::order::relaxed);
  std::uint64_t w = word_.load(base::order::relaxed);
  std::uint64_t desired = 0;
  do {
    if ((w & (closed | retired)) != 0) [[unlikely]] {
      if (const answer e = may_enter(it, w, runs_here); e != answer::taken) return e;
    }
    it.next = head_of(w);
    desired = reinterpret_cast<std::uintptr_t>(&it) | (w & word_flags);
    if ((w & (scheduled | full)) == 0) desired |= scheduled;
  } while (!word_.compare_exchange_weak(w, desired, base::order::seq_cst, base::order::relaxed));  // with drain_inbox()
  if ((w & (scheduled | full)) == 0) {
    pool->offer(*this);
  } else if (short_items_.load(base::order::relaxed) && !pool->watched()) {
    pool->watch();  // a leader may be stuck in an item that is not short
  }
  return answer::taken;
}

// A retired one still takes children of groups that its own callbacks wait for, so that a waiter finds them where it
// may run them itself, and items that it runs (WQ-61).
pool_workqueue::answer pool_workqueue::may_enter(const item& it, std::uint64_t word, bool runs_here) noexcept {
  if ((word & retired) != 0 && !runs_here) {
    const bool is_child = (state_of(const_cast<item&>(it)).load(base::order::relaxed) & item_state::child) != 0;
    if (!is_child || !inside(*this)) return answer::moved;
  }
  return (word & closed) == 0 || chained_or_reject() ? answer::taken : answer::refused;
}

bool pool_workqueue::chained_or_reject() noexcept {
  if (inside_queue_of(*this)) return true;
  static_cast<void>(word_.load(base::order::acquire));  // pairs with refuse(): whose shutdown closed it is seen now
  if (core_->shutting_down() && inside(*core_)) return true;  // all queues end together, and may feed each other
  rejected_.fetch_add(1, base::order::relaxed);
  if (!rejection_reported_.exchange(true, base::order::relaxed)) {
    core_->report().warn("an item was queued on '" + name() +
                         (core_->shutting_down() ? "' after the shutdown() of its runtime"
                                                 : "' while it is being drained or destroyed") +
                         "; refused (reported once for this queue)");
  }
  return false;
}

// ---- what the holder does ---------------------------------------------------------------------------------

void pool_workqueue::drain_inbox() noexcept {
  if (head_of(word_.load(base::order::relaxed)) == nullptr) return;
  item* it = head_of(word_.fetch_and(word_flags, base::order::acq_rel));  // pairs with submit()
  if (it == nullptr) return;
  item* const last = it;  // newest first
  item* first = nullptr;
  const std::uint64_t place = item_place::make(*this, item_place::listed, tail_colour_);
  while (it != nullptr) {
    item* const older = it->next;
    it->next = first;
    if (first != nullptr) first->prev = it;
    place_of(*it).store(place, base::order::relaxed);
    first = it;
    it = older;
  }
  run_.append_chain(*first, *last);
}

// Who runs `it` on this queue at the moment, going by the worker that its state names.
execution* pool_workqueue::runs(const item& it, std::uint64_t state) noexcept {
  if ((state & item_state::worker_mask) == 0) return nullptr;
  const item_state::worker_number n = item_state::worker_of(state);
  if (n.pool != pool_->index()) return nullptr;
  sched::worker* const w = pool_->at(n.worker);
  if (w == nullptr || w->serving.load(base::order::relaxed) != this) return nullptr;
  auto* const x = static_cast<execution*>(w->frame);
  return x->running == &it ? x : nullptr;
}

// `first` followed an item that went to x: the barriers that belong to it follow.
void pool_workqueue::take_linked(item* first, item_list& from, execution& x) noexcept {
  while (first != nullptr) {
    item* const following = item_list::next(*first);
    const bool more = (state_of(*first).load(base::order::relaxed) & item_state::linked) != 0;
    from.remove(*first);
    x.handed.push_back(*first);
    if (!more) return;
    first = following;
  }
}

void pool_workqueue::begin(execution& x, item& it) noexcept {
  place_of(it).store(item_place::make(*this), base::order::relaxed);
  x.running = &it;
  x.gone = false;
  const std::uint64_t state = state_of(it).load(base::order::relaxed);
  x.one_shot = (state & item_state::one_shot) != 0;
  if ((state & item_state::child) != 0) item_access::child_leaves_queue(it);
  if (x.worker.is_rescuer && rescue != nullptr) rescue->rescued.fetch_add(1, base::order::relaxed);
  x.worker.begin_turn();
}

// The run of x has ended. What x was handed comes before all else; null: nothing.
item* pool_workqueue::next_handed(execution& x, waiter_chain& ended) noexcept {
  ended.add_all(x.waiters);
  x.running = nullptr;
  while (item* const it = x.handed.pop_front()) {
    if ((state_of(*it).load(base::order::relaxed) & item_state::barrier) != 0) {
      ended.add(static_cast<barrier_item*>(it)->end);
      continue;
    }
    // Its turn was when it was handed over; since then it is in flight in the colour of that moment.
    --in_flight_[x.colour];
    x.colour = item_place::colour_of(place_of(*it).load(base::order::relaxed));
    flush_progress(ended);
    begin(x, *it);
    return it;
  }
  return nullptr;
}

// For the owner of `scheduled`: the item that x runs next; null: none.
item* pool_workqueue::next_item(execution& x, waiter_chain& ended) noexcept {
  if (item* const it = next_handed(x, ended)) return it;
  if (active_ > limit_) return nullptr;  // lowered since x began
  for (;;) {
    item* it = run_.pop_front();
    if (it == nullptr) {
      drain_inbox();
      it = run_.pop_front();
      if (it == nullptr) return nullptr;
    }
    const std::uint64_t state = state_of(*it).load(base::order::relaxed);
    WRING_ASSERT((state & item_state::barrier) == 0, base::hex{state}, name_);  // they leave the list with their item
    if ((state & item_state::marker) != 0) [[unlikely]] {
      pass_marker(*static_cast<flusher::marker_item*>(it)->flush, ended);
      continue;
    }
    // Still running elsewhere: it goes to that worker, which runs it next (WQ-61).
    if (active_ > 1 && (state & item_state::one_shot) == 0) {
      execution* const other = runs(*it, state);
      if (other != nullptr && other != &x) {
        base::sometimes("item handed to the worker that runs it");
        item* const following = run_.front();
        place_of(*it).store(item_place::make(*this, item_place::listed | item_place::handed, colour_),
                            base::order::relaxed);
        ++in_flight_[colour_];
        if (!WRING_PLANT(handed_item_lost)) other->handed.push_back(*it);
        if ((state & item_state::linked) != 0) take_linked(following, run_, *other);
        continue;
      }
    }
    if ((state & item_state::linked) != 0) take_linked(run_.front(), run_, x);
    if (x.colour != colour_) {
      --in_flight_[x.colour];
      x.colour = colour_;
      ++in_flight_[x.colour];
      flush_progress(ended);
    }
    begin(x, *it);
    return it;
  }
}

void pool_workqueue::start_serving(execution& x) noexcept {
  ++active_;
  x.colour = colour_;
  ++in_flight_[x.colour];
  x.worker.frame = &x;
  x.worker.code.store(nullptr, base::order::relaxed);
  x.worker.serving.store(this, base::order::release);  // pairs with the timekeeper's look, and watch_run()
  if (x.worker.repatriated) [[unlikely]] {
    x.worker.repatriated = false;
    ++repatriated_;
  }
}

void pool_workqueue::stop_serving(execution& x, waiter_chain& ended) noexcept {
  WRING_ASSERT(x.kept.newest_first.empty(), name_);  // a group has ended when the callback does on whose stack it lies
  if (x.children != 0) started_.fetch_add(x.children, base::order::relaxed);
  --active_;
  if (active_ <= limit_) lowered_ = false;
  --in_flight_[x.colour];
  if (WRING_PLANT(flush_counted_twice) && in_flight_[x.colour] != 0) --in_flight_[x.colour];
  x.worker.serving.store(nullptr, base::order::release);
  x.worker.frame = nullptr;
  flush_progress(ended);
}

// The caller owns `scheduled` and does not serve any more. True: it must offer the queue to the pool.
bool pool_workqueue::settle() noexcept {
  if (active_ >= limit_) {
    full_ = true;
    word_.fetch_xor(scheduled | full, base::order::release);  // with submit(), which offers: source::next
    return false;
  }
  std::uint64_t w = word_.load(base::order::relaxed);
  for (;;) {
    if (!run_.empty() || head_of(w) != nullptr) return true;
    if (word_.compare_exchange_weak(w, w & ~scheduled, base::order::release, base::order::relaxed)) return false;
    base::cpu_relax();
  }
}

// Something was put into run_. True: the caller must offer the queue to the pool. Relaxed, as in reopen(): run_ is
// handed on with the queue, the inbox by who empties it.
bool pool_workqueue::schedule() noexcept {
  std::uint64_t w = word_.load(base::order::relaxed);
  while ((w & (scheduled | full)) == 0) {
    if (word_.compare_exchange_weak(w, w | scheduled, base::order::relaxed, base::order::relaxed)) return true;
    base::cpu_relax();
  }
  return false;
}

// A slot of max_active has become free, or there are more. True: the caller must offer the queue to the pool.
bool pool_workqueue::reopen() noexcept {
  if (!full_ || active_ >= limit_) return false;
  full_ = false;
  std::uint64_t w = word_.load(base::order::relaxed);
  for (;;) {
    if (!run_.empty() || head_of(w) != nullptr) {
      // It stays so, because only who holds the queue empties the inbox; a producer that never stops must not
      // keep us in this loop.
      word_.fetch_xor(full | scheduled, base::order::relaxed);
      return true;
    }
    if (word_.compare_exchange_weak(w, w & ~full, base::order::relaxed, base::order::relaxed)) return false;
    base::cpu_relax();
  }
}

bool pool_workqueue::idle() const noexcept {
  return active_ == 0 && run_.empty() && passed_ == nullptr && head_of(word_.load(base::order::acquire)) == nullptr;
}

}  // namespace wring::detail
