// SPDX-License-Identifier: Apache-2.0

#include "workqueue/slots.h"

#include "base/syscall.h"
#include "workqueue/cancel.h"
#include "workqueue/pool_workqueue.h"

#include <algorithm>

namespace wring::detail {

slots::slots(kind k, const base::topology& machine, std::vector<pool_workqueue*> queues, bool round_robin)
    : kind_{k},
      round_robin_{round_robin},
      machine_{machine},
      queues_{std::move(queues)},
      by_cpu_(machine.possible(), nullptr),
      node_of_cpu_(machine.possible(), ~0U) {
  const auto cpus = machine.cpus();
  for (std::size_t position = 0; position < cpus.size(); ++position) {
    std::size_t index = position;
    if (k == kind::per_node) {
      const auto nodes = machine.nodes();
      index = static_cast<std::size_t>(std::ranges::find(nodes, cpus[position].node) - nodes.begin());
    }
    by_cpu_[cpus[position].id] = queues_[index];
    node_of_cpu_[cpus[position].id] = cpus[position].node;
    first_of_node_.try_emplace(cpus[position].node, cpus[position].id);
  }
}

unsigned slots::share(std::size_t position, const limits& l) const noexcept {
  if (kind_ == kind::per_cpu) return l.max_active;
  const std::size_t here = machine_.cpus_of_node(machine_.nodes()[position]).size();
  const std::size_t all = machine_.cpus().size();
  const auto part = static_cast<unsigned>((l.max_active * here + all - 1) / all);
  return std::clamp(part, std::min(l.max_active, l.min_active), l.max_active);
}

pool_workqueue& slots::in_turn() noexcept {
  return *queues_[turn_.fetch_add(1, base::order::relaxed) % queues_.size()];
}

pool_workqueue& slots::here() noexcept {
  // A callback's own pool first: its worker may not be bound to its CPU, and groups that wait for each other must not
  // spread over pools.
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue != nullptr && f->queue->queue_id() == queues_.front()->queue_id()) return *f->queue;
  }
  if (round_robin_) return in_turn();
  return of_cpu(static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0)));
}

pool_workqueue& slots::of_cpu(unsigned cpu) noexcept {
  pool_workqueue* const q = cpu < by_cpu_.size() ? by_cpu_[cpu] : nullptr;
  return q != nullptr ? *q : in_turn();
}

pool_workqueue& slots::near(unsigned node) noexcept {
  const auto cpu = static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0));
  if (cpu < node_of_cpu_.size() && node_of_cpu_[cpu] == node) return of_cpu(cpu);
  const auto first = first_of_node_.find(node);
  return first != first_of_node_.end() ? of_cpu(first->second) : here();
}

pool_workqueue& home_of(pool_workqueue& q) noexcept { return q.siblings() == nullptr ? q : q.siblings()->here(); }

pool_workqueue& without_overlap(pool_workqueue& chosen, item& it) noexcept {
  const std::uint64_t state = state_of(it).load(base::order::relaxed);  // ours since `pending` was set (acquire)
  if ((state & item_state::worker_mask) == 0 || WRING_PLANT(other_cpu_ignored)) return chosen;
  const item_state::worker_number n = item_state::worker_of(state);
  if (n.pool == chosen.pool().index()) return chosen;  // one pool sees to it itself, see next_item()
  sched::worker_pool* const pool = chosen.home().pools().at(n.pool);
  sched::worker* const w = pool != nullptr ? pool->at(n.worker) : nullptr;
  pool_workqueue* const other = w != nullptr ? served_by(*w) : nullptr;
  return other != nullptr && other->runs_for(chosen, *w, it) ? *other : chosen;
}

}  // namespace wring::detail
