// SPDX-License-Identifier: Apache-2.0

#include "workqueue/mapping.h"

#include "sched/pods.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

namespace wring::detail {

namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument), "wring::workqueue_attributes::" + why};
}

// WQ-23: in proportion to the CPUs, rounded up, but enough for a chain of dependent items.
unsigned share(const queue_settings& s, std::size_t here, std::size_t all) noexcept {
  if (!s.limited) return s.max_active;
  const auto part = static_cast<unsigned>((s.max_active * here + all - 1) / all);
  return std::clamp(part, std::min(s.max_active, s.min_active), s.max_active);
}

// What a queue's scope comes to at the moment (WQ-118).
affinity_scope resolved_scope(core& where, const queue_settings& s, std::size_t usable) {
  if (s.ordered || !where.pools().topology_is_known()) return affinity_scope::system;
  if (s.attributes.scope != affinity_scope::by_default) return s.attributes.scope;
  // With less CPUs than there are to run on, or a limit, dividing would make less of what there is.
  const bool all_planned = where.pools().planned() >= usable;
  return all_planned && !s.limited && !s.unmanaged ? where.default_scope() : affinity_scope::system;
}

}  // namespace

void check(core& where, const workqueue_attributes& a) {
  if (a.scope > affinity_scope::system) refuse("scope is none of its values, by_default to system");
  if (a.nice < -20 || a.nice > 19) refuse("nice is " + std::to_string(a.nice) + ", which is not in -20..19");
  if (a.cpus.empty()) return;
  const base::topology& machine = where.topology();
  for (const unsigned cpu : a.cpus) {
    if (!machine.exists(cpu)) refuse("cpus has CPU " + std::to_string(cpu) + ", which does not exist");
  }
}

mapping::~mapping() {
  for (const part& p : parts_) where_->leave(*p.pool);
}

mapping mapping::of(core& where, const queue_settings& s) {
  mapping m{where.pools()};
  if (s.per_cpu) {
    m.map_per_cpu(s);
  } else {
    m.map_unbound(s, resolved_scope(where, s, m.masks_.usable().size()), where.options().cache_shard_size);
  }
  return m;
}

void mapping::map_per_cpu(const queue_settings& s) {
  const sched::urgency u = s.high_priority ? sched::urgency::high : sched::urgency::normal;
  for (const unsigned cpu : masks_.usable()) {
    sched::worker_pool& pool = s.bh ? where_->bh_of_cpu(cpu, u) : where_->of_cpu(cpu, u);
    parts_.push_back({.pool = &pool, .max_active = s.max_active, .cpus = {cpu}});
  }
}

// Of the CPUs `all` of the queue, those of the pod. The pools that every runtime has are for queues without a wish.
void mapping::join(const queue_settings& s, const sched::cpu_list& pod, const sched::cpu_list& all,
                   sched::cpu_list cpus) {
  const int nice = s.attributes.nice;
  const bool plain = (nice == 0 || nice == sched::worker_pool::high_nice) && pod == masks_.unbound();
  parts_.reserve(parts_.size() + 1);
  sched::worker_pool* pool = nullptr;
  if (plain) {
    const sched::urgency u = nice == 0 ? sched::urgency::normal : sched::urgency::high;
    pool = s.unmanaged ? &where_->unmanaged(u) : &where_->managed(u);
  } else {
    const bool strict = s.attributes.strict || pod == all;
    pool = &where_->join({.managed = !s.unmanaged, .nice = nice, .pod = pod, .cpus = strict ? sched::cpu_list{} : all});
  }
  parts_.push_back({.pool = pool, .max_active = share(s, pod.size(), all.size()), .cpus = std::move(cpus)});
}

// WQ-114, WQ-116.
void mapping::map_unbound(const queue_settings& s, affinity_scope scope, unsigned shard_cores) {
  const sched::cpu_list unbound = masks_.unbound();
  sched::cpu_list all = s.attributes.cpus.empty() ? unbound : sched::common(sched::sorted(s.attributes.cpus), unbound);
  if (all.empty()) all = unbound;
  if (scope == affinity_scope::system) return join(s, all, all, {});
  std::vector<sched::cpu_list> pods = sched::pods(where_->topology(), scope, shard_cores);
  const auto is_foreign = [&all](const sched::cpu_list& pod) { return sched::common(pod, all).empty(); };
  sched::cpu_list foreign;
  for (const sched::cpu_list& pod : pods) {
    if (is_foreign(pod)) foreign.insert(foreign.end(), pod.begin(), pod.end());
  }
  std::erase_if(pods, is_foreign);
  const bool one = pods.size() == 1 && sched::common(pods.front(), all) == all;
  if (pods.empty() || one) return join(s, all, all, {});
  for (const sched::cpu_list& pod : pods) join(s, sched::common(pod, all), all, pod);
  // Who is in a pod that has none of the queue's CPUs may be served by any of them.
  if (!foreign.empty()) join(s, all, all, sched::sorted(std::move(foreign)));
}

}  // namespace wring::detail
