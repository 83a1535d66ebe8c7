// SPDX-License-Identifier: Apache-2.0
// replacement: how soon does the next item start when a running one blocks?
//
// As many items run as there are CPUs, and one more is queued. Then one of those that run reads from an empty pipe:
// time goes from just before that to the start of the one that is queued. It blocks after 0 to 4 ms, so that looks at
// the pool, where looks are needed, are in all phases. Once on CPUs that nobody else wants, and once beside two
// spinning threads for each CPU. In the same process an empty thread ticks every millisecond: nobody can be told sooner
// than it comes to run.
#include "contest.h"
#include "cpu_work.h"
#include "percentile.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"
#include "ticker.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "how soon does the next item start when one that runs blocks?";

constexpr std::uint64_t warm_up_trials = 20;  // until those who block have been seen to, and are known
constexpr double block_after_us_most = 4'000;

struct trials {
  std::uint64_t count;
  unsigned spinners_per_cpu;  // outside of the pool
  cpu_work work;
};

// The metrics' places.
constexpr std::size_t p50 = 0;
constexpr std::size_t p99 = 1;
constexpr std::size_t tick_p99 = 2;

// Reads block, until somebody writes.
class blocking_pipe {
 public:
  blocking_pipe() {
    if (pipe(ends_) != 0) std::abort();
  }
  ~blocking_pipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  blocking_pipe(const blocking_pipe&) = delete;
  blocking_pipe& operator=(const blocking_pipe&) = delete;

  void wait() {
    char byte{};
    if (read(ends_[0], &byte, 1) != 1) std::abort();
  }
  void release() {
    if (write(ends_[1], "", 1) != 1) std::abort();
  }

 private:
  int ends_[2]{};
};

// Threads that want the CPUs, too.
class spinners {
 public:
  explicit spinners(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!stopping_.load(std::memory_order_relaxed)) continue;
      });
    }
  }
  ~spinners() {
    stopping_.store(true);
    for (std::thread& each : threads_) each.join();
  }
  spinners(const spinners&) = delete;
  spinners& operator=(const spinners&) = delete;

 private:
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

void sleep_until(const std::atomic<unsigned>& value, unsigned wanted) {
  while (value.load() < wanted) std::this_thread::sleep_for(std::chrono::microseconds{50});
}

struct nobody_is_told {};

// The delay in us. Each item hits once, with numbers from `first` on.
template <class Announce>
double replace_one(wring_pool& pool, const trials& of, std::uint64_t first) {
  const unsigned cpus = planned_cpus();
  std::atomic<unsigned> running{0};
  std::atomic<unsigned> ended{0};
  std::atomic<bool> queued{false};
  std::atomic<bool> replaced{false};
  blocking_pipe pipe;
  double blocked_at = 0;
  double replaced_at = 0;
  for (unsigned i = 1; i < cpus; ++i) {
    pool.submit([&, i] {
      running.fetch_add(1);
      while (!replaced.load()) continue;
      tally::hit(first + 1 + i);
      ended.fetch_add(1);
    });
  }
  pool.submit([&] {
    running.fetch_add(1);
    while (!queued.load()) continue;
    of.work.run(static_cast<double>(tally::mix(first) % 1'000) / 1'000 * block_after_us_most);
    {
      blocked_at = now_ns();
      [[maybe_unused]] const Announce announced;
      pipe.wait();
    }
    tally::hit(first);
    ended.fetch_add(1);
  });
  sleep_until(running, cpus);
  pool.submit([&] {
    replaced_at = now_ns();
    pipe.release();
    replaced.store(true);
    tally::hit(first + 1);
    ended.fetch_add(1);
  });
  queued.store(true);
  sleep_until(ended, cpus + 1);
  return (replaced_at - blocked_at) / 1e3;
}

template <class Announce>
sample time_replacements(wring_pool& pool, const trials& of) {
  const std::uint64_t each = planned_cpus() + 1;
  for (std::uint64_t i = 0; i < warm_up_trials; ++i) replace_one<Announce>(pool, of, of.count * each + i * each);
  const tally before = tally::total();
  std::vector<double> delays;
  ticker empty;
  {
    const spinners others{of.spinners_per_cpu * planned_cpus()};
    for (std::uint64_t i = 0; i < of.count; ++i) delays.push_back(replace_one<Announce>(pool, of, i * each));
    empty.stop();
  }
  const tally found = tally::await(before.executed + of.count * each) - before;
  return {found.executed,
          found.hash,
          {percentile(delays, 0.5), percentile(delays, 0.99), percentile(empty.lateness_us(), 0.99),
           percentile(empty.lateness_us(), 0.5)}};
}

// Items that use the CPU for long are replaced, too, which is not the question.
wring::runtime_options by_blocking_only(wring::detection detect) {
  return {.cpus = planned_cpus(), .detect = detect, .cpu_intensive_threshold = std::chrono::microseconds{0}};
}

workload replacements(const std::string& name, const trials& of) {
  const tally expected = tally::of_range(0, of.count * (planned_cpus() + 1));
  const auto by = [&of](const char* who, wring::detection detect) {
    return on_wring(who, by_blocking_only(detect),
                    [=](auto& pool) { return time_replacements<nobody_is_told>(pool, of); });
  };
  std::vector<contestant> contestants{
      by("wring", wring::detection::automatic), by("wring stat", wring::detection::stat),
      on_wring("wring scope", by_blocking_only(wring::detection::automatic),
               [=](auto& pool) { return time_replacements<wring::blocking_scope>(pool, of); })};
  return {.name = name,
          .metrics = {"us p50", "us p99", "tick us p99", "tick us p50"},
          .executed = expected.executed,
          .hash = expected.hash,
          .contestants = std::move(contestants)};
}

workload on_free_cpus(trials of) {
  of.spinners_per_cpu = 0;
  workload found = replacements("nobody else wants the CPUs", of);
  for (const auto& [who, us] :
       std::vector<std::pair<std::string, double>>{{"wring", 1'000}, {"wring stat", 1'500}, {"wring scope", 50}}) {
    found.targets.push_back({.contestant = who, .metric = p50, .plus = us});
  }
  return found;
}

workload on_busy_cpus(trials of) {
  of.spinners_per_cpu = 2;
  workload found = replacements("two threads spin on each CPU", of);
  for (const char* who : {"wring", "wring stat", "wring scope"}) {
    found.targets.push_back(
        {.contestant = who, .metric = p99, .times = 1.5, .reference = who, .reference_metric = tick_p99});
  }
  return found;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const bench::trials of{
      .count = options.quick ? 5u : 300u, .spinners_per_cpu = 0, .work = bench::cpu_work::calibrate()};
  return bench::run_contest(options, "replacement", bench::question,
                            {bench::on_free_cpus(of), bench::on_busy_cpus(of)});
}
