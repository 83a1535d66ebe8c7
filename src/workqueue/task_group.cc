// SPDX-License-Identifier: Apache-2.0
// task_group: children are one-off items of the group's queue. wait() takes back those that have not
// started and runs them on the spot; what it may not run itself, it leaves to other workers.
//
// Those that their worker keeps to itself are in spawn.cc.

#include <wring/task_group.h>

#include "base/fork.h"
#include "base/patience.h"
#include "workqueue/group_helper.h"
#include "workqueue/group_words.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/registry.h"
#include "workqueue/wait_graph.h"

#include <wring/blocking.h>

#include <cstdlib>
#include <string>
#include <system_error>

namespace wring {

namespace {

using detail::atomically;
using detail::group_word::called;
using detail::group_word::error_is_held;
using detail::group_word::error_is_there;
using detail::group_word::inside_sleeper;
using detail::group_word::one_child;
using detail::group_word::sleeper;

// Nested waits may run children until half of the stack is used; the other half is for the callbacks.
bool stack_is_half_used() noexcept {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) < base::thread_stack().half();
}

}  // namespace

namespace detail {

void item_access::child_has_ended(task_group& g) noexcept { g.child_has_ended(); }

namespace {
bool belongs_to(item& it, const task_group& group) noexcept {
  return (state_of(it).load(base::order::relaxed) & item_state::child) != 0 && static_cast<child&>(it).group == &group;
}

// The calling thread is inside a child of the group, maybe inside of one of another group.
bool inside_child_of(const task_group& group) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->running != nullptr && f->one_shot && belongs_to(*f->running, group)) return true;
  }
  return false;
}

void report_wait_for_itself(pool_workqueue& q, const char* call) noexcept {
  q.misuse("a task_group was waited for by one of its own children, which would never end",
           std::string{"call: "} + call);
}
}  // namespace
}  // namespace detail

// In a forked child the first call makes the group as new.
void task_group::revive() noexcept {
  if (atomically(forks_).load(base::order::acquire) != base::fork_generation()) [[unlikely]]
    begin_anew();  // pairs with its store
}

// Others wait for it.
void task_group::begin_anew() noexcept {
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
    outstanding_ = unstarted_ = kept_ = failed_ = 0;
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
  if (keep(child)) return true;
  atomically(unstarted_).fetch_add(1, base::order::relaxed);
  // Release: pairs with wait_inside(). Who says before this that it sleeps is seen below; who says so later sees that
  // there is one to look for.
  atomically(outstanding_).fetch_add(one_child, base::order::release);
  if (detail::pool_workqueue* const q = detail::enqueue_one_off(detail::home_of(*queue_->pwq_), child)) {
    // seq_cst: pairs with wait_inside(), which sees the child, or has let us know.
    if ((atomically(outstanding_).load(base::order::seq_cst) & inside_sleeper) != 0) q->call_back_if_full(*this);
    return true;
  }
  child_leaves_queue();
  child.entry(child, detail::item_op::destroy);
  return false;
}

void task_group::child_leaves_queue() noexcept { atomically(unstarted_).fetch_sub(1, base::order::relaxed); }

void task_group::finish(std::exception_ptr error, std::uint32_t queued_in) noexcept {
  // It forked, and this is the child, where nobody counts it.
  if ((queued_in & ~detail::is_kept) != base::fork_generation()) return;
  if (error) keep_error(std::move(error));
  if ((queued_in & detail::is_kept) == 0) child_has_ended();  // else run_kept_children() says so
}

// The first one is kept, until a wait() takes it.
void task_group::keep_error(std::exception_ptr error) noexcept {
  const auto failed = atomically(failed_);
  std::uint32_t none = 0;
  if (!failed.compare_exchange_strong(none, error_is_held, base::order::acquire, base::order::relaxed)) return;
  error_ = std::move(error);
  failed.store(error_is_there, base::order::release);  // pairs with take_error()
}

std::exception_ptr task_group::take_error() noexcept {
  const auto failed = atomically(failed_);
  std::uint32_t there = error_is_there;
  if (failed.load(base::order::relaxed) != there ||
      !failed.compare_exchange_strong(there, error_is_held, base::order::acquire, base::order::relaxed)) {
    return nullptr;
  }
  std::exception_ptr error = std::exchange(error_, nullptr);
  failed.store(0, base::order::release);  // pairs with keep_error()
  return error;
}

void task_group::child_has_ended() noexcept {
  const auto word = atomically(outstanding_);
  // acq_rel: wait() sees what all children did. From here on the group may be gone; only its address is used.
  const std::uint32_t before = word.fetch_sub(one_child, base::order::acq_rel);
  if (before < 2 * one_child && (before & sleeper) != 0) base::futex_wake(word, 1 << 30);
}

void task_group::call_back(detail::group_wait& w) noexcept {
  base::sometimes("a sleeper was called back to its task_group");
  w.called.store(true, base::order::release);  // pairs with sleep()
  const auto word = atomically(outstanding_);
  word.fetch_or(called, base::order::acq_rel);
  base::futex_wake(word, 1 << 30);
}

void task_group::nobody_is_called() noexcept { atomically(outstanding_).fetch_and(~called, base::order::relaxed); }

// A hint: what others start or add at the same time may be missed. Not by who sleeps in wait_inside().
bool task_group::has_unstarted() const noexcept {
  return atomically(const_cast<std::uint32_t&>(unstarted_)).load(base::order::relaxed) != 0;
}

bool task_group::has_children() const noexcept {
  // Who is not kept any more is seen outstanding.
  return atomically(const_cast<std::uint32_t&>(kept_)).load(base::order::acquire) != 0 ||
         atomically(const_cast<std::uint32_t&>(outstanding_)).load(base::order::acquire) >= one_child;  // with finish()
}

// Runs children that have not started, as long as the stack allows. False: it does not allow more.
bool task_group::run_children(detail::pool_workqueue& q) noexcept {
  while (has_unstarted()) {
    if (stack_is_half_used()) return false;
    const detail::pool_workqueue::helping h = q.take_child(*this);
    if (h.it == nullptr) return true;
    const std::uint32_t forks = base::fork_generation();
    {
      const detail::child_frame inside{q, *h.it};
      q.call(*h.it, h.it->entry);
    }
    if (forks != base::fork_generation()) return true;  // the child's callback forked, and this is the forked process
    q.child_done(h);
  }
  return true;
}

// The same for children in any pool of an unbound queue; those of a CPU belong there.
bool task_group::run_children_of_all(detail::pool_workqueue& q) noexcept {
  if (!run_children(q)) return false;
  if (q.per_cpu()) return true;
  for (detail::pool_workqueue* other = &q.first(); other != nullptr; other = other->next_member()) {
    if (other != &q && !run_children(*other)) return false;
  }
  return true;
}

// Until there are no children, or this one is called back.
void task_group::sleep(const detail::group_wait* inside) noexcept {
  const auto word = atomically(outstanding_);
  const blocking_scope scope;
  const sched::wait_note note{"a task_group", detail::told_of(*queue_->pwq_)};
  for (base::patience p;;) {
    std::uint32_t seen = word.load(base::order::acquire);  // pairs with finish(), call_back()
    if (seen < one_child) return;
    if (inside != nullptr && inside->called.load(base::order::acquire)) return;
    if ((seen & called) != 0) {
      p.pause();  // another one is: about to go, after which the word would say nothing new if we were called
      continue;
    }
    if (inside != nullptr && (seen & inside_sleeper) == 0) return;  // another wait has ended: look again
    if ((seen & sleeper) == 0 &&
        !word.compare_exchange_weak(seen, seen | sleeper, base::order::relaxed, base::order::relaxed)) {
      base::cpu_relax();
      continue;
    }
    base::futex_wait(word, seen | sleeper);
  }
}

// By a callback of the queue, which keeps its slot: when no other is free, nobody else can start its children. False:
// it would wait for itself.
bool task_group::wait_inside(detail::pool_workqueue& q) noexcept {
  for (;;) {
    run_kept_children();
    const bool may_run_more = run_children_of_all(q);
    revive();  // one of them may have forked
    if (!has_children()) return true;
    if (detail::inside_child_of(*this)) return false;
    // First this, then a last look: pairs with start(), which counts and publishes the child first.
    atomically(outstanding_).fetch_or(sleeper | inside_sleeper, base::order::seq_cst);
    detail::group_wait here{*this};
    detail::pool_workqueue::outlook seen = q.begin_group_wait(here);
    for (detail::pool_workqueue* other = q.is_alone() || q.per_cpu() ? nullptr : &q.first();
         other != nullptr && !seen.child_waits; other = other->next_member()) {
      seen.child_waits = has_unstarted() && other->has_child(*this);
    }
    if (seen.child_waits && seen.full && !may_run_more) {
      detail::help_and_sleep(q, here);  // in our slot, but on the stack of another worker
      continue;
    }
    if (!seen.child_waits || !may_run_more) sleep(&here);
    q.end_group_wait(here);
  }
}

// After run_kept_children(). False: as wait_inside().
bool task_group::wait_for_children() noexcept {
  revive();
  detail::pool_workqueue* const first = queue_->pwq_;
  detail::pool_workqueue& q = detail::home_of(*first);
  if (detail::inside(q)) {
    if (!wait_inside(q)) return false;
  } else {
    if (!q.per_cpu()) run_children_of_all(q);
    revive();
    if (has_children()) {
      if (detail::inside_child_of(*this)) return false;
      sleep(nullptr);
    }
  }
  // Bits may stay from a sleep; nobody sleeps on 0 children.
  const auto word = atomically(outstanding_);
  std::uint32_t left = word.load(base::order::relaxed);
  if (left != 0 && left < called) word.compare_exchange_strong(left, 0, base::order::relaxed, base::order::relaxed);
  return true;
}

void task_group::wait() {
  revive();
  detail::note_wait(*queue_->pwq_, {"task_group::wait()", __builtin_return_address(0)});
  run_kept_children();
  if (has_children()) {
    if (queue_->pwq_->home().is_early()) {
      throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur),
                              "wring: queue '" + queue_->pwq_->name() +
                                  "' runs nothing before runtime::start(), and so no child of a task_group"};
    }
    if (!wait_for_children()) {
      detail::report_wait_for_itself(*queue_->pwq_, "wait()");
      return;
    }
  }
  if (std::exception_ptr error = take_error()) std::rethrow_exception(std::move(error));
}

task_group::~task_group() {
  revive();
  run_kept_children();
  if (has_children()) {
    queue_->pwq_->home().start_for("the end of a task_group whose children have not run");
    detail::note_wait(*queue_->pwq_, {"~task_group()", __builtin_return_address(0)});
    if (!wait_for_children()) {
      detail::report_wait_for_itself(*queue_->pwq_, "~task_group()");
      std::abort();  // whatever the handler says: its child would come back to a group that is gone
    }
  }
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
  // A rescuer is there because no other thread is.
  const bool must_find = !own_slot && (active_ >= limit_ || pool_->many_blocked() || current_is_rescuer());
  item* it = run_.back();
  for (unsigned depth = 0; it != nullptr && (must_find || depth < search_depth); it = item_list::prev(*it), ++depth) {
    if (belongs_to(*it, group)) return it;
  }
  return nullptr;
}

pool_workqueue::helping pool_workqueue::take_child(const task_group& group) noexcept {
  const visit hold{*this};
  drain_inbox();
  const bool own_slot = !inside_queue_of(*this);  // a callback of the queue has one, in whatever pool
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
  pool_workqueue* heir = nullptr;
  {
    const visit hold{*this};
    --in_flight_[h.colour];
    started_.fetch_add(1, base::order::relaxed);
    flush_progress(ended);
    if (h.own_slot) {
      --active_;
      offer = reopen();
      heir = take_heir();
    }
  }
  if (heir != nullptr) heir->unplug();
  ended.complete_all();
  if (offer) pool.offer(*this);
}

pool_workqueue::outlook pool_workqueue::begin_group_wait(group_wait& w) noexcept {
  const visit hold{*this};
  if (head_of(word_.load(base::order::seq_cst)) != nullptr) drain_inbox();  // seq_cst: pairs with task_group::start()
  group_waits_.push_back(w);
  const bool child_waits = item_access::has_unstarted(w.group) && find_child(w.group, false) != nullptr;
  return {.child_waits = child_waits, .full = active_ >= limit_};
}

void pool_workqueue::end_group_wait(group_wait& w) noexcept {
  const visit hold{*this};
  group_waits_.remove(w);
  if (!w.called.load(base::order::relaxed)) return;
  for (group_wait* other = group_waits_.front(); other != nullptr; other = other->next) {
    if (&other->group == &w.group && other->called.load(base::order::relaxed)) return;
  }
  item_access::nobody_is_called(w.group);
}

void pool_workqueue::call_back(const task_group* group) noexcept {
  for (group_wait* w = group_waits_.front(); w != nullptr; w = w->next) {
    if ((group == nullptr || &w->group == group) && !w->called.load(base::order::relaxed)) item_access::call_back(*w);
  }
}

// After list_kept(), once this is not held any more.
void pool_workqueue::call_back_elsewhere() noexcept {
  if (!sleeper_elsewhere_.load(base::order::relaxed) || !sleeper_elsewhere_.exchange(false, base::order::relaxed))
    return;
  for (pool_workqueue* other = first_; other != nullptr; other = other->next_member()) {
    if (other == this) continue;
    const visit hold{*other};
    other->call_back(nullptr);
  }
}

void pool_workqueue::call_back_if_full(const task_group& group) noexcept {
  {
    const visit hold{*this};
    const bool nobody_else = active_ >= limit_ || rescue != nullptr;  // or who sleeps may be the rescuer
    if (!nobody_else || WRING_PLANT(sleeper_not_called)) return;
    call_back(&group);
  }
  if (per_cpu_) return;
  for (pool_workqueue* other = first_; other != nullptr; other = other->next_member()) {
    if (other == this) continue;
    const visit hold{*other};
    other->call_back(&group);
  }
}

bool pool_workqueue::has_child(const task_group& group) noexcept {
  const visit hold{*this};
  if (head_of(word_.load(base::order::seq_cst)) != nullptr) drain_inbox();  // seq_cst: pairs with task_group::start()
  return find_child(group, false) != nullptr;
}

}  // namespace detail
}  // namespace wring
