// SPDX-License-Identifier: Apache-2.0
// ordered: what does an item cost in one of 1,000 queues that each run one item at a time, in order?
//
// The hash is made of the order in which each queue ran its messages and of any two that overlapped.
#include "contest.h"
#include "pinned.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace bench {

namespace {

constexpr const char* question =
    "what does an item cost in one of many queues that each run their items one at a time in order?";

// What one ordered queue did. Its fields are atomic (relaxed, hence free) only so that a queue that runs two
// items at once gives a wrong hash here, not undefined behaviour.
class ledger {
 public:
  void enter(std::uint32_t message) noexcept {
    if (inside_.load(std::memory_order_relaxed)) overlaps_.fetch_add(1, std::memory_order_relaxed);
    inside_.store(true, std::memory_order_relaxed);
    order_.store(tally::mix(order_.load(std::memory_order_relaxed) + message), std::memory_order_relaxed);
    inside_.store(false, std::memory_order_relaxed);
    tally::hit(message);
  }
  // Depends on the order of the messages, and on whether two were in here at once.
  [[nodiscard]] std::uint64_t hash() const noexcept {
    return order_.load(std::memory_order_relaxed) + overlaps_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> order_{0};
  std::atomic<std::uint64_t> overlaps_{0};
  std::atomic<bool> inside_{false};
};

struct shape {
  std::uint32_t queues;
  std::uint32_t messages;  // for each queue
  bool burst;              // all messages of one queue, then the next; else one for each queue in turn
};

template <class Pool>
sample time_posting(Pool& pool, const shape& of) {
  warm_up(pool);
  std::vector<ledger> ledgers(of.queues);
  const std::uint64_t items = std::uint64_t{of.queues} * of.messages;
  sample result;
  {
    using serial = typename Pool::serial;
    pinned<serial> queues{
        of.queues, [&](void* storage, std::size_t i) {
          ::new (storage) serial{pool, [mine = &ledgers[i]](std::uint32_t message) { mine->enter(message); }};
        }};
    const std::uint64_t before = tally::total().executed;
    const stopwatch watch;
    if (of.burst) {
      for (auto& queue : queues) {
        for (std::uint32_t message = 0; message < of.messages; ++message) queue.post(message);
      }
    } else {
      for (std::uint32_t message = 0; message < of.messages; ++message) {
        for (auto& queue : queues) queue.post(message);
      }
    }
    result.executed = tally::await(before + items).executed - before;
    const auto count = static_cast<double>(items);
    result.values = {watch.wall_ns() / count, watch.process_cpu_ns() / count};
  }
  for (const ledger& each : ledgers) result.hash += each.hash();
  return result;
}

workload posting(const char* name, const shape& of) {
  ledger right;
  for (std::uint32_t message = 0; message < of.messages; ++message) right.enter(message);
  return {name,
          {"ns/item", "CPU ns/item"},
          std::uint64_t{of.queues} * of.messages,
          right.hash() * of.queues,
          on_every_pool([=]<has_serial Pool>(Pool& pool) { return time_posting(pool, of); })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint32_t size = options.quick ? 30 : 1'000;
  return bench::run_contest(
      options, "ordered", bench::question,
      {bench::posting("ordered queues, round robin", {.queues = size, .messages = size, .burst = false}),
       bench::posting("ordered queues, bursts", {.queues = size, .messages = size, .burst = true})});
}
