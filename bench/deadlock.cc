// SPDX-License-Identifier: Apache-2.0
// deadlock: does a pool get through when 64 items wait for a 65th?
//
// The opener is submitted first or last. They wait in the kernel and nobody is told, but wring in the row
// "wring scope". A pool of a fixed size that runs the oldest item first cannot end when the opener comes last:
// no answer for a while is its answer. It is "hangs", and not asked for again.
#include "contest.h"
#include "gate.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <chrono>
#include <cstdint>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "does a pool get through, and how soon, when 64 items wait for what a 65th does?";

struct trap {
  std::uint64_t waiters;
  bool opener_first;
  std::chrono::milliseconds bound;  // for those that may hang
};

struct nobody_is_told {};

template <class Announce, class Pool>
sample spring(Pool& pool, const trap& of) {
  warm_up(pool, 100);
  const tally before = tally::total();
  gate way;
  const auto open = [&] {
    way.open();
    tally::hit(of.waiters);
  };
  const stopwatch watch;
  if (of.opener_first) pool.submit(open);
  for (std::uint64_t i = 0; i < of.waiters; ++i) {
    pool.submit([i, &way] {
      {
        [[maybe_unused]] const Announce announced;
        way.wait();
      }
      tally::hit(i);
    });
  }
  if (!of.opener_first) pool.submit(open);
  const tally found = tally::await(before.executed + of.waiters + 1) - before;
  return {found.executed, found.hash, {watch.wall_ns() / 1e6, threads_most(pool)}};
}

std::vector<contestant> contestants(const trap& of) {
  const auto untold = [=](auto& pool) { return spring<nobody_is_told>(pool, of); };
  std::vector<contestant> all = on_default_pools(untold);
  for (contestant& each : all) {
    if (each.name != "wring") each.hangs_after = of.bound;
  }
#ifdef WRING_BENCH_GLIB
  all.insert(all.end() - 1, on_pool<glib_pool>("glib no limit", glib_pool::unlimited, untold));
#endif
  all.push_back(on_pool<wring_pool>("wring scope", planned_cpus(),
                                    [=](auto& pool) { return spring<wring::blocking_scope>(pool, of); }));
  return all;
}

workload deadlock(const trap& of) {
  const tally expected = tally::of_range(0, of.waiters + 1);
  return {of.opener_first ? "opener queued first" : "opener queued last",
          {"ms", "threads"},
          expected.executed,
          expected.hash,
          contestants(of)};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  using std::chrono::milliseconds;
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint64_t waiters = options.quick ? 8 : 64;
  const milliseconds bound{options.quick ? 500 : 10'000};
  return bench::run_contest(options, "deadlock", bench::question,
                            {bench::deadlock({.waiters = waiters, .opener_first = true, .bound = bound}),
                             bench::deadlock({.waiters = waiters, .opener_first = false, .bound = bound})});
}
