// SPDX-License-Identifier: Apache-2.0
// submit: what does it cost to hand a no-op to a pool from outside?
//
// One and four producers; closures that the pool has to store, and items that exist before the clock starts.
// The clock runs from the first submit to the last run, so a pool cannot win by running late.
#include "contest.h"
#include "pools.h"
#include "prepared_items.h"
#include "stopwatch.h"
#include "tally.h"

#include <cstdint>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace bench {

namespace {

constexpr const char* question =
    "what does it cost to hand a no-op to a pool from outside and have it run, from the first submit to the last run?";

// Starts `producers` threads that call produce(first, last) with equal parts of 0..items at once, and waits
// until every item has run.
template <class Produce>
sample time_production(unsigned producers, std::uint64_t items, Produce produce) {
  const tally before = tally::total();
  std::latch start{producers + 1};
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&start, &produce, p, producers, items] {
      start.arrive_and_wait();
      produce(items * p / producers, items * (p + 1) / producers);
    });
  }
  const stopwatch watch;
  start.arrive_and_wait();
  for (auto& thread : threads) thread.join();
  const tally found = tally::await(before.executed + items) - before;
  const auto count = static_cast<double>(items);
  return {found.executed, found.hash, {watch.wall_ns() / count, watch.process_cpu_ns() / count}};
}

workload closures(unsigned producers, std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  const std::string name = "closures, " + std::to_string(producers) + " producer" + (producers == 1 ? "" : "s");
  return {name, {"ns/item", "CPU ns/item"}, expected.executed, expected.hash, on_every_pool([=](auto& pool) {
            warm_up(pool);
            return time_production(producers, items, [&pool](std::uint64_t first, std::uint64_t last) {
              for (std::uint64_t i = first; i < last; ++i) pool.submit([i] { tally::hit(i); });
            });
          })};
}

workload intrusive(unsigned producers, std::uint64_t items) {
  const tally expected = tally::of_range(0, items);
  const std::string name = "caller-owned, " + std::to_string(producers) + " producer" + (producers == 1 ? "" : "s");
  return {
      name, {"ns/item", "CPU ns/item"}, expected.executed, expected.hash, on_every_pool([=]<class Pool>(Pool& pool) {
        warm_up(pool);
        prepared_items<Pool> prepared{pool, items};
        return time_production(producers, items, [&prepared](std::uint64_t first, std::uint64_t last) {
          for (std::uint64_t i = first; i < last; ++i) prepared.post(i);
        });
      })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint64_t items = options.quick ? 2'000 : 1'000'000;
  return bench::run_contest(
      options, "submit", bench::question,
      {bench::closures(1, items), bench::closures(4, items), bench::intrusive(1, items), bench::intrusive(4, items)});
}
