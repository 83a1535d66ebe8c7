// SPDX-License-Identifier: Apache-2.0

#include "sched/pools.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

namespace wring::sched {

namespace {

base::topology topology_of(const std::string& description, const place& home) {
  if (description.empty()) return base::topology::of_machine(home.cpus);
  std::optional<base::topology> described = base::topology::synthetic(description);
  if (!described) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring::runtime_options::topology '" + description + "' is no synthetic topology"};
  }
  return *std::move(described);
}

// Items name pools by so many bits.
[[noreturn]] void refuse_crowd() {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                          "wring: that needs one more than the " + std::to_string(pools::index_max + 1) +
                              " pools there can be; give queues the same attributes to share pools"};
}

}  // namespace

pools::pools(const pool_services& services, cpu_masks masks)
    : services_{services},
      unbound_{{{services, {.index = 0, .target = services.options.cpus}},
                {services, {.index = 1, .target = services.options.max_workers}},
                {services, {.index = 2, .target = services.options.cpus, .nice = worker_pool::high_nice}},
                {services, {.index = 3, .target = services.options.max_workers, .nice = worker_pool::high_nice}}}},
      planned_{services.options.cpus},
      masks_{std::move(masks)} {
  for (worker_pool& p : unbound_) services.time.add_pool(p);
  const base::lock_guard lock{mu_};
  follow_masks();
}

pools::~pools() = default;

const base::topology& pools::topology() {
  if (topology_is_known()) return *topology_;
  const base::lock_guard lock{mu_};
  if (topology_is_known_.load(base::order::relaxed)) return *topology_;
  topology_ = topology_of(services_.options.topology, services_.home);
  if (*services_.options.topology != '\0') {  // it stands for the machine
    cpu_list all;
    for (const base::topology::cpu& c : topology_->cpus()) all.push_back(c.id);
    masks_.use(std::move(all));
    follow_masks();
  } else {
    masks_.use(known(masks_.usable()));
  }
  topology_is_known_.store(true, base::order::release);
  return *topology_;
}

worker_pool* pools::at(std::size_t index) noexcept {
  if (index < unbound_count) return &unbound_[index];
  index -= unbound_count;
  if (index >= made_.load(base::order::acquire)) return nullptr;  // pairs with add()
  return (*chunks_[index / chunk_pools])[index % chunk_pools].get();
}

worker_pool& pools::add(worker_pool::config c, const aim& a) {
  const std::size_t made = made_.load(base::order::relaxed);
  if (unbound_count + made > index_max) refuse_crowd();
  c.index = static_cast<unsigned>(unbound_count + made);
  c.target = a.target;
  auto& in = chunks_[made / chunk_pools];
  if (!in) in = std::make_unique<chunk>();
  worker_pool& pool = *((*in)[made % chunk_pools] = std::make_unique<worker_pool>(services_, c, a.where));
  services_.time.add_pool(pool);  // first: who finds a pool may rely on looks at it
  made_.store(made + 1, base::order::release);
  return pool;
}

worker_pool& pools::of_cpu(unsigned cpu, urgency u, bool run_to_completion) {
  const base::lock_guard lock{mu_};
  worker_pool*& there = of_cpus_[{cpu, u == urgency::high ? 1U : 0U, run_to_completion ? 1U : 0U}];
  if (there == nullptr) {
    there = &add({.index = 0,
                  .target = 1,
                  .slack = 0,
                  .cpu = static_cast<int>(cpu),
                  .nice = u == urgency::high ? worker_pool::high_nice : 0,
                  .run_to_completion = run_to_completion},
                 aim_of_cpu(cpu));
  }
  return *there;
}

worker_pool& pools::join(const pool_key& key) {
  const base::lock_guard lock{mu_};
  keyed& there = of_keys_.try_emplace(key, keyed{nullptr, 0}).first->second;
  if (there.pool == nullptr) there.pool = &add({.index = 0, .target = 1, .nice = key.nice}, aim_of(key));
  if (there.users++ == 0) there.pool->set_in_use(true);
  return *there.pool;
}

void pools::leave(worker_pool& pool) noexcept {
  if (pool.index() < unbound_count) return;  // without a key
  const base::lock_guard lock{mu_};
  for (auto& [key, there] : of_keys_) {
    if (there.pool != &pool) continue;
    if (--there.users == 0) pool.set_in_use(false);
    return;
  }
}

// ---- where workers run, and how many ----------------------------------------------------------------------

// One that may not be used is replaced by all others, as many as are planned for (WQ-131).
pools::aim pools::aim_of_cpu(unsigned cpu) const {
  if (has(masks_.usable(), cpu)) return {{.cpus = {cpu}}, 1};
  return {{.cpus = masks_.usable(), .away = true}, planned()};
}

// Its share of what is planned for, by the CPUs of its pod that may be used; if none may, it has all it is allowed to.
pools::aim pools::aim_of(const pool_key& key) const {
  const cpu_list& usable = masks_.usable();
  cpu_list cpus = common(key.cpus.empty() ? key.pod : key.cpus, usable);
  if (cpus.empty()) cpus = usable;
  cpu_list pod = common(key.pod, cpus);
  const std::size_t share = pod.empty() ? cpus.size() : pod.size();
  const auto target = static_cast<unsigned>((planned() * share + usable.size() - 1) / usable.size());
  if (key.cpus.empty() || pod == cpus) pod.clear();
  return {{.cpus = std::move(cpus), .pod = std::move(pod)},
          key.managed ? std::max(target, 1U) : services_.options.max_workers};
}

void pools::follow_masks() {
  const auto aim_at = [](worker_pool& pool, aim a) {
    pool.set_placement(std::move(a.where));
    if (pool.target() != a.target) pool.set_target(a.target);
  };
  const cpu_list unbound = masks_.unbound();
  const bool narrowed = unbound.size() < masks_.usable().size();
  const bool stands_for_machine = *services_.options.topology != '\0';
  const bool everywhere = !narrowed && (stands_for_machine || unbound == services_.home.cpus);
  const unsigned counted = narrowed ? std::min(planned(), static_cast<unsigned>(unbound.size())) : planned();
  for (worker_pool& pool : unbound_) {
    const bool managed = &pool == &unbound_[0] || &pool == &unbound_[2];
    aim_at(pool, {{.cpus = everywhere ? cpu_list{} : unbound}, managed ? counted : services_.options.max_workers});
  }
  for (const auto& [at, pool] : of_cpus_) {
    if (pool != nullptr) aim_at(*pool, aim_of_cpu(at[0]));
  }
  for (const auto& [key, there] : of_keys_) {
    if (there.pool != nullptr) aim_at(*there.pool, aim_of(key));
  }
}

void pools::plan(unsigned cpus, cpu_list usable) {
  const base::lock_guard lock{mu_};
  planned_.store(cpus, base::order::relaxed);
  if (!usable.empty()) masks_.use(topology_ ? known(usable) : std::move(usable));
  follow_masks();
}

void pools::restrict(const cpu_masks& masks) {
  const base::lock_guard lock{mu_};
  masks_ = masks;
  follow_masks();
}

// A CPU that did not exist when the topology was read is not used.
cpu_list pools::known(const cpu_list& cpus) const {
  cpu_list existing = cpus;
  std::erase_if(existing, [this](unsigned cpu) { return !topology_->exists(cpu); });
  return existing.empty() ? cpus : existing;
}

cpu_masks pools::masks() const {
  const base::lock_guard lock{mu_};
  return masks_;
}

}  // namespace wring::sched
