// SPDX-License-Identifier: Apache-2.0
// topology_real: the topology as hwloc sees it.

#include "base/syscall.h"
#include "base/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

namespace wring::base {

namespace {

struct destroyed {
  void operator()(hwloc_topology_t t) const noexcept { hwloc_topology_destroy(t); }
};
using hwloc_data = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, destroyed>;

// A topology before it is loaded; null without memory.
hwloc_data new_data() noexcept {
  hwloc_topology_t t = nullptr;
  return hwloc_data{hwloc_topology_init(&t) == 0 ? t : nullptr};
}

// Null if hwloc finds nothing, or was told by the environment to look at another machine.
hwloc_data machine_data() noexcept {
  hwloc_data t = new_data();
  if (!t) return nullptr;
  // What is allowed changes while we run, so it is asked from the affinity mask; and looking must not move the caller
  // from CPU to CPU.
  const unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING |
                              HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                              HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
  if (hwloc_topology_set_flags(t.get(), flags) != 0 || hwloc_topology_load(t.get()) != 0) return nullptr;
  return hwloc_topology_is_thissystem(t.get()) != 0 ? std::move(t) : nullptr;
}

unsigned node_of(hwloc_obj_t pu) noexcept {
  const int first = hwloc_bitmap_first(pu->nodeset);
  return first >= 0 ? static_cast<unsigned>(first) : 0;
}

// No two objects of a topology share it.
unsigned number_of(hwloc_obj_t object) noexcept {
  return object != nullptr ? static_cast<unsigned>(object->gp_index) : 0;
}

// The largest cache above a CPU; where none is known, the CPUs of a node are taken to share one.
hwloc_obj_t last_level_cache(hwloc_topology_t t, hwloc_obj_t pu) noexcept {
  hwloc_obj_t found = nullptr;
  for (hwloc_obj_t o = pu->parent; o != nullptr; o = o->parent) {
    if (hwloc_obj_type_is_dcache(o->type) != 0) found = o;
  }
  return found != nullptr ? found : hwloc_get_numanode_obj_by_os_index(t, node_of(pu));
}

// Is a core of its own.
topology::cpu unknown_cpu(unsigned id) noexcept { return {.id = id, .core = ~id, .cache = 0, .node = 0}; }

// All CPUs that hwloc knows, allowed or not. Of those that are offline it knows no more than that they exist.
std::vector<topology::cpu> cpus_in(hwloc_topology_t t) {
  std::vector<topology::cpu> cpus;
  for (hwloc_obj_t pu = nullptr; (pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu)) != nullptr;) {
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu);
    cpus.push_back({.id = pu->os_index,
                    .core = number_of(core != nullptr ? core : pu),
                    .cache = number_of(last_level_cache(t, pu)),
                    .node = node_of(pu)});
  }
  const hwloc_const_bitmap_t existing = hwloc_topology_get_complete_cpuset(t);
  for (int id = hwloc_bitmap_first(existing); id >= 0; id = hwloc_bitmap_next(existing, id)) {
    if (hwloc_get_pu_obj_by_os_index(t, static_cast<unsigned>(id)) == nullptr) {
      cpus.push_back(unknown_cpu(static_cast<unsigned>(id)));
    }
  }
  return cpus;
}

// What is known of an allowed CPU.
topology::cpu look_up(const std::vector<topology::cpu>& known, unsigned id) {
  const auto at = std::find_if(known.begin(), known.end(), [id](const topology::cpu& c) { return c.id == id; });
  return at != known.end() ? *at : unknown_cpu(id);
}

}  // namespace

topology topology::of_machine(const std::vector<unsigned>& allowed_ids) {
  const hwloc_data t = machine_data();
  const std::vector<cpu> known = t ? cpus_in(t.get()) : std::vector<cpu>{};
  std::vector<cpu> allowed;
  for (const unsigned id : allowed_ids) allowed.push_back(look_up(known, id));
  if (allowed.empty()) allowed = known;
  if (allowed.empty()) allowed.push_back({});
  return topology{std::move(allowed), known};
}

std::optional<topology> topology::synthetic(const std::string& description) {
  const hwloc_data t = new_data();
  if (!t || hwloc_topology_set_synthetic(t.get(), description.c_str()) != 0) return std::nullopt;
  if (hwloc_topology_load(t.get()) != 0) return std::nullopt;
  std::vector<cpu> cpus = cpus_in(t.get());
  if (cpus.empty()) return std::nullopt;
  return topology{std::move(cpus), {}};
}

}  // namespace wring::base
