// SPDX-License-Identifier: Apache-2.0
// fan_out: what does an item cost that another item starts?
//
// About a million no-ops each: two trees of task groups (16 and 2 children a node, every node waits), and a
// chain of items that submit and do not wait. Workers do everything; the thread outside sleeps. Pools whose
// workers cannot wait for items of the pool have no trees.
#include "contest.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <cstdint>
#include <string>

namespace bench {

namespace {

constexpr const char* question = "what does an item cost that another item starts, with and without waiting for it?";

// One node of a tree: starts Fan children, each a tree of one level less, and waits for them. Nodes are
// numbered as in a heap, so that the whole tree hits 0, 1, 2, ...
template <unsigned Fan, class Pool>
void grow(Pool& pool, unsigned levels, std::uint64_t number) {
  tally::hit(number);
  if (levels == 0) return;
  typename Pool::group children{pool};
  for (unsigned child = 1; child <= Fan; ++child) {
    children.run([&pool, levels, number, child] { grow<Fan>(pool, levels - 1, number * Fan + child); });
  }
  children.wait();
}

constexpr std::uint64_t nodes(unsigned fan, unsigned levels) {
  return levels == 0 ? 1 : 1 + fan * nodes(fan, levels - 1);
}

// An item that submits `batch` no-ops and then itself again, until all `items` no-ops are out. The backlog
// stays near one batch, so this is the cost of queueing, not of a memory full of items.
template <class Pool>
struct generator {
  Pool& pool;
  std::uint64_t items;
  std::uint64_t batch;

  void submit_from(std::uint64_t first) {
    for (std::uint64_t i = first; i < first + batch; ++i) pool.submit([i] { tally::hit(i); });
    if (first + batch < items) pool.submit([this, next = first + batch] { submit_from(next); });
  }
};

// The clock runs from handing `start` to the pool until `items` have hit.
template <class Pool, class Start>
sample time_from_inside(Pool& pool, std::uint64_t items, Start start) {
  warm_up(pool);
  const tally before = tally::total();
  const stopwatch watch;
  pool.submit(start);  // so that workers do everything and the submitting thread sleeps
  const tally found = tally::await(before.executed + items) - before;
  const auto count = static_cast<double>(items);
  return {found.executed, found.hash, {watch.wall_ns() / count, watch.process_cpu_ns() / count}};
}

template <unsigned Fan>
workload tree(unsigned levels) {
  const std::uint64_t items = nodes(Fan, levels);
  const tally expected = tally::of_range(0, items);
  return {"task_group, " + std::to_string(Fan) + " children a node",
          {"ns/item", "CPU ns/item"},
          expected.executed,
          expected.hash,
          on_every_pool([=]<has_groups Pool>(Pool& pool) {
            return time_from_inside(pool, items, [&pool, levels] { grow<Fan>(pool, levels, 0); });
          })};
}

workload fifo(std::uint64_t items, std::uint64_t batch) {
  const tally expected = tally::of_range(0, items);
  return {"submit from inside, no waiting",
          {"ns/item", "CPU ns/item"},
          expected.executed,
          expected.hash,
          on_every_pool([=]<class Pool>(Pool& pool) {
            generator<Pool> source{pool, items, batch};
            return time_from_inside(pool, items, [&source] { source.submit_from(0); });
          })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const bool quick = options.quick;
  return bench::run_contest(options, "fan_out", bench::question,
                            {bench::tree<16>(quick ? 2 : 5), bench::tree<2>(quick ? 7 : 19),
                             bench::fifo(quick ? 2'000 : 1'000'000, quick ? 100 : 1'000)});
}
