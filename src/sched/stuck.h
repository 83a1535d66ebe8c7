// SPDX-License-Identifier: Apache-2.0
// stuck: callbacks that do not end, told to people: where they are, and what they wait for.
//
// Threads: any, without locks. What is told may be outdated.
#pragma once

#include "sched/worker_pool.h"

#include <wring/stats.h>

#include <string>

namespace wring::sched {

// Calls f(worker, source) for each worker that is inside an item.
template <class F>
void for_each_inside(const worker_pool& pool, const F& f) {
  pool.for_each_worker([&f](worker& w) {
    if (source* const s = w.serving.load(base::order::acquire)) f(w, *s);  // pairs with the source's store
    return false;
  });
}

// What the worker is in, of that source, of which `seen` was seen. It has been there for `running`.
stuck_callback stuck_in(worker& w, const source& s, const source::sight& seen, std::chrono::nanoseconds running);

// "3 in f (program+0x12) of 'a', waiting in a flush of 'b'; 1 in ...": those that are alike together, most first.
std::string crowd_in(const worker_pool& pool);

}  // namespace wring::sched
