// SPDX-License-Identifier: Apache-2.0
// remap: a living queue comes to use other pools (WQ-114, WQ-115, WQ-118, WQ-119). Protocol and proof: README.md, 8.

#include "workqueue/registry.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

namespace wring::detail {

namespace {

[[noreturn]] void give_up(std::errc code, const char* why) { throw std::system_error{std::make_error_code(code), why}; }

// Of an ordered queue, which takes a new one for each change while an old one is busy.
constexpr unsigned left_busy_most = 256;

void fill(slots& s, const mapping& m, const std::vector<pool_workqueue*>& members, bool rest_in_turn) noexcept {
  if (!rest_in_turn) {
    for (unsigned cpu = 0; cpu < s.size(); ++cpu) {
      const bool mapped = std::ranges::any_of(m.parts(), [cpu](const part& p) { return sched::has(p.cpus, cpu); });
      if (!mapped) s.set(cpu, members.front());
    }
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    for (const unsigned cpu : m.parts()[i].cpus) s.set(cpu, members[i]);
  }
}

}  // namespace

std::unique_ptr<slots> registry::divided(pool_workqueue& first, const mapping& m,
                                         const std::vector<pool_workqueue*>& members, bool per_cpu) {
  auto s = std::make_unique<slots>(core_.pools().topology(), first, core_.options().force_round_robin);
  fill(*s, m, members, per_cpu);
  return s;
}

queue_settings registry::settings_of(pool_workqueue& first) {
  if (first.settings) return *first.settings;
  return {.max_active = first.ordered() ? 1 : pool_workqueue::max_active_default,
          .ordered = first.ordered(),
          .unmanaged = first.unmanaged()};
}

// One that uses that pool; of an ordered queue one that is empty, so that its items begin behind all others.
pool_workqueue& registry::member_for(pool_workqueue& first, const part& p) {
  unsigned busy = 0;
  for (pool_workqueue* q = &first; q != nullptr; q = q->next_member()) {
    const bool usable = !first.ordered() || !q->is_retired() || q->may_be_used_again();
    if (&q->pool() == p.pool && usable) return *q;
    busy += usable ? 0U : 1U;
  }
  if (busy >= left_busy_most) {
    give_up(std::errc::resource_unavailable_try_again,
            "wring: the queue still has what was queued before its last 256 changes of pools");
  }
  pool_workqueue& made = memory_.acquire();
  int error = -ENOMEM;
  try {
    error = first.rescuer ? first.rescuer->add(made, *p.pool) : 0;
  } catch (const std::bad_alloc&) {
  }
  if (error != 0) {
    memory_.release(made);
    if (error == -ENOMEM) throw std::bad_alloc{};
    give_up(std::errc::resource_unavailable_try_again,
            "wring: no more queues with a rescuer are possible there; 256 have one");
  }
  const base::lock_guard lock{mu_};  // a freeze and a shutdown come before, or find it
  made.open_beside(first, *p.pool, p.max_active);
  made.retire(nullptr);
  first.add_member(made);
  open_.push_back(made);
  return made;
}

registry::change registry::prepare(pool_workqueue& first, const queue_settings& s) {
  change c{.first = first, .to = mapping::of(core_, s), .members = {}, .division = nullptr, .max_active = s.max_active};
  const std::vector<part>& parts = c.to.parts();
  c.members.reserve(parts.size());
  for (const part& p : parts) {
    pool_workqueue& member = member_for(first, p);
    if (member.is_retired()) start(*p.pool);
    c.members.push_back(&member);
  }
  const bool moves = c.to.divided() || c.members.front() != &first;
  if (moves && first.division() == nullptr) {
    c.division = std::make_unique<slots>(core_.pools().topology(), first, core_.options().force_round_robin);
  }
  return c;
}

// Nothing fails any more. New ones are open before items are sent there, and those that are left are closed after it;
// but in an ordered queue the old one is closed first, so that nothing comes to it behind what the new one has.
void registry::commit(change& c) noexcept {
  pool_workqueue& first = c.first;
  const bool ordered = first.ordered();
  const auto is_member = [&c](const pool_workqueue* q) { return std::ranges::count(c.members, q) != 0; };
  for (std::size_t i = 0; i < c.members.size(); ++i) {
    pool_workqueue& q = *c.members[i];
    if (!q.is_retired()) {
      core_.pools().leave(q.pool());  // that was its use already
      if (!ordered) q.set_max_active(c.to.parts()[i].max_active);
    } else if (!ordered) {
      q.set_max_active(c.to.parts()[i].max_active);
      q.reinstate();
    } else {
      q.plug();
    }
  }
  if (ordered) {
    pool_workqueue& next = *c.members.front();
    for (pool_workqueue* q = &first; q != nullptr; q = q->next_member()) {
      if (q == &next || q->is_retired()) continue;
      q->retire(&next);
      core_.pools().leave(q->pool());
    }
    if (next.is_retired()) next.reinstate();
  }
  slots* const s = c.division ? c.division.get() : first.division();
  if (s != nullptr) fill(*s, c.to, c.members, first.per_cpu());
  if (c.division) first.divide(std::move(c.division));
  for (pool_workqueue* q = &first; !ordered && q != nullptr; q = q->next_member()) {
    if (is_member(q)) continue;
    q->set_max_active(c.max_active);
    if (first.per_cpu() || q->is_retired()) continue;
    q->retire(nullptr);
    core_.pools().leave(q->pool());
  }
  c.to.keep();
}

// A limit is a limit, even if the pools that it should lead to cannot be had now.
void registry::change_limits(pool_workqueue& q, const queue_settings& s) {
  if (q.is_ending()) return for_each_member(q, [&s](pool_workqueue& member) { member.set_max_active(s.max_active); });
  try {
    change_settings(q, s);
  } catch (const std::system_error&) {
    q.first().settings = std::make_unique<queue_settings>(s);
    for_each_member(q, [&s](pool_workqueue& member) { member.set_max_active(s.max_active); });
  }
}

void registry::change_settings(pool_workqueue& q, const queue_settings& s) {
  pool_workqueue& first = q.first();
  auto settings = std::make_unique<queue_settings>(s);
  change c = prepare(first, s);
  commit(c);
  first.settings = std::move(settings);
}

void registry::set_attributes(pool_workqueue& q, const workqueue_attributes& attributes) {
  if (q.per_cpu()) give_up(std::errc::invalid_argument, "wring: attributes are of unbound queues; this one is per_cpu");
  check(core_, attributes);
  core_.topology();
  const base::lock_guard lock{mapping_mu_};
  if (q.is_ending()) give_up(std::errc::operation_canceled, "wring: the queue, or its runtime, is about to end");
  queue_settings s = settings_of(q);
  s.attributes = attributes;
  change_settings(q, s);
}

workqueue_attributes registry::attributes(pool_workqueue& q) {
  const base::lock_guard lock{mapping_mu_};
  return settings_of(q.first()).attributes;
}

void registry::follow_cpus() {
  const base::lock_guard lock{mapping_mu_};
  std::vector<pool_workqueue*> queues;
  for_each_open([&queues](pool_workqueue& q) {
    if (&q.first() == &q) queues.push_back(&q);
  });
  std::vector<change> changes;
  changes.reserve(queues.size());
  for (pool_workqueue* const q : queues) {
    if (!q->is_ending()) changes.push_back(prepare(*q, settings_of(*q)));
  }
  for (change& c : changes) commit(c);
  for_each_open([](pool_workqueue& q) {
    if (q.rescuer) q.rescuer->follow_home();
  });
}

void registry::begin_drain(pool_workqueue& q) noexcept {
  const base::lock_guard lock{mapping_mu_};
  for_each_member(q, [](pool_workqueue& member) { member.begin_drain(); });
}

void registry::end_drain(pool_workqueue& q) noexcept {
  const base::lock_guard lock{mapping_mu_};
  for_each_member(q, [](pool_workqueue& member) { member.end_drain(); });
}

}  // namespace wring::detail
