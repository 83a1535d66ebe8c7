// SPDX-License-Identifier: Apache-2.0
// wake_up: how soon does an item start on an idle pool, and what does being ready cost?
//
// One item at a time, every 50 us and every 1 ms; the next is submitted only after the last has run. And there and
// back: a thread submits an item and sleeps until the item wakes it.
#include "contest.h"
#include "percentile.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <semaphore.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace bench {

namespace {

constexpr const char* question =
    "how soon does an item start on an idle pool, and what does keeping that readiness cost in CPU time?";

// Submits one item every `gap_ns`. The submitter spins for the gap and so keeps its own CPU awake; what is
// measured is the worker's way. CPU time is that of all threads but the submitter, plus its submit calls.
template <class Pool>
sample time_single_items(Pool& pool, std::uint64_t items, double gap_ns) {
  warm_up(pool);
  const tally before = tally::total();
  std::vector<double> latency(items);
  std::vector<double> call(items);
  std::atomic<std::uint64_t> done{0};
  double calls_cpu = 0;
  const double submitter_cpu = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
  const stopwatch watch;
  double due = now_ns();
  for (std::uint64_t i = 0; i < items; ++i) {
    due += gap_ns;
    while (now_ns() < due) {
    }
    // Looked at only now: polling would pull the line away from the worker that is about to write it.
    while (done.load(std::memory_order_acquire) != i) {
    }
    const double cpu_before = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    const double submitted = due = now_ns();
    pool.submit([i, submitted, &latency, &done] {
      latency[i] = now_ns() - submitted;
      tally::hit(i);
      done.store(i + 1, std::memory_order_release);
    });
    call[i] = now_ns() - submitted;
    calls_cpu += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
  }
  while (done.load(std::memory_order_acquire) != items) {
  }
  const double spinning_cpu = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - submitter_cpu - calls_cpu;
  const double pool_cpu = watch.process_cpu_ns() - spinning_cpu;
  const tally found = tally::total() - before;
  return {found.executed,
          found.hash,
          {percentile(latency, 0.5) / 1e3, percentile(latency, 0.99) / 1e3, pool_cpu / 1e3 / static_cast<double>(items),
           percentile(call, 0.5) / 1e3}};
}

// Submits an item and sleeps until it has run, again and again.
template <class Pool>
sample time_round_trips(Pool& pool, std::uint64_t items) {
  warm_up(pool);
  const tally before = tally::total();
  std::vector<double> trip(items);
  sem_t ran;
  sem_init(&ran, 0, 0);  // sleeps at once; std::binary_semaphore would spin first
  const stopwatch watch;
  for (std::uint64_t i = 0; i < items; ++i) {
    const double submitted = now_ns();
    pool.submit([i, &ran] {
      tally::hit(i);
      sem_post(&ran);
    });
    while (sem_wait(&ran) != 0) {
    }
    trip[i] = now_ns() - submitted;
  }
  const double cpu = watch.process_cpu_ns();
  const tally found = tally::total() - before;
  return {found.executed,
          found.hash,
          {percentile(trip, 0.5) / 1e3, percentile(trip, 0.99) / 1e3, cpu / 1e3 / static_cast<double>(items)}};
}

workload round_trips(std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  return {"round trip, the submitter sleeps",
          {"us p50", "us p99", "us CPU/item"},
          expected.executed,
          expected.hash,
          on_every_pool([=](auto& pool) { return time_round_trips(pool, items); })};
}

workload single_items(const std::string& name, std::uint64_t items, double gap_ns) {
  const tally expected = tally::of_range(0, items);
  return {name,
          {"us start p50", "us start p99", "us CPU/item", "us submit call"},
          expected.executed,
          expected.hash,
          on_every_pool([=](auto& pool) { return time_single_items(pool, items, gap_ns); })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  return bench::run_contest(options, "wake_up", bench::question,
                            {bench::single_items("one item every 50 us", options.quick ? 20 : 10'000, 50e3),
                             bench::single_items("one item every 1 ms", options.quick ? 5 : 1'000, 1e6),
                             bench::round_trips(options.quick ? 20 : 10'000)});
}
