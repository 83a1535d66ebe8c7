// SPDX-License-Identifier: Apache-2.0
// task_group: children are one-off items of the group's queue. wait() takes back those that have not
// started and runs them on the spot; what it may not run itself, it leaves to other workers.
//
// outstanding_: children not finished, times two, plus one if somebody sleeps on the word.

#include <wring/task_group.h>

#include "base/fork.h"
#include "base/patience.h"
#include "workqueue/group_helper.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/registry.h"

#include <wring/blocking.h>

namespace wring {

namespace {

constexpr std::uint32_t sleeper = 1;
constexpr std::uint32_t one_child = 2;

base::atomic_ref<std::uint32_t> atomically(std::uint32_t& word) noexcept {
  return base::atomic_ref<std::uint32_t>{word};
}

// Nested waits may run children until half of the stack is used; the other half is for the callbacks.
bool stack_is_half_used() noexcept {
  const base::stack_bounds stack = base::thread_stack();
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) < stack.low + (stack.high - stack.low) / 2;
}

}  // namespace

// In a forked child the first call makes the group as new; others wait for that.
void task_group::revive() noexcept {
  constexpr std::uint32_t reviving = 1U << 31;
  const std::uint32_t now = base::fork_generation();
  const auto word = atomically(forks_);
  for (base::patience p;; p.pause()) {
    std::uint32_t seen = word.load(base::order::acquire);  // pairs with the store below
    if (seen == now) return;
    if ((seen & reviving) != 0 ||
        !word.compare_exchange_strong(seen, now | reviving, base::order::acquire, base::order::relaxed)) {
      continue;
    }
    outstanding_ = unstarted_ = failed_ = 0;
    error_ = nullptr;
    word.store(now, base::order::release);
    return;
  }
}

bool task_group::start(detail::child& child) noexcept {
  revive();
  child.group = this;
  child.forks = base::fork_generation();
  detail::state_of(child).init(detail::item_state::pending | detail::item_state::one_shot | detail::item_state::child);
  atomically(outstanding_).fetch_add(one_child, base::order::relaxed);  // the item's publication orders both
  atomically(unstarted_).fetch_add(1, base::order::relaxed);
  if (detail::home_of(*queue_->pwq_).submit(child)) return true;
  child_leaves_queue();
  child.entry(child, detail::item_op::destroy);
  return false;
}

void task_group::child_leaves_queue() noexcept { atomically(unstarted_).fetch_sub(1, base::order::relaxed); }

void task_group::finish(std::exception_ptr error, std::uint32_t forks) noexcept {
  if (forks != base::fork_generation()) return;  // it forked, and this is the child, where nobody counts it
  if (error && atomically(failed_).exchange(1, base::order::relaxed) == 0) error_ = std::move(error);
  const auto word = atomically(outstanding_);
  // acq_rel: wait() sees what all children did. From here on the group may be gone; only its address is used.
  if (word.fetch_sub(one_child, base::order::acq_rel) == (one_child | sleeper)) base::futex_wake(word, 1 << 30);
}

// A hint: what others start or add at the same time may be missed.
bool task_group::has_unstarted() const noexcept {
  return atomically(const_cast<std::uint32_t&>(unstarted_)).load(base::order::relaxed) != 0;
}

bool task_group::has_children() const noexcept {
  return atomically(const_cast<std::uint32_t&>(outstanding_)).load(base::order::acquire) >= one_child;  // with finish()
}

// Runs children that have not started, as long as the stack allows.
void task_group::run_children(detail::pool_workqueue& q) noexcept {
  while (has_unstarted() && !stack_is_half_used()) {
    const detail::pool_workqueue::helping h = q.take_child(*this);
    if (h.it == nullptr) return;
    const std::uint32_t forks = base::fork_generation();
    {
      const detail::child_frame inside{q, *h.it};
      q.call(*h.it, h.it->entry);
    }
    if (forks != base::fork_generation()) return;  // the child's callback forked, and this is the forked process
    q.child_done(h);
  }
}

void task_group::sleep() noexcept {
  const auto word = atomically(outstanding_);
  const blocking_scope scope;
  const sched::wait_note note{"a task_group", queue_->pwq_};
  for (;;) {
    std::uint32_t seen = word.load(base::order::acquire);  // pairs with finish()
    if (seen < one_child) return;
    if ((seen & sleeper) == 0 &&
        !word.compare_exchange_weak(seen, seen | sleeper, base::order::acq_rel, base::order::acquire)) {
      base::cpu_relax();
      continue;
    }
    base::futex_wait(word, seen | sleeper);
  }
}

void task_group::wait_for_children() noexcept {
  revive();
  // Children of a divided queue belong where they were queued: only who is there already may run them.
  detail::pool_workqueue* const first = queue_->pwq_;
  detail::pool_workqueue& q = detail::home_of(*first);
  if (first->siblings() == nullptr || detail::inside(q)) run_children(q);
  revive();  // one of them may have forked
  if (has_children()) {
    // Inside the queue, with all of its slots taken, our children can run only in our own slot; the stack for
    // that is another worker's.
    if (q.slots_are_gone_and_one_is_ours()) {
      detail::help_and_sleep(q, *this);
    } else {
      sleep();
    }
  }
  // The bit may stay from a sleep; nobody sleeps on 0 children.
  std::uint32_t left = sleeper;
  atomically(outstanding_).compare_exchange_strong(left, 0, base::order::relaxed, base::order::relaxed);
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

bool belongs_to(item& it, const task_group& group) noexcept {
  return (state_of(it).load(base::order::relaxed) & item_state::child) != 0 && static_cast<child&>(it).group == &group;
}
}  // namespace

// Newest first, which keeps what it needs in the cache and nests least; but with max_active 1 in queue order.
item* pool_workqueue::find_child(const task_group& group, bool own_slot) noexcept {
  if (one_at_a_time()) {
    item* it = run_.front();
    if (own_slot) return it != nullptr && belongs_to(*it, group) ? it : nullptr;  // not before others
    while (it != nullptr && !belongs_to(*it, group)) it = item_list::next(*it);
    return it;
  }
  // Who is inside while no slot is free must find its children: nobody else could start them. And if many
  // wait already, another waiter would only make its replacement start the oldest item, which may wait as well,
  // and so on until all workers that may exist are blocked.
  const bool must_find = !own_slot && (active_ >= limit_ || pool_->many_blocked());
  item* it = run_.back();
  for (unsigned depth = 0; it != nullptr && (must_find || depth < search_depth); it = item_list::prev(*it), ++depth) {
    if (belongs_to(*it, group)) return it;
  }
  return nullptr;
}

pool_workqueue::helping pool_workqueue::take_child(const task_group& group) noexcept {
  const visit hold{*this};
  drain_inbox();
  const bool own_slot = !inside(*this);
  if (own_slot && active_ >= limit_) return {};
  item* const it = find_child(group, own_slot);
  if (it == nullptr) return {};
  const unsigned colour = item_place::colour_of(place_of(*it).load(base::order::relaxed));
  run_.remove(*it);
  place_of(*it).store(item_place::make(*this), base::order::relaxed);
  ++in_flight_[colour];
  if (own_slot) ++active_;
  item_access::child_leaves_queue(*it);
  return {it, colour, own_slot};
}

void pool_workqueue::child_done(const helping& h) noexcept {
  sched::worker_pool& pool = *pool_;
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
  if (offer) pool.offer(*this);
}

bool pool_workqueue::slots_are_gone_and_one_is_ours() noexcept {
  if (!inside(*this)) return false;
  const visit hold{*this};
  return active_ >= limit_;
}

}  // namespace detail
}  // namespace wring
