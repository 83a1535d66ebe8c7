// SPDX-License-Identifier: Apache-2.0
// pools: the contestants, all behind one face, so that a workload is written once.
//
// A pool is made with a number of workers, fresh for each measurement, and has submit(callable). Where it has
// something of the kind it also has
//   group        run(callable), wait(): fork and join that may nest
//   serial       post(message) to a body that runs one message at a time, in order
//   item<F>      a callable in the caller's memory, and post(item)
//   timer<F>     arm(when), cancel(); calls function(fired) either way
// A workload says what it needs by a constraint, and pools without it do not take part.
#pragma once

#include "contest.h"
#include "naive_pool.h"
#include "tally.h"
#include "wring_pool.h"
#ifdef WRING_BENCH_ONETBB
#include "tbb_pool.h"
#endif
#ifdef WRING_BENCH_ASIO
#include "asio_pool.h"
#endif
#ifdef WRING_BENCH_LIBUV
#include "uv_pool.h"
#endif
#ifdef WRING_BENCH_GLIB
#include "glib_pool.h"
#endif

#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bench {

template <class Pool>
concept has_groups = requires { typename Pool::group; };

template <class Pool>
concept has_serial = requires { typename Pool::serial; };

template <class Pool>
concept has_timers = requires { typename Pool::template timer<void (*)(bool)>; };

// `measure(pool)` on a pool of `threads` workers.
template <class Pool, class Measure>
contestant on_pool(std::string name, unsigned threads, Measure measure) {
  return {std::move(name), [=] {
            Pool pool{threads};
            return measure(pool);
          }};
}

// wring with options of its own, among them how it finds out who blocks.
template <class Measure>
contestant on_wring(std::string name, const wring::runtime_options& options, Measure measure) {
  return {std::move(name), [=] {
            if (options.detect != wring::detection::automatic) unsetenv("WRING_DETECT");  // it would have the last word
            wring_pool pool{options};
            return measure(pool);
          }};
}

// Most threads that existed at once, as far as is known: those that ran anything.
template <class Pool>
double threads_most(const Pool& pool) {
  if constexpr (requires { pool.threads_most(); }) return static_cast<double>(pool.threads_most());
  return static_cast<double>(tally::threads());
}

// `measure(auto& pool)` on each pool that it accepts; `threads.template operator()<Pool>()` says how many workers.
template <class Measure, class Threads>
std::vector<contestant> on_pools(Measure measure, Threads threads) {
  std::vector<contestant> all;
  const auto add = [&]<class Pool>(const char* name, std::type_identity<Pool>) {
    if constexpr (std::is_invocable_v<const Measure&, Pool&>) {
      all.push_back(on_pool<Pool>(name, threads.template operator()<Pool>(), measure));
    }
  };
  add("naive", std::type_identity<naive_pool>{});
#ifdef WRING_BENCH_ONETBB
  add("onetbb", std::type_identity<tbb_pool>{});
#endif
#ifdef WRING_BENCH_ASIO
  add("asio", std::type_identity<asio_pool>{});
#endif
#ifdef WRING_BENCH_LIBUV
  add("libuv", std::type_identity<uv_pool>{});
#endif
#ifdef WRING_BENCH_GLIB
  add("glib", std::type_identity<glib_pool>{});
#endif
  add("wring", std::type_identity<wring_pool>{});
  return all;
}

// As many workers as CPUs: who is faster with the same means.
template <class Measure>
std::vector<contestant> on_every_pool(Measure measure) {
  return on_pools(measure, [cpus = planned_cpus()]<class Pool> { return cpus; });
}

// As many workers as each pool has when nobody says anything: what users meet when their items block.
template <class Measure>
std::vector<contestant> on_default_pools(Measure measure) {
  return on_pools(measure, [cpus = planned_cpus()]<class Pool> { return Pool::default_threads(cpus); });
}

}  // namespace bench
