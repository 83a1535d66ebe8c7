// SPDX-License-Identifier: Apache-2.0
// blocking: how long does a burst take when some of its items sleep?
//
// Items of 200 us of CPU work, a sleep with a certain probability, and 200 us of work again: 2,000 with a sleep of 2
// ms, and for wring alone some with long and with short sleeps. Every pool has the size it has when nobody says
// anything; nobody is told of the sleep, but wring in the row "wring scope". All are compared with what a pool of fixed
// size could do at best: "naive best", whose size is looked for first. "glib no limit" has a thread for each item that
// finds no idle one.
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
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr const char* question =
    "how long does a burst of items take when some of them sleep, and with how many threads?";

constexpr double part_us = 200;
constexpr std::chrono::microseconds between_looks{500};  // whether all have run; a thousandth of a burst

struct mix {
  std::string name;
  std::uint64_t items;
  unsigned percent;  // of the items sleep
  std::chrono::microseconds nap;
  cpu_work work;
};

// The metrics' places.
constexpr std::size_t wall = 0;
constexpr std::size_t threads = 2;

struct nobody_is_told {};

template <class Announce>
void sleep_once(std::chrono::microseconds nap) {
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
      if (tally::mix(i) % 100 < of.percent) sleep_once<Announce>(of.nap);
      of.work.run(part_us);
      tally::hit(i);
    });
  }
  const tally found = tally::await(before.executed + of.items, between_looks) - before;
  return {found.executed,
          found.hash,
          {watch.wall_ns() / 1e6, watch.process_cpu_ns() / 1e6, threads_most(pool), percentile(part, 0.5)}};
}

contestant on_tier(const std::string& name, wring::detection detect, const mix& of) {
  return on_wring(name, {.cpus = planned_cpus(), .detect = detect},
                  [=](auto& pool) { return time_mix<nobody_is_told>(pool, of); });
}

// What wring does by other means than those it chooses.
void add_tiers(std::vector<contestant>& all, const mix& of) {
  all.push_back(on_tier("wring stat", wring::detection::stat, of));
  all.push_back(on_pool<wring_pool>("wring scope", planned_cpus(),
                                    [=](auto& pool) { return time_mix<wring::blocking_scope>(pool, of); }));
}

std::vector<contestant> opponents_and_wring(const mix& of) {
  const auto untold = [=](auto& pool) { return time_mix<nobody_is_told>(pool, of); };
  std::vector<contestant> all = on_default_pools(untold);
#ifdef WRING_BENCH_GLIB
  all.insert(all.end() - 1, on_pool<glib_pool>("glib no limit", glib_pool::unlimited, untold));
#endif
  add_tiers(all, of);
  return all;
}

std::vector<contestant> wring_alone(const mix& of) {
  std::vector<contestant> all{on_tier("wring", wring::detection::automatic, of)};
  add_tiers(all, of);
  return all;
}

// What a pool of fixed size could do for those who know which.
sweep fixed_sizes(const mix& of) {
  sweep found{.name = "naive best", .sizes = {}};
  for (const unsigned size : {1U, 2U, 4U, 6U, 8U, 12U, 16U, 24U, 32U, 48U, 64U}) {
    found.sizes.push_back(on_pool<naive_pool>("naive " + std::to_string(size), size,
                                              [=](auto& pool) { return time_mix<nobody_is_told>(pool, of); }));
  }
  return found;
}

workload burst(const mix& of, std::vector<contestant> contestants) {
  const tally expected = tally::of_range(0, of.items);
  return {.name = of.name,
          .metrics = {"ms", "CPU ms", "threads", "CPU us/part"},
          .executed = expected.executed,
          .hash = expected.hash,
          .contestants = std::move(contestants),
          .reference = fixed_sizes(of)};
}

void add_target(workload& of, const std::string& who, double times_the_best) {
  of.targets.push_back({.contestant = who, .metric = wall, .times = times_the_best, .reference = "naive best"});
}

// Few threads are a part of the question, or a thread for each item would be the answer.
void add_thread_target(workload& of, const std::string& who) {
  of.targets.push_back({.contestant = who,
                        .metric = threads,
                        .times = 2.5,
                        .reference = "naive best",
                        .reference_metric = threads,
                        .least = 8,
                        .most = 45});
}

workload blocking_mix(mix of, unsigned percent) {
  of.name = "blocking mix, " + std::to_string(percent) + " % of the items sleep";
  of.percent = percent;
  workload found = burst(of, opponents_and_wring(of));
  add_target(found, "wring", 1.05);
  add_target(found, "wring stat", 1.12);
  add_target(found, "wring scope", 1.05);
  for (const char* who : {"wring", "wring stat", "wring scope"}) add_thread_target(found, who);
  return found;
}

workload long_sleeps(mix of) {
  of.name = "long sleeps, 50 ms";
  of.items /= 2;
  of.percent = 10;
  of.nap = std::chrono::milliseconds{50};
  workload found = burst(of, wring_alone(of));
  for (const char* who : {"wring", "wring stat", "wring scope"}) add_target(found, who, 1.15);
  return found;
}

// Here it may be better not to look at all.
workload short_sleeps(mix of) {
  of.name = "short sleeps, 50 us";
  of.percent = 50;
  of.nap = std::chrono::microseconds{50};
  workload found = burst(of, wring_alone(of));
  found.contestants.push_back(on_tier("wring off", wring::detection::announced, of));
  for (const char* who : {"wring", "wring stat", "wring scope"}) {
    add_target(found, who, 1.15);
    found.targets.push_back({.contestant = who, .metric = wall, .times = 1, .reference = "wring off"});
  }
  return found;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const bench::mix of{.name = {},
                      .items = options.quick ? 50u : 2'000u,
                      .percent = 0,
                      .nap = std::chrono::milliseconds{2},
                      .work = bench::cpu_work::calibrate()};
  return bench::run_contest(options, "blocking", bench::question,
                            {bench::blocking_mix(of, 0), bench::blocking_mix(of, 10), bench::blocking_mix(of, 50),
                             bench::blocking_mix(of, 90), bench::long_sleeps(of), bench::short_sleeps(of)});
}
