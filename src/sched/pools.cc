// SPDX-License-Identifier: Apache-2.0

#include "sched/pools.h"

#include <optional>
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
                          "wring: a topology of so many CPUs needs more than the " + std::to_string(pools::index_max) +
                              " pools there can be"};
}

}  // namespace

pools::pools(const pool_services& services)
    : services_{services},
      unbound_{{{services, {.index = 0, .target = services.options.cpus}},
                {services, {.index = 1, .target = services.options.max_workers}},
                {services, {.index = 2, .target = services.options.cpus, .high_priority = true}},
                {services, {.index = 3, .target = services.options.max_workers, .high_priority = true}}}} {
  for (worker_pool& p : unbound_) services.time.add_pool(p);
}

pools::~pools() { delete machine_.load(base::order::relaxed); }

pools::machine& pools::asked_machine() {
  if (machine* const m = machine_.load(base::order::acquire)) return *m;  // pairs with the store below
  const base::lock_guard lock{mu_};
  if (machine* const m = machine_.load(base::order::relaxed)) return *m;
  machine* const m = read_machine().release();
  for (const auto& p : m->pools) services_.time.add_pool(*p);  // first: who finds a pool may rely on looks at it
  machine_.store(m, base::order::release);
  return *m;
}

std::unique_ptr<pools::machine> pools::read_machine() const {
  auto m = std::make_unique<machine>(machine{topology_of(services_.options.topology, services_.home), {}});
  if (unbound_count + 4 * m->topology.cpus().size() + 2 * m->topology.nodes().size() > index_max) refuse_crowd();
  unsigned index = unbound_count;
  const auto add = [&](worker_pool::config c) {
    for (const bool high : {false, true}) {
      c.index = index++;
      c.high_priority = high;
      m->pools.push_back(std::make_unique<worker_pool>(services_, c));
    }
  };
  for (const base::topology::cpu& cpu : m->topology.cpus()) {
    add({.index = 0, .target = 1, .slack = 0, .cpu = static_cast<int>(cpu.id), .cpus = {cpu.id}});
  }
  for (const unsigned node : m->topology.nodes()) {
    std::vector<unsigned> cpus = m->topology.cpus_of_node(node);
    const auto target = static_cast<unsigned>(cpus.size());
    add({.index = 0, .target = target, .cpus = std::move(cpus)});
  }
  for (const base::topology::cpu& cpu : m->topology.cpus()) {
    add({.index = 0,
         .target = 1,
         .slack = 0,
         .cpu = static_cast<int>(cpu.id),
         .cpus = {cpu.id},
         .run_to_completion = true});
  }
  return m;
}

worker_pool* pools::at(std::size_t index) noexcept {
  if (index < unbound_count) return &unbound_[index];
  const machine* const m = machine_.load(base::order::acquire);  // pairs with asked_machine()
  index -= unbound_count;
  return m != nullptr && index < m->pools.size() ? m->pools[index].get() : nullptr;
}

}  // namespace wring::sched
