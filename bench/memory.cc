// SPDX-License-Identifier: Apache-2.0
// memory: how many bytes does a queued item take, and a queue that runs one item at a time?
//
// What the resident memory of the process grows by, divided by the number of items or queues: all allocations,
// wherever they come from. Workers stand at a gate while items are queued. What is still held when all have run
// shows what a burst leaves behind.
#include "contest.h"
#include "gate.h"
#include "pinned.h"
#include "pools.h"
#include "prepared_items.h"
#include "tally.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <new>
#include <string>

namespace bench {

namespace {

constexpr const char* question = "how many bytes does a queued item take, and a queue that runs one item at a time?";

double resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  double pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Every worker of the pool waits at `way`, so that what is submitted now stays queued.
template <class Pool>
void stop_workers(Pool& pool, gate& way, std::uint64_t first_number) {
  const unsigned workers = planned_cpus();
  if constexpr (requires { pool.limit(workers); }) pool.limit(workers);  // or it would replace blocked workers
  for (unsigned i = 0; i < workers; ++i) {
    pool.submit([number = first_number + i, &way] {
      way.wait();
      tally::hit(number);
    });
  }
  way.await_waiting(workers);
}

// `fill()` queues items 0, 1, ... and returns what they live in.
template <class Pool, class Fill>
sample weigh_items(Pool& pool, std::uint64_t items, Fill fill) {
  gate way;
  stop_workers(pool, way, items);
  const double before = resident_bytes();
  [[maybe_unused]] const auto owner = fill();
  const double queued = resident_bytes();
  way.open();
  const tally found = tally::await(items + planned_cpus());
  const auto count = static_cast<double>(items);
  return {found.executed, found.hash, {(queued - before) / count, (resident_bytes() - before) / count}};
}

workload closures(std::uint64_t items) {
  const tally expected = tally::of_range(0, items + planned_cpus());
  return {"queued closures of 8 bytes",
          {"bytes", "bytes left"},
          expected.executed,
          expected.hash,
          on_every_pool([=](auto& pool) {
            return weigh_items(pool, items, [&] {
              for (std::uint64_t i = 0; i < items; ++i) pool.submit(numbered_hit{i});
              return 0;
            });
          })};
}

workload owned(std::uint64_t items) {
  const tally expected = tally::of_range(0, items + planned_cpus());
  return {"queued caller-owned items",
          {"bytes", "bytes left"},
          expected.executed,
          expected.hash,
          on_every_pool([=]<class Pool>(Pool& pool) {
            return weigh_items(pool, items, [&] {
              auto prepared = std::make_unique<prepared_items<Pool>>(pool, items);
              for (std::uint64_t i = 0; i < items; ++i) prepared->post(i);
              return prepared;
            });
          })};
}

// Each queue is told `messages` times; the numbers of all messages together are 0, 1, 2, ...
template <class Pool>
sample weigh_queues(Pool& pool, std::uint32_t queues, std::uint32_t messages) {
  using serial = typename Pool::serial;
  const double before = resident_bytes();
  pinned<serial> made{queues, [&pool](void* storage, std::size_t) {
                        ::new (storage) serial{pool, [](std::uint32_t message) { tally::hit(message); }};
                      }};
  const double fresh = resident_bytes();
  for (std::uint32_t message = 0; message < messages; ++message) {
    for (std::uint32_t i = 0; i < queues; ++i) made[i].post(message * queues + i);
  }
  const tally found = tally::await(std::uint64_t{queues} * messages);
  return {found.executed, found.hash, {(fresh - before) / queues, (resident_bytes() - before) / queues}};
}

workload queues(std::uint32_t count, std::uint32_t messages) {
  const tally expected = tally::of_range(0, std::uint64_t{count} * messages);
  return {"ordered queues",
          {"bytes", "bytes used"},
          expected.executed,
          expected.hash,
          on_every_pool([=]<has_serial Pool>(Pool& pool) { return weigh_queues(pool, count, messages); })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint64_t items = options.quick ? 1'000 : 500'000;
  return bench::run_contest(
      options, "memory", bench::question,
      {bench::closures(items), bench::owned(items), bench::queues(options.quick ? 100 : 10'000, 10)});
}
