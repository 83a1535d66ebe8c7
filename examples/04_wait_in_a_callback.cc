// SPDX-License-Identifier: Apache-2.0
// 04_wait_in_a_callback: a callback that waits says so, and another worker takes its place.
//
// The runtime plans for one CPU, so it wants one worker awake. The first item waits for the second, which could
// not start before, if the wait were not announced. (It would after 100 ms, when the stall floor helps.)
#include <wring/wring.h>

#include <cstdio>
#include <semaphore>

int main() {
  // [runtime]
  wring::runtime own{{.cpus = 1, .max_workers = 16}};
  wring::workqueue queue{own, {.name = "rendezvous"}};
  // [/runtime]

  std::binary_semaphore told{0};
  // [blocking]
  queue.submit([&told] {
    const wring::blocking_scope scope;  // from here on another worker may take this one's place
    told.acquire();
  });
  queue.submit([&told] { told.release(); });
  queue.flush();
  // [/blocking]

  // [stats]
  const wring::pool_stats pool = own.stats().pools.front();
  std::printf("%u workers, at most %u of them blocked at once\n", pool.workers, pool.blocked_max);
  // [/stats]
  return pool.blocked_max >= 1 ? 0 : 1;
}
