// SPDX-License-Identifier: Apache-2.0

#include "sched/core.h"

#include "base/patience.h"
#include "sched/fork.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

namespace wring::detail {

namespace {

[[noreturn]] void refuse(const char* what) {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument), what};
}

void refuse_times(const runtime_options& o) {
  constexpr auto longest = sched::thresholds::longest;
  if (o.idle_timeout > longest) refuse("wring::runtime_options::idle_timeout is above a year");
  if (o.mayday_initial > longest) refuse("wring::runtime_options::mayday_initial is above a year");
  if (o.mayday_interval > longest) refuse("wring::runtime_options::mayday_interval is above a year");
  if (o.creation_retry > longest) refuse("wring::runtime_options::creation_retry is above a year");
  if (o.replan_interval > longest) refuse("wring::runtime_options::replan_interval is above a year; 0 turns it off");
  if (o.stall_floor > longest) refuse("wring::runtime_options::stall_floor is above a year; 0 turns it off");
}

bool is_a_default(affinity_scope scope) noexcept {
  return scope > affinity_scope::by_default && scope <= affinity_scope::system;
}

base::cpu_plan plan_for(std::size_t cpus) { return base::plan_cpus(std::getenv("WRING_CPUS"), "/", cpus); }

// What unbound queues are restricted to; empty: to nothing.
sched::cpu_list restriction(const runtime_options& o) {
  const std::string text = o.unbound_cpus != nullptr ? o.unbound_cpus : "";
  std::optional<sched::cpu_list> cpus = sched::cpu_list_of(text);
  if (!cpus) refuse(("wring::runtime_options::unbound_cpus '" + text + "' is no list of CPUs, such as 0-3,8").c_str());
  return *std::move(cpus);
}

// Those that the system isolates say nothing about a machine that is made up.
sched::cpu_masks masks_for(const runtime_options& o, const sched::place& home) {
  const bool stands_for_machine = *o.topology != '\0';
  const std::string isolated_text = stands_for_machine ? "" : base::isolated_cpus();
  const sched::cpu_list isolated = sched::cpu_list_of(isolated_text).value_or(sched::cpu_list{});
  return {home.cpus.empty() ? sched::cpu_list{0} : home.cpus, isolated, restriction(o)};
}

runtime_options planned(runtime_options o, const std::string& topology, const sched::place& home,
                        base::cpu_plan& plan) {
  o.topology = topology.c_str();
  if (o.cpus > base::cpu_plan::most) refuse("wring::runtime_options::cpus is above 4096");
  if (o.max_workers < 1 || o.max_workers > 65'000) refuse("wring::runtime_options::max_workers is not in 1..65000");
  if (o.stack_bytes < (std::size_t{64} << 10)) refuse("wring::runtime_options::stack_bytes is below 64 KiB");
  if (o.stack_bytes > (std::size_t{1} << 40)) refuse("wring::runtime_options::stack_bytes is above 1 TiB");
  if (o.busy_workers_per_idle < 1) refuse("wring::runtime_options::busy_workers_per_idle is 0; it is at least 1");
  if (o.idle_workers_kept < 1) refuse("wring::runtime_options::idle_workers_kept is 0; at least 1 has to stay");
  if (o.idle_timeout.count() < 1) refuse("wring::runtime_options::idle_timeout is below 1 ms");
  if (o.creation_retry.count() < 1) refuse("wring::runtime_options::creation_retry is below 1 ms");
  if (o.mayday_initial.count() < 1) refuse("wring::runtime_options::mayday_initial is below 1 ms");
  if (o.mayday_interval.count() < 1) refuse("wring::runtime_options::mayday_interval is below 1 ms");
  if (o.stall_floor.count() < 0) refuse("wring::runtime_options::stall_floor is negative");
  if (o.detect > detection::perf) refuse("wring::runtime_options::detect is none of its values");
  if (!is_a_default(o.default_scope))
    refuse("wring::runtime_options::default_scope is none of its values, cpu to system");
  if (o.cache_shard_size < 1) refuse("wring::runtime_options::cache_shard_size is 0; a shard has at least 1 core");
  if (o.replan_interval.count() < 0) refuse("wring::runtime_options::replan_interval is negative; 0 turns it off");
  refuse_times(o);
  if (o.cpus == 0) {
    plan = plan_for(home.cpus.size());
    o.cpus = plan.count;
  }
  return o;
}

// What the environment says, or `otherwise`.
bool wants_deadlock_graph(const char* environment, bool otherwise, sched::reporter& report) {
  if (environment == nullptr) return otherwise;
  const std::string_view text{environment};
  if (text == "0" || text == "1") return text == "1";
  report.warn("WRING_DEADLOCK_GRAPH is '" + std::string{environment} + "', which is neither 0 nor 1; it is ignored");
  return otherwise;
}

}  // namespace

core::core(const runtime_options& options) : core{base::cpu_plan{}, options} {}

core::core(base::cpu_plan plan, const runtime_options& options)
    : home_{sched::place::of_program()},
      topology_{options.topology != nullptr ? options.topology : ""},
      cpus_are_given_{options.cpus != 0},
      power_efficient_{options.power_efficient || base::some_cpus_have_no_tick()},
      options_{planned(options, topology_, home_, plan)},
      thresholds_{options_},
      report_{options_},
      time_{options_.cpus, options_.stack_bytes, report_, home_, options_.start_later},
      detect_{options_.detect, std::getenv("WRING_DETECT"), report_},
      hogs_{thresholds_, report_},
      pools_{{options_, thresholds_, report_, time_, detect_, hogs_, stall_reports_, blocks_, home_},
             masks_for(options_, home_)},
      default_scope_{options_.default_scope},
      seen_mask_{home_.cpus},
      seen_count_{options_.cpus},
      plan_{cpus_are_given_ ? "runtime_options::cpus says so" : std::move(plan.why)} {
  options_.deadlock_graph = wants_deadlock_graph(std::getenv("WRING_DEADLOCK_GRAPH"), options_.deadlock_graph, report_);
  if (!plan.complaint.empty()) report_.warn(plan.complaint);
  if (const sched::cpu_list asked = restriction(options_);
      topology_.empty() && !asked.empty() && sched::common(asked, pools_.masks().usable()).empty()) {
    report_.warn("wring::runtime_options::unbound_cpus '" + std::string{options_.unbound_cpus} +
                 "' leaves none of the CPUs that the process may use; it is ignored");
  }
  options_.unbound_cpus = nullptr;  // the caller's
  if (options_.replan_interval.count() != 0 && !base::simulated) {
    time_.check_now_and_then([](void* self) { static_cast<core*>(self)->follow_system(); }, this,
                             options_.replan_interval);
  }
  follow_forks(*this);
}

core::~core() {
  for (base::patience p; guests_.load(base::order::acquire) != 0; p.pause()) continue;  // pairs with leave()
  for_each_component([this](component& c) { c.ready_to_end(report_); });
  end_threads();
  ignore_forks(*this);
}

// No source is left, and none comes.
void core::end_threads() {
  time_.stop();
  detect_.join();
  for_each_component([](component& c) { c.end_threads(); });
  pools_.for_each([](sched::worker_pool& pool) { pool.stop(); });
}

// Queues are mapped to other pools, or, if that fails, everything is as before.
void core::use(const sched::cpu_masks& masks) {
  const sched::cpu_masks before = pools_.masks();
  try {
    pools_.restrict(masks);
    for_each_component([](component& c) { c.follow_cpus(); });
  } catch (...) {
    pools_.restrict(before);
    throw;
  }
}

unsigned core::replan() {
  const base::lock_guard lock{replan_mu_};
  // A worker's mask is its pool's.
  const unsigned cpus = replan_for(sched::worker::current() != nullptr ? seen_mask_ : sched::place::here().cpus, true);
  seen_count_ = count_for(seen_mask_);
  return cpus;
}

unsigned core::replan(sched::cpu_list cpus) {
  require_existing(cpus, "runtime::replan()");
  const base::lock_guard lock{replan_mu_};
  const unsigned count = replan_for(std::move(cpus), false);
  seen_count_ = count_for(seen_mask_);
  return count;
}

unsigned core::count_for(const sched::cpu_list& usable) const {
  return cpus_are_given_ ? options_.cpus : plan_for(usable.size()).count;
}

unsigned core::replan_for(sched::cpu_list usable, bool as_the_system_says) {
  unsigned cpus = options_.cpus;
  if (!cpus_are_given_) {
    base::cpu_plan plan = plan_for(usable.size());
    if (!plan.complaint.empty()) report_.warn(plan.complaint);
    cpus = plan.count;
    const base::lock_guard lock{plan_mu_};
    plan_ = std::move(plan.why);
  }
  const bool stands_for_machine = !topology_.empty();
  if (as_the_system_says && stands_for_machine) usable.clear();
  pools_.plan(cpus, std::move(usable));  // stays, whatever comes: CPUs that are gone cannot be used
  for_each_component([](component& c) { c.follow_cpus(); });
  return cpus;
}

// The timekeeper, whose mask changes with the process's cpuset, now and then while work waits (WQ-U7). What has not
// changed since it was seen last does not count: the program may have asked for other CPUs.
void core::follow_system() noexcept {
  if (!replan_mu_.try_lock()) return;  // somebody is at it
  try {
    sched::cpu_list usable = base::syscall::affinity();
    if (usable.empty() || !topology_.empty()) usable = seen_mask_;
    const unsigned count = count_for(usable);
    if (usable != seen_mask_ || count != seen_count_) {
      replan_for(usable, true);
      seen_mask_ = std::move(usable);  // only now: what has failed is tried again
      seen_count_ = count;
    }
  } catch (const std::exception&) {
    base::sometimes("the system's CPUs could not be followed");
  }
  replan_mu_.unlock();
}

void core::require_existing(const sched::cpu_list& cpus, const char* call) {
  const base::topology& machine = topology();
  if (cpus.empty()) refuse((std::string{"wring: "} + call + " with no CPU; at least one has to stay").c_str());
  for (const unsigned cpu : cpus) {
    if (machine.exists(cpu)) continue;
    refuse((std::string{"wring: "} + call + " with CPU " + std::to_string(cpu) + ", which does not exist").c_str());
  }
}

void core::set_unbound_cpus(sched::cpu_list cpus) {
  require_existing(cpus, "runtime::set_unbound_cpus()");
  const base::lock_guard lock{replan_mu_};
  sched::cpu_masks masks = pools_.masks();
  masks.request(std::move(cpus));
  use(masks);
}

void core::set_isolated_cpus(sched::cpu_list cpus) {
  if (!cpus.empty()) require_existing(cpus, "runtime::set_isolated_cpus()");
  const base::lock_guard lock{replan_mu_};
  sched::cpu_masks masks = pools_.masks();
  masks.isolate(std::move(cpus));
  use(masks);
}

// WQ-118.
void core::set_default_scope(affinity_scope scope) {
  if (!is_a_default(scope)) refuse("wring: runtime::set_default_scope() takes cpu to system, and no other value");
  if (scope != affinity_scope::system) topology();
  const base::lock_guard lock{replan_mu_};
  const affinity_scope before = default_scope_.exchange(scope, base::order::relaxed);
  try {
    for_each_component([](component& c) { c.follow_cpus(); });
  } catch (...) {
    default_scope_.store(before, base::order::relaxed);
    throw;
  }
}

// From now on queues are divided as their scopes say (WQ-145).
const base::topology& core::topology() {
  // It hands nothing on: who does not see yet how a queue is divided goes where everybody went before.
  if (queues_are_divided_.load(base::order::relaxed)) return pools_.topology();
  const base::topology& machine = pools_.topology();
  try {
    for_each_component([](component& c) { c.follow_cpus(); });
    queues_are_divided_.store(true, base::order::relaxed);
  } catch (const std::exception&) {
    base::sometimes("queues could not be divided");  // they stay as they are, and who comes next tries again
  }
  return machine;
}

// A queue that is made meanwhile is told under the lock of their list, or looks for itself there.
bool core::freeze_begin() {
  if (frozen_.exchange(true, base::order::relaxed)) {
    report_.misuse("freeze_begin() of a runtime that is frozen already");
    return false;
  }
  for_each_component([](component& c) { c.follow_freeze(); });
  return true;
}

bool core::freeze_busy() {
  return any_component([](component& c) { return c.freeze_busy(); });
}

void core::thaw() noexcept {
  if (!frozen_.exchange(false, base::order::relaxed)) return;
  for_each_component([](component& c) { c.follow_freeze(); });
}

void* core::allocate_block(std::size_t bytes) {
  sched::worker* const w = sched::worker::current();
  if (w != nullptr && &w->pool.home() == &blocks_) return w->blocks.allocate(bytes);
  return outside_blocks_.allocate(bytes);
}

void core::free_block(void* block) noexcept {
  sched::worker* const w = sched::worker::current();
  if (w != nullptr && &w->pool.home() == &blocks_) {
    w->blocks.free(block);
  } else {
    outside_blocks_.free(block);
  }
}

runtime_stats core::stats() const {
  const sched::detector::choice chosen = is_early() ? sched::detector::not_tried() : detect_.chosen();
  runtime_stats s{.cpus = pools_.planned(),
                  .detection = sched::name_of(chosen.kind),
                  .detection_why = chosen.why,
                  .warnings = report_.warnings(),
                  .pools = {},
                  .workers = {}};
  pools_.for_each([&](const sched::worker_pool& pool) {
    pool_stats p = pool.stats();
    if (pool.index() >= sched::pools::unbound_count && p.workers_created == 0) return;
    s.pools.push_back(std::move(p));
    pool.append_workers(s.workers);
  });
  return s;
}

std::string core::plan() const {
  const base::lock_guard lock{plan_mu_};
  return plan_;
}

std::string core::describe() const {
  base::writer w;
  w.put("runtime: ", pools_.planned(), " CPUs planned for (", plan(), "), ", report_.warnings(), " warnings, ",
        time_.armed(), " timers armed", is_early() ? ", no threads before start()" : "", "\n");
  pools_.for_each([&](const sched::worker_pool& pool) { pool.describe(w); });
  const base::lock_guard lock{components_mu_};
  for (const auto& c : components_) {
    if (c) c->describe(w);
  }
  return std::move(w).take();
}

void core::audit() const {
  blocks_.audit();
  time_.audit();
  pools_.for_each([](const sched::worker_pool& pool) { pool.audit(); });
  const base::lock_guard lock{components_mu_};
  for (const auto& c : components_) {
    if (c) c->audit();
  }
}

}  // namespace wring::detail
