// SPDX-License-Identifier: Apache-2.0
// stats: plain snapshots of what a runtime and a queue do right now and did so far.
//
// A snapshot is taken without stopping anybody: each number is exact for some moment during the call,
// but two numbers need not belong to the same moment. Totals count from the object's creation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wring {

struct worker_stats {
  std::string name;         // thread name, "wring/u0:3" (WQ-108)
  std::string description;  // set_worker_description(), else the name of the queue served; "" when idle
  enum class state_kind : std::uint8_t { idle, searching, running, blocked } state;
  std::uint64_t items_started;
};

struct pool_stats {
  unsigned target;       // counted workers aimed at: the CPUs planned for
  unsigned workers;      // threads alive
  unsigned idle;         // parked
  unsigned running;      // inside an item and counted (not blocked)
  unsigned blocked;      // inside an item, out of the count
  unsigned workers_max;  // most threads alive at once
  unsigned blocked_max;  // most workers out of the count at once
  std::uint64_t items_started;
  std::uint64_t wakeups;                  // parked workers woken to look for work
  std::uint64_t workers_created;          // threads
  std::uint64_t workers_retired;          // threads that left because they were surplus (WQ-106)
  std::uint64_t creation_failures;        // refused thread creations, each retried (WQ-103)
  std::uint64_t limit_reached;            // wake-ups not possible because `max_workers` existed
  std::uint64_t stalls;                   // workers taken out of the count by the 100 ms floor
  std::chrono::nanoseconds blocked_time;  // sum over workers of announced blocking
};

struct runtime_stats {
  unsigned cpus;           // CPUs planned for
  std::uint64_t warnings;  // warnings reported so far
  std::vector<pool_stats> pools;
  std::vector<worker_stats> workers;
};

struct workqueue_stats {
  std::string name;
  unsigned max_active;
  unsigned active;  // workers inside items of this queue
  bool congested;   // items wait although a worker is free: active == max_active (WQ-70)
  std::uint64_t items_started;
  std::uint64_t exceptions;  // callbacks that ended with an exception under on_exception::report
  std::uint64_t rejected;    // queue calls refused because of drain or destruction (WQ-46)
};

}  // namespace wring
