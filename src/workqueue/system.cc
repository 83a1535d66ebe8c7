// SPDX-License-Identifier: Apache-2.0

#include "workqueue/system.h"

#include "workqueue/registry.h"

namespace wring {

namespace detail {

workqueue_options options_of(system_kind which) noexcept {
  switch (which) {
    case system_kind::percpu: return {.name = "events", .per_cpu = true};
    case system_kind::highpri: return {.name = "events_highpri", .per_cpu = true, .high_priority = true};
    case system_kind::percpu_long: return {.name = "events_long", .per_cpu = true};
    case system_kind::dfl: return {.name = "events_unbound", .max_active = pool_workqueue::max_active_most};
    case system_kind::dfl_long: return {.name = "events_dfl_long", .max_active = pool_workqueue::max_active_most};
    case system_kind::freezable: return {.name = "events_freezable", .per_cpu = true, .freezable = true};
    case system_kind::power_efficient: return {.name = "events_power_efficient", .power_efficient = true};
    case system_kind::freezable_power_efficient:
      return {.name = "events_freezable_pwr_efficient", .power_efficient = true, .freezable = true};
    case system_kind::bh: return {.name = "events_bh", .bh = true};
    case system_kind::bh_highpri: return {.name = "events_bh_highpri", .high_priority = true, .bh = true};
  }
  return {.name = "events", .per_cpu = true};
}

}  // namespace detail

namespace {

// How many scopes the thread is inside of, kept in the slot's pointer itself.
using slot = base::thread_slot<nonblocking_scope, char>;
std::uintptr_t depth() noexcept { return reinterpret_cast<std::uintptr_t>(slot::get()); }
void set_depth(std::uintptr_t depth) noexcept { slot::get() = reinterpret_cast<char*>(depth); }

}  // namespace

workqueue& system_queue(system_kind which, runtime& where) {
  if (which > system_kind::bh_highpri) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument), "wring: there is no such system_kind"};
  }
  return where.core().part<detail::registry>().system_queue(which);
}

nonblocking_scope::nonblocking_scope() noexcept { set_depth(depth() + 1); }
nonblocking_scope::~nonblocking_scope() {
  if (active()) set_depth(depth() - 1);  // else it ends in another thread than it began in, which is not inside of it
}
bool nonblocking_scope::active() noexcept { return depth() != 0; }

}  // namespace wring
