// SPDX-License-Identifier: Apache-2.0
// flush: what does it cost to flush a queue that has nothing to do?
//
// Measured against one lock and unlock of an uncontended mutex, the least a lock-based flush could do.
#include "contest.h"
#include "stopwatch.h"
#include "wring_pool.h"

#include <cstdint>
#include <mutex>

namespace bench {

namespace {

constexpr const char* question =
    "what does it cost to flush a queue that has nothing to do? (the naive row is one lock and unlock of a mutex)";

// `call()` says whether it did what it should.
template <class Call>
sample time_calls(std::uint64_t calls, Call call) {
  sample result;
  const stopwatch watch;
  for (std::uint64_t i = 0; i < calls; ++i) result.executed += call() ? 1u : 0u;
  result.values = {watch.wall_ns() / static_cast<double>(calls)};
  result.hash = result.executed;
  return result;
}

sample lock_and_unlock(std::uint64_t calls) {
  std::mutex mu;
  return time_calls(calls, [&mu] {
    mu.lock();
    mu.unlock();
    return true;
  });
}

sample flush_idle(std::uint64_t calls) {
  wring_pool pool{planned_cpus()};
  warm_up(pool);  // a queue that was used before, with its workers idle
  return time_calls(calls, [&pool] { return pool.queue().flush(); });
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_arguments(argc, argv, bench::question);
  const std::uint64_t calls = options.quick ? 1'000 : 5'000'000;
  return bench::run_contest(options, "flush", bench::question,
                            {{"flush of an idle queue",
                              {"ns/call"},
                              calls,
                              calls,
                              {{"naive", [calls] { return bench::lock_and_unlock(calls); }},
                               {"wring", [calls] { return bench::flush_idle(calls); }}}}});
}
