// SPDX-License-Identifier: Apache-2.0
// explore: many seeds, or every schedule of a small body.
#include "sim/crash.h"
#include "sim/explain.h"
#include "sim/sim.h"
#include "sim/simulation.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

namespace wring::sim {

namespace {

// Each so many seeds one is run twice, and must take the same course.
constexpr std::uint64_t audit_every = 100;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept { return (a ^ b) * 0x9E3779B97F4A7C15ULL + (a >> 7); }

struct seed_range {
  std::uint64_t first;
  std::uint64_t end;
};

seed_range seeds_of(const options& how) {
  if (const char* one = std::getenv("WRING_SIM_SEED")) {
    const std::uint64_t seed = std::strtoull(one, nullptr, 10);
    return {seed, seed + 1};
  }
  const auto said = [](const char* variable, std::uint64_t otherwise) {
    const char* number = std::getenv(variable);
    return number != nullptr ? std::strtoull(number, nullptr, 10) : otherwise;
  };
  const std::uint64_t first = how.first_seed + said("WRING_SIM_SKIP", 0);
  return {first, first + said("WRING_SIM_SEEDS", how.seeds)};
}

}  // namespace

void totals::add(const totals& other) {
  seeds += other.seeds;
  steps += other.steps;
  switches += other.switches;
  threads += other.threads;
  creations_refused += other.creations_refused;
  stale_loads += other.stale_loads;
  futex_waits += other.futex_waits;
  spurious_wakes += other.spurious_wakes;
  timeouts += other.timeouts;
  unannounced_blocks += other.unannounced_blocks;
  steps_in_smallest_seed = std::min(steps_in_smallest_seed, other.steps_in_smallest_seed);
  for (const auto& [name, e] : other.events) {
    event_count& mine = events[name];
    mine.times += e.times;
    mine.seeds += e.seeds;
  }
}

event_count report::event(std::string_view name) const {
  const auto at = events.find(name);
  return at != events.end() ? at->second : event_count{};
}

double report::share(std::string_view name) const {
  return seeds != 0 ? static_cast<double>(event(name).seeds) / static_cast<double>(seeds) : 0;
}

report explore(const options& how, const std::function<void()>& body) {
  report out;
  const auto s = std::make_unique<simulation>(how);
  const crash_guard guard;
  if (run_schedule_of_environment(*s, body, out)) return out;
  const auto run = [&](std::uint64_t seed) {
    s->choices().from_seed(seed);
    return s->run(body, false);
  };
  const seed_range range = seeds_of(how);
  for (std::uint64_t seed = range.first; seed < range.end && !out.failed; ++seed) {
    crash_guard::present(seed, &test_command);
    const run_result r = run(seed);
    out.hash = mix(out.hash, r.hash);
    bool bad = r.kind != failure_kind::none;
    if (!bad) {
      out.add(s->counted());
      bad = seed % audit_every == 0 && run(seed).hash != r.hash;
    }
    if (bad) explain_seed(*s, body, seed, r, how.explain, out);
  }
  finish_report(*s, out);
  return out;
}

report exhaust(const bounds& within, const std::function<void()>& body) {
  report out;
  const auto s = std::make_unique<simulation>(within.with);
  const crash_guard guard;
  if (run_schedule_of_environment(*s, body, out)) return out;
  search tree;
  tree.preemptions = within.preemptions;
  tree.stale_loads = within.stale_loads;
  tree.faults = within.faults;
  std::vector<deviation> schedule;
  s->choices().record_into(&schedule);
  while (!out.failed && !out.complete && out.seeds < within.most_runs) {
    schedule.clear();
    s->choices().from_search(&tree);
    const run_result r = s->run(body, false);
    out.hash = mix(out.hash, r.hash);
    if (tree.inconsistent()) {
      out.failed = true;
      out.what = out.failure = "not deterministic: the same decisions led to others than before";
    } else if (r.kind != failure_kind::none) {
      s->choices().record_into(nullptr);
      explain_schedule(*s, body, r, std::move(schedule), out);
    } else {
      out.add(s->counted());
      out.complete = !tree.advance();
    }
  }
  finish_report(*s, out);
  return out;
}

}  // namespace wring::sim
