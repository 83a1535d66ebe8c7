// SPDX-License-Identifier: Apache-2.0

#include "sched/core.h"

#include "base/patience.h"
#include "sched/fork.h"

#include <cerrno>
#include <cstdlib>
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
  if (o.stall_floor > longest) refuse("wring::runtime_options::stall_floor is above a year; 0 turns it off");
}

base::cpu_plan plan_for(const sched::place& home) {
  return base::plan_cpus(std::getenv("WRING_CPUS"), "/", home.cpus.size());
}

runtime_options planned(runtime_options o, const sched::place& home, base::cpu_plan& plan) {
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
  refuse_times(o);
  if (o.cpus == 0) {
    plan = plan_for(home);
    o.cpus = plan.count;
  }
  return o;
}

}  // namespace

core::core(const runtime_options& options) : core{base::cpu_plan{}, options} {}

core::core(base::cpu_plan plan, const runtime_options& options)
    : home_{sched::place::of_program()},
      topology_{options.topology != nullptr ? options.topology : ""},
      cpus_are_given_{options.cpus != 0},
      power_efficient_{options.power_efficient || base::some_cpus_have_no_tick()},
      options_{planned(options, home_, plan)},
      thresholds_{options_},
      report_{options_},
      time_{options_.cpus, options_.stack_bytes, report_, home_},
      detect_{options_.detect, std::getenv("WRING_DETECT"), report_},
      hogs_{thresholds_, report_},
      pools_{{options_, thresholds_, report_, time_, detect_, hogs_, stall_reports_, blocks_, home_}},
      cpus_{options_.cpus},
      plan_{cpus_are_given_ ? "runtime_options::cpus says so" : std::move(plan.why)} {
  options_.topology = topology_.c_str();
  if (!plan.complaint.empty()) report_.warn(plan.complaint);
  follow_forks(*this);
}

core::~core() {
  for (base::patience p; guests_.load(base::order::acquire) != 0; p.pause()) continue;  // pairs with leave()
  if (workqueues_) workqueues_->ready_to_end(report_);
  end_threads(workqueues_.get());
  ignore_forks(*this);
}

// No source is left, and none comes.
void core::end_threads(component* queues) {
  time_.stop();
  detect_.join();
  if (queues != nullptr) queues->end_threads();
  pools_.for_each([](sched::worker_pool& pool) { pool.stop(); });
}

int core::start() {
  if (const int e = time_.start(); e != 0) return e;
  return pools_.managed(sched::urgency::normal).start();
}

unsigned core::replan() {
  unsigned cpus = options_.cpus;
  if (!cpus_are_given_) {
    base::cpu_plan plan = plan_for(sched::place::of_program());
    if (!plan.complaint.empty()) report_.warn(plan.complaint);
    cpus = plan.count;
    const base::lock_guard lock{plan_mu_};
    plan_ = std::move(plan.why);
  }
  cpus_.store(cpus, base::order::relaxed);
  for (const sched::urgency u : {sched::urgency::normal, sched::urgency::high}) pools_.managed(u).set_target(cpus);
  return cpus;
}

// A queue that is made meanwhile is told under the lock of their list, or looks for itself there.
bool core::freeze_begin() {
  if (frozen_.exchange(true, base::order::seq_cst)) {
    report_.misuse("freeze_begin() of a runtime that is frozen already");
    return false;
  }
  if (component* const queues = existing_component()) queues->follow_freeze();
  return true;
}

bool core::freeze_busy() {
  component* const queues = existing_component();
  return queues != nullptr && queues->freeze_busy();
}

void core::thaw() noexcept {
  if (!frozen_.exchange(false, base::order::seq_cst)) return;
  if (component* const queues = existing_component()) queues->follow_freeze();
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
  const sched::detector::choice chosen = detect_.chosen();
  runtime_stats s{.cpus = cpus_.load(base::order::relaxed),
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
  w.put("runtime: ", cpus_.load(base::order::relaxed), " CPUs planned for (", plan(), "), ", report_.warnings(),
        " warnings, ", time_.armed(), " timers armed\n");
  pools_.for_each([&](const sched::worker_pool& pool) { pool.describe(w); });
  const base::lock_guard lock{components_mu_};
  if (workqueues_) workqueues_->describe(w);
  return std::move(w).take();
}

void core::audit() const {
  blocks_.audit();
  time_.audit();
  pools_.for_each([](const sched::worker_pool& pool) { pool.audit(); });
  const base::lock_guard lock{components_mu_};
  if (workqueues_) workqueues_->audit();
}

}  // namespace wring::detail
