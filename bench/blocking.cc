// SPDX-License-Identifier: Apache-2.0
// blocking: how long does a burst take when some of its items sleep?
//
// 2,000 items, each 200 us of CPU work, a sleep of 2 ms with probability p, and 200 us of work again. Every pool
// has the size it has when nobody says anything; nobody is told of the sleep, but wring in the row "wring
// scope". Two rows show the price of knowing better: "naive best" has as many threads as was best on two CPUs, and
// "glib no limit" a thread for every item that finds no idle one.
#include "contest.h"
#include "cpu_work.h"
#include "percentile.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace bench {

namespace {

constexpr const char* question =
    "how long does a burst of items take when some of them sleep, and with how many threads?";

constexpr double part_us = 200;
constexpr std::chrono::milliseconds nap{2};

struct mix {
  std::uint64_t items;
  unsigned percent;       // of the items sleep
  unsigned best_per_cpu;  // threads for each CPU that a pool of fixed size would need
  cpu_work work;
};

struct nobody_is_told {};

template <class Announce>
void sleep_once() {
  [[maybe_unused]] const Announce announced;
  std::this_thread::sleep_for(nap);
}

template <class Announce, class Pool>
sample time_mix(Pool& pool, const mix& of) {
  warm_up(pool, 100);
  const tally before = tally::total();
  std::vector<double> part(of.items);  // CPU us of the first part of each item
  const stopwatch watch;
  for (std::uint64_t i = 0; i < of.items; ++i) {
    pool.submit([i, &of, &part] {
      part[i] = of.work.run(part_us);
      if (tally::mix(i) % 100 < of.percent) sleep_once<Announce>();
      of.work.run(part_us);
      tally::hit(i);
    });
  }
  const tally found = tally::await(before.executed + of.items) - before;
  return {found.executed,
          found.hash,
          {watch.wall_ns() / 1e6, watch.process_cpu_ns() / 1e6, static_cast<double>(tally::threads()),
           percentile(part, 0.5)}};
}

std::vector<contestant> contestants(const mix& of) {
  const auto untold = [=](auto& pool) { return time_mix<nobody_is_told>(pool, of); };
  std::vector<contestant> all = on_default_pools(untold);
#ifdef WRING_BENCH_GLIB
  all.insert(all.end() - 1, on_pool<glib_pool>("glib no limit", glib_pool::unlimited, untold));
#endif
  all.insert(all.end() - 1, on_pool<naive_pool>("naive best", of.best_per_cpu * planned_cpus(), untold));
  all.push_back(on_pool<wring_pool>("wring scope", planned_cpus(),
                                    [=](auto& pool) { return time_mix<wring::blocking_scope>(pool, of); }));
  return all;
}

workload blocking_mix(const mix& of) {
  const tally expected = tally::of_range(0, of.items);
  return {"blocking mix, " + std::to_string(of.percent) + " % of the items sleep",
          {"ms", "CPU ms", "threads", "CPU us/part"},
          expected.executed,
          expected.hash,
          contestants(of)};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint64_t items = options.quick ? 50 : 2'000;
  const auto work = bench::cpu_work::calibrate();
  return bench::run_contest(options, "blocking", bench::question,
                            {bench::blocking_mix({.items = items, .percent = 10, .best_per_cpu = 4, .work = work}),
                             bench::blocking_mix({.items = items, .percent = 50, .best_per_cpu = 8, .work = work}),
                             bench::blocking_mix({.items = items, .percent = 90, .best_per_cpu = 8, .work = work})});
}
