// SPDX-License-Identifier: Apache-2.0
// hogs: how long do short items wait when others keep the CPUs busy?
//
// One or two hogs of a second of CPU work; when they run, 1,000 items of 20 us are submitted at once. Every pool
// has the size it has when nobody says anything, but "naive 4", which has four threads and so two that no hog gets:
// what wring takes to notice the hogs may come on top of what that one needs, and a fifth more.
#include "contest.h"
#include "cpu_work.h"
#include "percentile.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "how long do 1,000 short items wait when others keep the CPUs busy?";

struct traffic {
  unsigned hogs;
  double hog_us;
  std::uint64_t items;
  double item_us;
  cpu_work work;
};

// Submits the hogs and returns when as many run as there are CPUs for them.
template <class Pool>
void start_hogs(Pool& pool, const traffic& of, std::atomic<unsigned>& running) {
  for (unsigned hog = 0; hog < of.hogs; ++hog) {
    pool.submit([hog, &of, &running] {
      running.fetch_add(1);
      of.work.run(of.hog_us);
      tally::hit(of.items + hog);
    });
  }
  while (running.load() < std::min(of.hogs, planned_cpus())) {
    std::this_thread::sleep_for(std::chrono::microseconds{100});
  }
}

template <class Pool>
sample time_waits(Pool& pool, const traffic& of) {
  warm_up(pool, 100);
  const tally before = tally::total();
  std::atomic<unsigned> running{0};
  const stopwatch watch;
  start_hogs(pool, of, running);
  std::vector<double> wait(of.items);
  for (std::uint64_t i = 0; i < of.items; ++i) {
    pool.submit([i, &of, &wait, submitted = now_ns()] {
      wait[i] = now_ns() - submitted;
      of.work.run(of.item_us);
      tally::hit(i);
    });
  }
  const tally found = tally::await(before.executed + of.items + of.hogs) - before;
  return {found.executed,
          found.hash,
          {percentile(wait, 0.5) / 1e6, percentile(wait, 0.99) / 1e6, watch.wall_ns() / 1e6, threads_most(pool)}};
}

// So long a hog may keep its place among the workers that count (runtime_options::cpu_intensive_threshold).
constexpr double noticed_ms = 10;

constexpr std::size_t start_p99 = 1;  // a metric's place

workload hogs(const traffic& of) {
  const tally expected = tally::of_range(0, of.items + of.hogs);
  const auto measure = [=](auto& pool) { return time_waits(pool, of); };
  std::vector<contestant> contestants = on_default_pools(measure);
  contestants.insert(contestants.begin(), on_pool<naive_pool>("naive 4", 4, measure));
#ifdef WRING_BENCH_GLIB
  contestants.insert(contestants.end() - 1, on_pool<glib_pool>("glib no limit", glib_pool::unlimited, measure));
#endif
  return {.name = std::to_string(of.hogs) + (of.hogs == 1 ? " hog" : " hogs"),
          .metrics = {"ms start p50", "ms start p99", "ms in all", "threads"},
          .executed = expected.executed,
          .hash = expected.hash,
          .contestants = std::move(contestants),
          .targets = {{.contestant = "wring",
                       .metric = start_p99,
                       .times = 1.2,
                       .reference = "naive 4",
                       .reference_metric = start_p99,
                       .plus = noticed_ms}}};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  bench::traffic of{.hogs = 1,
                    .hog_us = options.quick ? 20e3 : 1e6,
                    .items = options.quick ? 20u : 1'000u,
                    .item_us = 20,
                    .work = bench::cpu_work::calibrate()};
  const bench::workload one = bench::hogs(of);
  of.hogs = 2;
  return bench::run_contest(options, "hogs", bench::question, {one, bench::hogs(of)});
}
