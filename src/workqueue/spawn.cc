// SPDX-License-Identifier: Apache-2.0
// spawn: children of task groups that their worker keeps to itself (kept_children.h), and how others get them.

#include <wring/task_group.h>

#include "base/fork.h"
#include "workqueue/group_helper.h"
#include "workqueue/group_words.h"
#include "workqueue/pool_workqueue.h"

#include <utility>

namespace wring {

namespace detail {

namespace {

// So many children are added to what the queue has started at a time.
constexpr unsigned children_per_count = 64;

// What the calling thread is inside of, if it is a worker in an item of that queue, and the group lies on the thread's
// own stack, which grows downwards, in what the item has called.
execution* execution_below(const task_group& group, pool_workqueue& queue) noexcept {
  sched::worker* const w = sched::worker::current();
  if (w == nullptr || w->is_rescuer || w->frame == nullptr || w->stack.low == 0) return nullptr;
  auto* const x = static_cast<execution*>(w->frame);
  const auto here = reinterpret_cast<std::uintptr_t>(&group);
  const bool called_by_the_item = here >= w->stack.low && here < reinterpret_cast<std::uintptr_t>(x);
  return called_by_the_item && x->queue->queue_id() == queue.queue_id() ? x : nullptr;
}

}  // namespace

// ---- what the group knows of them: by who may touch what its worker keeps ---------------------------------

base::atomic_ref<pool_workqueue*> item_access::kept_in(task_group& g) noexcept {
  return base::atomic_ref<pool_workqueue*>{g.kept_in_};
}

// False: some of the group are outstanding. Then they all are, so that who waits for outstanding ones waits for all.
bool item_access::keep_child(item& it, pool_workqueue& in) noexcept {
  auto& c = static_cast<child&>(it);
  if (atomically(c.group->outstanding_).load(base::order::relaxed) != 0) return false;
  c.forks |= is_kept;
  const auto kept = atomically(c.group->kept_);
  const std::uint32_t before = kept.load(base::order::relaxed);
  if (before == 0) kept_in(*c.group).store(&in, base::order::relaxed);
  kept.store(before + 1, base::order::release);  // pairs with run_kept_children()
  return true;
}

bool item_access::kept_child_has_ended(task_group& g) noexcept {
  const auto kept = atomically(g.kept_);
  const std::uint32_t before = kept.load(base::order::relaxed);
  if (before != 0) kept.store(before - 1, base::order::release);  // pairs with has_children()
  return before != 0;
}

bool item_access::queue_kept_child(item& it) noexcept {
  auto& c = static_cast<child&>(it);
  c.forks &= ~is_kept;
  atomically(c.group->unstarted_).fetch_add(1, base::order::relaxed);
  const std::uint32_t before = atomically(c.group->outstanding_).fetch_add(group_word::one_child, base::order::release);
  const auto kept = atomically(c.group->kept_);
  kept.store(kept.load(base::order::relaxed) - 1, base::order::release);  // pairs with has_children()
  return (before & group_word::inside_sleeper) != 0;  // as in task_group::start(); pairs with wait_inside()
}

void item_access::count_kept_children(task_group& g) noexcept {
  const auto kept = atomically(g.kept_);
  atomically(g.outstanding_).fetch_add(kept.load(base::order::relaxed) * group_word::one_child, base::order::relaxed);
  kept.store(0, base::order::release);  // pairs with has_children()
}

// ---- what the worker does ---------------------------------------------------------------------------------

// By the owner. Who visits at the moment holds the queue.
template <class F>
void pool_workqueue::with_kept(execution& x, const F& f) noexcept {
  if (x.kept.bias.enter()) {
    f();
    x.kept.bias.leave();
  } else {
    const visit hold{*this};
    f();
  }
}

// Who is out of the count has nothing of that kind: leave_count() has queued it, and sees to it that it stays so.
bool pool_workqueue::keep(execution& x, item& child) noexcept {
  bool done = false;
  place_of(child).store(item_place::make(*this), base::order::relaxed);
  with_kept(x, [&] {
    if (x.worker.out_of_count.load(base::order::relaxed) != 0 && !WRING_PLANT(kept_out_of_the_count)) return;
    if (!item_access::keep_child(child, *this)) return;
    x.kept.newest_first.push_front(child);
    x.worker.kept.store(x.worker.kept.load(base::order::relaxed) + 1, base::order::relaxed);
    done = true;
  });
  if (done) share_kept(x);
  return done;
}

item* pool_workqueue::next_kept(execution& x, task_group& group, bool one_has_ended, bool another) noexcept {
  item* it = nullptr;
  bool was_kept = true;
  std::uint32_t left = 0;
  with_kept(x, [&] {
    if (one_has_ended) was_kept = item_access::kept_child_has_ended(group);
    item* const newest = x.kept.newest_first.front();
    if (!another || newest == nullptr || static_cast<child*>(newest)->group != &group) return;
    it = x.kept.newest_first.pop_front();
    left = x.worker.kept.load(base::order::relaxed) - 1;
    x.worker.kept.store(left, base::order::relaxed);
  });
  if (!was_kept) item_access::child_has_ended(group);
  if (one_has_ended && ++x.children == children_per_count) {
    started_.fetch_add(std::exchange(x.children, 0), base::order::relaxed);
  }
  if (left != 0) share_kept(x);
  return it;
}

// Somebody could help, and gets the older half. If nobody has time now, the timekeeper looks whether that stays so
// while the owner is in one and the same child (relieve()).
void pool_workqueue::share_kept(execution& x) noexcept {
  base::fence_light();  // pairs with look(): it sees what we keep, or we see that nobody watches any more
  if (pool_->hungry() && (word_.load(base::order::relaxed) & full) == 0) {
    queue_kept(x, portion::half);
  } else if (!pool_->watched()) {
    pool_->watch();
  }
}

void pool_workqueue::queue_kept(execution& x, portion most) noexcept {
  bool offer = false;
  {
    visit hold{*this};
    if (!list_kept(x, most)) return;
    offer = leader_.load(base::order::relaxed) == &x.worker ? give_up_lead(x, hold) : schedule();
  }
  publish(offer);
}

// Something has been put into run_. If it was not ours to offer, somebody else starts it, who may be stuck.
void pool_workqueue::publish(bool offer) noexcept {
  call_back_elsewhere();
  if (offer) {
    pool_->offer(*this);
  } else if (!pool_->watched()) {
    pool_->watch();
  }
}

// Held, and by the owner, or with the owner excluded. The oldest come first, behind what the queue has already.
bool pool_workqueue::list_kept(execution& x, portion most) noexcept {
  const std::uint32_t all = x.worker.kept.load(base::order::relaxed);
  const std::uint32_t these = most == portion::all ? all : (all + 1) / 2;
  if (these == 0) return false;
  drain_inbox();
  const std::uint64_t place = item_place::make(*this, item_place::listed, tail_colour_);
  for (std::uint32_t i = 0; i < these; ++i) {
    item& it = *x.kept.newest_first.pop_back();
    const bool somebody_sleeps = item_access::queue_kept_child(it);
    place_of(it).store(place, base::order::relaxed);
    run_.push_back(it);
    if (!somebody_sleeps || WRING_PLANT(sleeper_not_called)) continue;
    call_back(static_cast<child&>(it).group);
    if (!per_cpu_ && !is_alone()) sleeper_elsewhere_.store(true, base::order::relaxed);
  }
  x.worker.kept.store(all - these, base::order::relaxed);
  base::sometimes("children that their worker kept were queued");
  return true;
}

// Held, by another thread than the worker, or by itself. What `kept` says to others is true only once the worker is
// excluded.
bool pool_workqueue::list_kept_of(sched::worker& w) noexcept {
  auto& x = *static_cast<execution*>(w.frame);
  const bool is_self = &w == sched::worker::current();
  if (!is_self && !WRING_PLANT(owner_of_children_not_excluded)) x.kept.bias.exclude();
  const bool some = list_kept(x, portion::all);
  if (!is_self && !WRING_PLANT(owner_of_children_not_excluded)) x.kept.bias.readmit();
  return some;
}

// The group's worker is kept out all the time: what it keeps is queued, what it runs is counted.
void pool_workqueue::queue_kept_of(task_group& group) noexcept {
  const auto for_each_other = [this](const auto& call) {
    pool_->for_each_worker([&](sched::worker& w) {
      if (w.serving.load(base::order::relaxed) == this && &w != sched::worker::current())
        call(*static_cast<execution*>(w.frame));
      return false;
    });
  };
  bool offer = false;
  bool some = false;
  {
    visit hold{*this};
    if (!WRING_PLANT(owner_of_children_not_excluded)) for_each_other([](execution& x) { x.kept.bias.exclude(); });
    pool_->for_each_worker([&](sched::worker& w) {
      if (w.serving.load(base::order::relaxed) == this)
        some |= list_kept(*static_cast<execution*>(w.frame), portion::all);
      return false;
    });
    item_access::count_kept_children(group);
    if (!WRING_PLANT(owner_of_children_not_excluded)) for_each_other([](execution& x) { x.kept.bias.readmit(); });
    sched::worker* const leader = leader_.load(base::order::relaxed);
    if (some && leader != nullptr) {
      offer = give_up_lead(*static_cast<execution*>(leader->frame), hold);
    } else if (some) {
      offer = schedule();
    }
  }
  if (some) publish(offer);
}

}  // namespace detail

// False: it has to be queued.
bool task_group::keep(detail::child& child) noexcept {
  detail::execution* const x = detail::execution_below(*this, *queue_->pwq_);
  return x != nullptr && x->queue->keeps_children() && x->queue->keep(*x, child);
}

// By whom they belong to: runs them, newest first, as long as the stack allows. What is left afterwards is queued.
void task_group::run_kept_children() noexcept {
  const auto kept = detail::atomically(kept_);
  if (kept.load(base::order::acquire) == 0) return;  // pairs with keep_child()
  detail::pool_workqueue& q = *detail::item_access::kept_in(*this).load(base::order::relaxed);
  detail::execution* const x = detail::execution_below(*this, *queue_->pwq_);
  if (x == nullptr || x->queue != &q) return q.queue_kept_of(*this);
  const base::stack_bounds& stack = x->worker.stack;
  const bool room = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) >= stack.half();
  bool one_has_ended = false;
  while (detail::item* const it = q.next_kept(*x, *this, one_has_ended, room)) {
    const std::uint32_t forks = base::fork_generation();
    {
      const detail::child_frame inside{q, *it};
      q.call(*it, it->entry);
    }
    if (forks != base::fork_generation()) return;  // the child's callback forked, and this is the forked process
    one_has_ended = true;
  }
  if (kept.load(base::order::relaxed) != 0) q.queue_kept(*x, detail::pool_workqueue::portion::all);
}

}  // namespace wring
