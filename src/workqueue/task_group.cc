// SPDX-License-Identifier: Apache-2.0
// task_group: children are one-off items of the group's queue. wait() takes back those that have not
// started, newest first, and runs them on the spot.
//
// outstanding_: children not finished, times two, plus one if somebody sleeps on the word.

#include <wring/task_group.h>

#include "workqueue/pool_workqueue.h"

#include <wring/blocking.h>

#include <algorithm>

namespace wring {

namespace {

constexpr std::uint32_t sleeper = 1;
constexpr std::uint32_t one_child = 2;

base::atomic_ref<std::uint32_t> atomically(std::uint32_t& word) noexcept { return base::atomic_ref<std::uint32_t>{word}; }

// Nested waits may run children until half of the stack is used; the other half is for the callbacks.
bool stack_is_half_used() noexcept {
  const base::stack_bounds stack = base::thread_stack();
  const char here = 0;
  const auto at = reinterpret_cast<std::uintptr_t>(&here);
  return at < stack.low + (stack.high - stack.low) / 2;
}

}  // namespace

bool task_group::start(detail::child& child) noexcept {
  child.group = this;
  detail::state_of(child).init(detail::item_state::pending | detail::item_state::one_shot | detail::item_state::child);
  atomically(outstanding_).fetch_add(one_child, base::order::relaxed);  // the item's publication orders it
  if (queue_->pwq_->submit(child)) return true;
  child.entry(child, detail::item_op::destroy);
  return false;
}

void task_group::finish(std::exception_ptr error) noexcept {
  if (error && atomically(failed_).exchange(1, base::order::relaxed) == 0) error_ = std::move(error);
  const auto word = atomically(outstanding_);
  // acq_rel: wait() sees what all children did. From here on the group may be gone; only its address is used.
  if (word.fetch_sub(one_child, base::order::acq_rel) == (one_child | sleeper)) base::futex_wake(word, 1 << 30);
}

void task_group::wait_for_children() noexcept {
  detail::pool_workqueue& q = *queue_->pwq_;
  const auto word = atomically(outstanding_);
  while (word.load(base::order::acquire) >= one_child && (!stack_is_half_used() || q.only_helping_helps())) {
    const detail::pool_workqueue::helping h = q.take_child(*this);
    if (h.it == nullptr) break;
    detail::frame f;
    f.queue = &q;
    f.running = h.it;
    f.one_shot = true;
    f.enter();
    q.call(*h.it, h.it->entry);
    f.leave();
    q.child_done(h);
  }
  std::uint32_t seen = word.load(base::order::acquire);  // pairs with finish()
  if (seen >= one_child) {
    const blocking_scope scope;
    while (seen >= one_child) {
      if ((seen & sleeper) == 0 &&
          !word.compare_exchange_weak(seen, seen | sleeper, base::order::acq_rel, base::order::acquire)) {
        base::cpu_relax();
        continue;
      }
      base::futex_wait(word, seen | sleeper);
      seen = word.load(base::order::acquire);  // pairs with finish()
    }
  }
  // The bit may stay from a sleep; nobody sleeps on 0 children.
  word.compare_exchange_strong(seen, 0, base::order::relaxed, base::order::relaxed);
}

void task_group::wait() {
  wait_for_children();
  if (atomically(failed_).exchange(0, base::order::acquire) != 0) {
    std::exception_ptr error;
    std::swap(error, error_);
    std::rethrow_exception(error);
  }
}

task_group::~task_group() {
  wait_for_children();
  if (error_) {
    queue_->pwq_->home().report().warn("a task_group of queue '" + queue_->pwq_->name() +
                                       "' was destroyed with an exception of a child that nobody asked for");
  }
}

namespace detail {

namespace {
// How far from the newest item a waiter looks for children of its group. Its own are among the newest; a
// longer search would hold the queue for too long.
constexpr unsigned search_depth = 256;
}  // namespace

pool_workqueue::helping pool_workqueue::take_child(const task_group& group) noexcept {
  const visit hold{*this};
  drain_inbox();
  const bool inherits_slot = inside(*this);
  if (!inherits_slot && active_ >= max_active_) return {};
  unsigned depth = 0;
  for (item* it = run_.back(); it != nullptr && (depth < search_depth || max_active_ == 1); it = item_list::prev(*it), ++depth) {
    if ((state_of(*it).load(base::order::relaxed) & item_state::child) == 0 || static_cast<child*>(it)->group != &group) continue;
    const unsigned colour = item_place::colour_of(place_of(*it).load(base::order::relaxed));
    run_.remove(*it);
    place_of(*it).store(item_place::make(*this), base::order::relaxed);
    ++in_flight_[colour];
    if (!inherits_slot) ++active_;
    return {it, colour, !inherits_slot};
  }
  return {};
}

void pool_workqueue::child_done(const helping& h) noexcept {
  waiter_chain ended;
  bool offer = false;
  {
    const visit hold{*this};
    --in_flight_[h.colour];
    started_.fetch_add(1, base::order::relaxed);
    flush_progress(ended);
    if (h.own_slot) {
      --active_;
      offer = reopen();
    }
  }
  ended.complete_all();
  if (offer) pool_->offer(*this);
}

}  // namespace detail
}  // namespace wring
