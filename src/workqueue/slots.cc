// SPDX-License-Identifier: Apache-2.0

#include "workqueue/slots.h"

#include "base/patience.h"
#include "base/syscall.h"
#include "workqueue/cancel.h"
#include "workqueue/pool_workqueue.h"

#include <algorithm>

namespace wring::detail {

slots::slots(const base::topology& machine, pool_workqueue& of_queue, bool round_robin)
    : round_robin_{round_robin}, machine_{machine}, queue_{of_queue}, by_cpu_(machine.possible()) {}

// By CPUs, not by pool_workqueues: those of many CPUs have more of it.
pool_workqueue& slots::in_turn() noexcept {
  const std::uint32_t turn = turn_.fetch_add(1, base::order::relaxed);
  for (unsigned i = 0; i < size(); ++i) {
    if (pool_workqueue* const q = at((turn + i) % size())) return *q;
  }
  return queue_;
}

pool_workqueue& slots::here() noexcept {
  // A callback's own pool first: its worker may not be bound to its CPU, and groups that wait for each other must not
  // spread over pools.
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue != nullptr && f->queue->queue_id() == &queue_) return *f->queue;
  }
  if (round_robin_) return in_turn();
  return of_cpu(static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0)));
}

pool_workqueue& slots::of_cpu(unsigned cpu) noexcept {
  pool_workqueue* const q = at(cpu);
  return q != nullptr ? *q : in_turn();
}

pool_workqueue& slots::near(unsigned node) noexcept {
  const auto here_now = static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0));
  const base::topology::cpu* found = nullptr;
  for (const base::topology::cpu& c : machine_.all()) {
    if (c.node != node || at(c.id) == nullptr) continue;
    if (found == nullptr || c.id == here_now) found = &c;
  }
  return found != nullptr ? of_cpu(found->id) : here();
}

pool_workqueue& home_of(pool_workqueue& first) noexcept {
  slots* const s = first.division();
  return s == nullptr ? first : s->here();
}

namespace {

// Where a pending item that its queue sends to `chosen` has to go: there, unless a worker of another pool of the same
// queue still runs it; that one then gets it (WQ-61). The caller owns `pending`, so it cannot start meanwhile. In an
// ordered queue nothing starts in one pool before the other has ended.
pool_workqueue& without_overlap(pool_workqueue& chosen, item& it) noexcept {
  const std::uint64_t state = state_of(it).load(base::order::relaxed);  // ours since `pending` was set (acquire)
  if ((state & item_state::worker_mask) == 0 || chosen.ordered() || WRING_PLANT(other_cpu_ignored)) return chosen;
  const item_state::worker_number n = item_state::worker_of(state);
  if (n.pool == chosen.pool().index()) return chosen;  // one pool sees to it itself, see next_item()
  sched::worker_pool* const pool = chosen.home().pools().at(n.pool);
  sched::worker* const w = pool != nullptr ? pool->at(n.worker) : nullptr;
  pool_workqueue* const other = w != nullptr ? served_by(*w) : nullptr;
  return other != nullptr && other->runs_for(chosen, *w, it) ? *other : chosen;
}

// Where items go that found `q` retired. A queue that changes its pools all the time keeps its callers looking.
pool_workqueue& after(pool_workqueue& q, base::patience& p) noexcept {
  base::sometimes("an item met a pool that its queue had left");
  p.pause();
  if (pool_workqueue* const heir = q.heir()) return *heir;
  slots* const s = q.division();
  return s != nullptr ? s->of_cpu(static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0))) : q.first();
}

}  // namespace

bool enqueue(pool_workqueue& chosen, item& it) noexcept {
  pool_workqueue* q = &chosen;
  for (base::patience p;;) {
    pool_workqueue& there = q->is_alone() ? *q : without_overlap(*q, it);
    const pool_workqueue::answer e = there.submit(it, &there != q);
    if (e != pool_workqueue::answer::moved) return e == pool_workqueue::answer::taken;
    q = &after(there, p);
  }
}

pool_workqueue* enqueue_one_off(pool_workqueue& chosen, item& it) noexcept {
  pool_workqueue* q = &chosen;
  for (base::patience p;;) {
    const pool_workqueue::answer e = q->submit(it);
    if (e != pool_workqueue::answer::moved) return e == pool_workqueue::answer::taken ? q : nullptr;
    q = &after(*q, p);
  }
}

}  // namespace wring::detail
