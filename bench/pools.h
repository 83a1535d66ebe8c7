// SPDX-License-Identifier: Apache-2.0
// pools: the contestants, all behind one face, so that a workload is written once.
//
// A pool has submit(callable), a `group` (run, wait) and a `serial` (post(message) to a body that runs one
// message at a time in order). Each is made fresh for each measurement, with as many workers as CPUs.
#pragma once

#include "contest.h"
#include "naive_pool.h"
#include "wring_pool.h"
#ifdef WRING_BENCH_ONETBB
#include "tbb_pool.h"
#endif

#include <vector>

namespace bench {

// `measure(auto& pool)` on each of them.
template <class Measure>
std::vector<contestant> on_every_pool(Measure measure) {
  const unsigned threads = planned_cpus();
  std::vector<contestant> all;
  all.push_back({"naive", [=] {
                   naive_pool pool{threads};
                   return measure(pool);
                 }});
#ifdef WRING_BENCH_ONETBB
  all.push_back({"onetbb", [=] {
                   tbb_pool pool{threads};
                   return measure(pool);
                 }});
#endif
  all.push_back({"wring", [=] {
                   wring_pool pool{threads};
                   return measure(pool);
                 }});
  return all;
}

}  // namespace bench
