// SPDX-License-Identifier: Apache-2.0

#include <wring/runtime.h>

#include "sched/core.h"
#include "sched/fork.h"

#include <optional>

namespace wring {

const char* version() noexcept { return WRING_VERSION_STRING; }

namespace {

[[noreturn]] void refuse_threads(int error) {
  throw std::system_error{std::error_code{-error, std::generic_category()},
                          "wring: the first threads could not be created"};
}

std::unique_ptr<detail::core> started(const runtime_options& options) {
  auto core = std::make_unique<detail::core>(options);
  if (const int e = core->start_unless_later(); e != 0) refuse_threads(e);
  return core;
}

// The one global: the default runtime and, until it exists, the options it will get. Guarded by a base mutex
// instead of a static's own guard, so that configure_default() knows whether it is too late. The runtime is
// never destroyed: static destructors may still queue work.
struct default_slot {
  base::mutex mu{base::rank::default_runtime};
  base::atomic<runtime*> made{nullptr};
  std::optional<runtime_options> options;
};
constinit default_slot slot;

}  // namespace

void detail::lock_default_for_fork() noexcept { slot.mu.lock_for_fork(); }
void detail::unlock_default_after_fork() noexcept { slot.mu.unlock_after_fork(); }

runtime::runtime(runtime_options options) : runtime{started(options)} {}
runtime::runtime(std::unique_ptr<detail::core> core) noexcept : core_{std::move(core)} {
  if (core_) core_->set_owner(*this);  // null: the other one was moved from
}
runtime::runtime(runtime&& other) noexcept : runtime{std::move(other.core_)} {}
runtime::~runtime() {
  if (core_ && core_->ends_from_inside()) static_cast<void>(core_.release());  // leaked: its threads go on
}

result<runtime> runtime::create(runtime_options options) {
  try {
    return runtime{started(options)};
  } catch (const std::system_error& e) {
    return e.code();
  }
}

runtime& runtime::default_instance() {
  if (runtime* const r = slot.made.load(base::order::acquire)) return *r;  // pairs with the store below
  const base::lock_guard lock{slot.mu};
  if (runtime* const r = slot.made.load(base::order::relaxed)) return *r;
  auto* const r = new runtime{slot.options.value_or(runtime_options{})};
  slot.made.store(r, base::order::release);
  std::atexit([] { slot.made.load(base::order::relaxed)->core().before_exit(); });  // exit() comes after this call
  return *r;
}

bool runtime::configure_default(const runtime_options& options) {
  const base::lock_guard lock{slot.mu};
  if (slot.made.load(base::order::relaxed) != nullptr) return false;
  slot.options = options;
  return true;
}

void runtime::start() {
  if (const int e = core_->start(); e != 0) refuse_threads(e);
}

shutdown_report runtime::shutdown(std::chrono::nanoseconds limit) { return core_->shutdown(limit); }

shutdown_report shutdown(std::chrono::nanoseconds limit) {
  runtime* const r = slot.made.load(base::order::acquire);  // pairs with default_instance()
  if (r == nullptr) return {.complete = true, .stuck = {}, .queues = {}, .delayed = 0};
  return r->shutdown(limit);
}

void runtime::touch_watchdog() noexcept {
  core_->pools().for_each([](sched::worker_pool& pool) { pool.touch_watchdog(); });
}

runtime_thresholds runtime::thresholds() const noexcept { return core_->thresholds().get(); }
void runtime::set_thresholds(const runtime_thresholds& values) { core_->thresholds().set(values); }

bool runtime::freeze_begin() { return core_->freeze_begin(); }
bool runtime::freeze_busy() const { return core_->freeze_busy(); }
void runtime::thaw() noexcept { core_->thaw(); }

unsigned runtime::replan() { return core_->replan(); }
unsigned runtime::replan(const std::vector<unsigned>& cpus) { return core_->replan(sched::sorted(cpus)); }

affinity_scope runtime::default_scope() const noexcept { return core_->default_scope(); }
void runtime::set_default_scope(affinity_scope scope) { core_->set_default_scope(scope); }
void runtime::set_unbound_cpus(const std::vector<unsigned>& cpus) { core_->set_unbound_cpus(sched::sorted(cpus)); }
void runtime::set_isolated_cpus(const std::vector<unsigned>& cpus) { core_->set_isolated_cpus(sched::sorted(cpus)); }

wring::unbound_cpus runtime::unbound_cpus() const {
  const sched::cpu_masks masks = core_->pools().masks();
  return {.requested = masks.requested(), .isolated = masks.isolated(), .used = masks.unbound()};
}

std::vector<cpu_info> runtime::cpus() {
  std::vector<cpu_info> list;
  const base::topology& machine = core_->topology();
  const sched::cpu_list usable = core_->pools().masks().usable();
  for (const base::topology::cpu& c : machine.all()) {
    if (sched::has(usable, c.id)) list.push_back({.id = c.id, .core = c.core, .cache = c.cache, .node = c.node});
  }
  return list;
}

runtime_stats runtime::stats() const { return core_->stats(); }
std::string runtime::describe() const { return core_->describe(); }
void runtime::audit() const { core_->audit(); }

}  // namespace wring
