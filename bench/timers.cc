// SPDX-License-Identifier: Apache-2.0
// timers: what do a million timers cost, and how late do they fire?
//
// They are armed one after the other, half of them are cancelled, and the rest is due evenly over a second, which
// begins when all pools have long been done with arming. libuv's run on the thread that arms them, the
// others on workers.
#include "contest.h"
#include "percentile.h"
#include "pinned.h"
#include "pools.h"
#include "stopwatch.h"
#include "tally.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace bench {

namespace {

constexpr const char* question = "what do arming and cancelling a timer cost, and how late do a million of them fire?";

struct schedule {
  std::uint64_t timers;
  std::chrono::nanoseconds lead;  // from the first arming to the first that is due
  std::chrono::nanoseconds span;  // from there to the last
};

using time_point = std::chrono::steady_clock::time_point;

// What one timer does: each hits once, fired or cancelled.
struct alarm {
  std::uint64_t number;
  time_point* due;  // becomes how late it was
  void operator()(bool fired) const {
    const auto now = std::chrono::steady_clock::now();
    *due = fired ? time_point{now - *due} : time_point::min();
    tally::hit(number);
  }
};

// Milliseconds, of those that fired.
std::vector<double> lateness(const std::vector<time_point>& results) {
  std::vector<double> late;
  for (const time_point each : results) {
    if (each == time_point::min()) continue;
    late.push_back(std::chrono::duration<double, std::milli>(each.time_since_epoch()).count());
  }
  return late;
}

template <class Pool>
sample time_timers(Pool& pool, const schedule& of) {
  warm_up(pool);
  const tally before = tally::total();
  std::vector<time_point> due(of.timers);
  using timer = typename Pool::template timer<alarm>;
  pinned<timer> timers{of.timers, [&](void* storage, std::size_t i) {
                         ::new (storage) timer{pool, alarm{i, &due[i]}};
                       }};
  const time_point first = std::chrono::steady_clock::now() + of.lead;
  const auto shuffled = [&](std::uint64_t i) { return tally::mix(i) % static_cast<std::uint64_t>(of.span.count()); };
  for (std::uint64_t i = 0; i < of.timers; ++i) due[i] = first + std::chrono::nanoseconds{shuffled(i)};

  const stopwatch arming;
  for (std::uint64_t i = 0; i < of.timers; ++i) timers[i].arm(due[i]);
  const double arm_ns = arming.wall_ns();
  const stopwatch cancelling;
  for (std::uint64_t i = 0; i < of.timers; i += 2) timers[i].cancel();
  const double cancel_ns = cancelling.wall_ns();
  if constexpr (requires { pool.settle(); }) pool.settle();
  const tally found = tally::await(before.executed + of.timers) - before;

  std::vector<double> late = lateness(due);
  const auto count = static_cast<double>(of.timers);
  return {found.executed,
          found.hash,
          {arm_ns / count, cancel_ns / (count / 2), percentile(late, 0.5), percentile(late, 0.99)}};
}

workload timers(const char* name, const schedule& of) {
  const tally expected = tally::of_range(0, of.timers);
  return {name,
          {"ns/arm", "ns/cancel", "ms late p50", "ms late p99"},
          expected.executed,
          expected.hash,
          on_every_pool([=]<has_timers Pool>(Pool& pool) { return time_timers(pool, of); })};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  return bench::run_contest(
      options, "timers", bench::question,
      {bench::timers("timers, half of them cancelled",
                     options.quick ? bench::schedule{.timers = 1'000, .lead = 20ms, .span = 20ms}
                                   : bench::schedule{.timers = 1'000'000, .lead = 2s, .span = 1s})});
}
