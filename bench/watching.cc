// SPDX-License-Identifier: Apache-2.0
// watching: what does it cost to look for blocked items?
//
// 64 items wait in the kernel, unannounced and found out. In the first workload others keep all CPUs busy while more
// wait for a worker, so that looks go on; in the second nothing waits, and there is nothing to look for. CPU time of
// wring's timekeeper, which is the one that looks, in percent of a CPU; beside it that of an empty thread that ticks
// every millisecond in the same process.
#include "contest.h"
#include "gate.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"
#include "ticker.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "what CPU time does it cost to look for blocked items?";

struct scene {
  std::uint64_t blocked;
  std::uint64_t pending;
  std::chrono::milliseconds time;
};

// The metrics' places.
constexpr std::size_t looks_cost = 0;
constexpr std::size_t tick_cost = 1;

// The CPU clock of the runtime's timekeeper. The kernel makes a thread's clock of its number: complemented, above
// three bits that say whose time and which.
clockid_t timekeeper_clock() {
  for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::string name;
    std::getline(std::ifstream{thread.path() / "comm"}, name);
    if (name != "wring/time") continue;
    constexpr int of_a_thread = 4;
    constexpr int scheduled_time = 2;
    return ~std::stoi(thread.path().filename()) * 8 + of_a_thread + scheduled_time;
  }
  std::abort();
}

// Items that keep their place in the count.
class busy_items {
 public:
  busy_items(wring_pool& pool, unsigned count, std::uint64_t first) {
    for (unsigned i = 0; i < count; ++i) {
      pool.submit([this, i, first] {
        running_.fetch_add(1);
        while (!stopping_.load(std::memory_order_relaxed)) continue;
        tally::hit(first + i);
      });
    }
    while (running_.load() < count) std::this_thread::sleep_for(std::chrono::microseconds{50});
  }
  void stop() { stopping_.store(true); }

 private:
  std::atomic<unsigned> running_{0};
  std::atomic<bool> stopping_{false};
};

sample time_looks(wring_pool& pool, const scene& of) {
  warm_up(pool, 100);
  const tally before = tally::total();
  gate way;
  for (std::uint64_t i = 0; i < of.blocked; ++i) {
    pool.submit([i, &way] {
      way.wait();
      tally::hit(i);
    });
  }
  way.await_waiting(static_cast<unsigned>(of.blocked));
  const unsigned busy = of.pending == 0 ? 0 : planned_cpus();
  busy_items others{pool, busy, of.blocked};
  for (std::uint64_t i = 0; i < of.pending; ++i) {
    pool.submit([value = of.blocked + busy + i] { tally::hit(value); });
  }
  std::this_thread::sleep_for(of.time / 5);  // until all is as it will stay
  ticker empty;
  const clockid_t timekeeper = timekeeper_clock();
  const double timekeeper_before = cpu_ns(timekeeper);
  const double ticker_before = empty.used_ns();
  const std::uint64_t looks_before = wring_pool::looks();
  const stopwatch watch;
  std::this_thread::sleep_for(of.time);
  const double timekeeper_used = cpu_ns(timekeeper) - timekeeper_before;
  const double ticker_used = empty.used_ns() - ticker_before;
  const double looks = static_cast<double>(wring_pool::looks() - looks_before);
  const double percent_of_ns = 100 / watch.wall_ns();
  others.stop();
  way.open();
  const tally found = tally::await(before.executed + of.blocked + busy + of.pending) - before;
  return {found.executed,
          found.hash,
          {timekeeper_used * percent_of_ns, ticker_used * percent_of_ns, looks * 1e6 / watch.wall_ns(),
           static_cast<double>(empty.ticks())}};
}

// Nobody is taken out of the count for being busy: that would be the end of it.
wring::runtime_options by(wring::detection detect) {
  return {.cpus = planned_cpus(),
          .stall_floor = std::chrono::hours{1},
          .detect = detect,
          .cpu_intensive_threshold = std::chrono::hours{1}};
}

workload watched(const std::string& name, const scene& of) {
  const std::uint64_t items = of.blocked + of.pending + (of.pending == 0 ? 0 : planned_cpus());
  const tally expected = tally::of_range(0, items);
  const auto measure = [=](auto& pool) { return time_looks(pool, of); };
  return {.name = name,
          .metrics = {"% of a CPU", "tick %", "looks/ms", "ticks"},
          .executed = expected.executed,
          .hash = expected.hash,
          .contestants = {on_wring("wring", by(wring::detection::automatic), measure),
                          on_wring("wring stat", by(wring::detection::stat), measure)}};
}

workload with_work(const scene& of) {
  workload found = watched("64 items blocked, and work waits", of);
  for (const auto& [who, percent] : std::vector<std::pair<std::string, double>>{{"wring", 0.5}, {"wring stat", 3}}) {
    found.targets.push_back({.contestant = who,
                             .metric = looks_cost,
                             .times = 1,
                             .reference = who,
                             .reference_metric = tick_cost,
                             .plus = percent});
  }
  return found;
}

workload without_work(scene of) {
  of.pending = 0;
  workload found = watched("64 items blocked, and nothing waits", of);
  for (const char* who : {"wring", "wring stat"}) found.targets.push_back({.contestant = who, .metric = looks_cost});
  return found;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const bench::scene of{
      .blocked = options.quick ? 4u : 64u, .pending = 16, .time = std::chrono::milliseconds{options.quick ? 5 : 500}};
  return bench::run_contest(options, "watching", bench::question, {bench::with_work(of), bench::without_work(of)});
}
