// SPDX-License-Identifier: Apache-2.0

#include "sched/core.h"

#include "base/cpus.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace wring::detail {

namespace {

[[noreturn]] void refuse(const char* what) {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument), what};
}

runtime_options planned(runtime_options o, std::string& complaint) {
  if (o.cpus > base::cpu_plan::most) refuse("wring::runtime_options::cpus is above 4096");
  if (o.max_workers < 1 || o.max_workers > 65'000) refuse("wring::runtime_options::max_workers is not in 1..65000");
  if (o.stack_bytes < (std::size_t{64} << 10)) refuse("wring::runtime_options::stack_bytes is below 64 KiB");
  if (o.idle_workers_kept < 1) refuse("wring::runtime_options::idle_workers_kept is 0; at least 1 has to stay");
  if (o.idle_timeout.count() < 1) refuse("wring::runtime_options::idle_timeout is below 1 ms");
  if (o.creation_retry.count() < 1) refuse("wring::runtime_options::creation_retry is below 1 ms");
  if (o.stall_floor.count() < 0) refuse("wring::runtime_options::stall_floor is negative");
  if (o.cpus == 0) {
    base::cpu_plan plan = base::plan_cpus(std::getenv("WRING_CPUS"));
    o.cpus = plan.count;
    complaint = std::move(plan.complaint);
  }
  return o;
}

}  // namespace

core::core(const runtime_options& options) : core{std::string{}, options} {}

core::core(std::string complaint, const runtime_options& options)
    : options_{planned(options, complaint)},
      report_{options_},
      time_{options_.cpus},
      managed_{{options_, report_, time_, blocks_}, {.index = 0, .target = options_.cpus}},
      unmanaged_{{options_, report_, time_, blocks_}, {.index = 1, .target = options_.max_workers}} {
  if (!complaint.empty()) report_.warn(complaint);
}

core::~core() {
  if (workqueues_) workqueues_->ready_to_end(report_);
  time_.stop();
  unmanaged_.stop();
  managed_.stop();
}

int core::start() {
  time_.add_pool(managed_);
  time_.add_pool(unmanaged_);
  if (const int e = time_.start({.name = "wring/time", .stack_bytes = options_.stack_bytes}); e != 0) return e;
  return managed_.start();
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
  runtime_stats s{.cpus = options_.cpus, .warnings = report_.warnings(), .pools = {}, .workers = {}};
  for (const sched::worker_pool* pool : {&managed_, &unmanaged_}) {
    s.pools.push_back(pool->stats());
    pool->append_workers(s.workers);
  }
  return s;
}

std::string core::describe() const {
  base::writer w;
  w.put("runtime: ", options_.cpus, " CPUs planned for, ", report_.warnings(), " warnings, ", time_.armed(),
        " timers armed\n");
  for (const sched::worker_pool* pool : {&managed_, &unmanaged_}) pool->describe(w);
  const base::lock_guard lock{components_mu_};
  if (workqueues_) workqueues_->describe(w);
  return std::move(w).take();
}

void core::audit() const {
  blocks_.audit();
  time_.audit();
  managed_.audit();
  unmanaged_.audit();
  const base::lock_guard lock{components_mu_};
  if (workqueues_) workqueues_->audit();
}

}  // namespace wring::detail
