// SPDX-License-Identifier: Apache-2.0
// stats: plain snapshots of what a runtime and a queue do right now and did so far.
//
// A snapshot is taken without stopping anybody: each number is exact for some moment during the call,
// but two numbers need not belong to the same moment. Totals count from the object's creation.
#pragma once

#include <wring/version.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wring {

struct worker_stats {
  std::string name;         // thread name, "wring/u0:3", "wring/5:2H" (WQ-108)
  std::string description;  // set_worker_description(), else the name of the queue served; "" when idle
  enum class state_kind : std::uint8_t { idle, searching, running, blocked } state;
  std::uint64_t items_started;
};

struct pool_stats {
  std::string name;  // as in thread names: "u0", of a CPU's pool "5", of high priority "5H" (WQ-108)
  int nice;          // that its workers ask for; 0: the program's
  // Its workers run on these CPUs; none: where the program does. Woken, they begin on those of `pod`, if there are any
  // (WQ-117).
  std::vector<unsigned> cpus;
  std::vector<unsigned> pod;
  bool disassociated;      // its workers do not run on its CPUs, but anywhere (WQ-131, WQ-U7)
  bool priority_refused;   // its workers were refused their nice value (WQ-U6)
  unsigned target;         // counted workers aimed at: the CPUs planned for, in a CPU's pool 1
  unsigned workers;        // threads alive
  unsigned idle;           // parked
  unsigned running;        // inside an item and not blocked
  unsigned cpu_intensive;  // of these, out of the count because of the CPU time they use (WQ-26, WQ-79)
  unsigned blocked;        // inside an item and blocked, out of the count
  unsigned workers_max;    // most threads alive at once
  unsigned blocked_max;    // most workers out of the count at once
  std::uint64_t items_started;
  std::uint64_t wakeups;                  // parked workers woken to look for work
  std::uint64_t workers_created;          // threads
  std::uint64_t workers_retired;          // threads that left because they were surplus (WQ-106)
  std::uint64_t creation_failures;        // refused thread creations, each retried (WQ-103)
  std::uint64_t limit_reached;            // wake-ups not possible because `max_workers` existed
  std::uint64_t stalls;                   // workers taken out of the count by the 100 ms floor
  std::uint64_t stall_reports;            // of the watchdog
  std::uint64_t blocks_seen;              // workers taken out of the count because they were seen to wait
  std::uint64_t cpu_intensive_seen;       // workers taken out of the count for their use of CPU time (WQ-79)
  std::uint64_t repatriated;              // woken workers that were taken back to their pod (WQ-117)
  std::uint64_t restored;                 // and to the pool's CPUs, after somebody had bound them elsewhere (WQ-120)
  std::uint64_t looks;                    // looks at a worker's state
  std::chrono::nanoseconds blocked_time;  // sum over workers of announced blocking
};

struct runtime_stats {
  unsigned cpus;                  // CPUs planned for
  std::string detection;          // how blocked callbacks are found: "perf", "stat", "cpu_clock", "announced"
  std::string detection_why;      // why so: what was asked for, and what does not work here
  std::uint64_t warnings;         // warnings reported so far
  std::vector<pool_stats> pools;  // managed, unmanaged, both of high priority, then the others in use
  std::vector<worker_stats> workers;
};

// One CPU that per-CPU queues use.
struct cpu_info {
  unsigned id;     // the system's number
  unsigned core;   // CPUs of the same core (SMT) share it
  unsigned cache;  // CPUs below one last-level cache share it
  unsigned node;   // NUMA node: the system's number
};

// A callback that did not end before the limit of a shutdown.
struct stuck_callback {
  std::string worker;                // thread name
  std::uint32_t thread_id;           // the kernel's
  std::string queue;                 // whose item it is
  std::string callback;              // "symbol+0x1 (program+0x1234)", or as much of it as is known
  std::string description;           // set_worker_description(), if it was called
  std::chrono::nanoseconds running;  // at least so long
  bool announced;                    // it is inside a blocking_scope, or a wait of wring
  std::string waits_in;  // "a flush of 'log'", or the system call, "read of fd 5 (pipe:[77])"; empty: it computes
};

struct shutdown_report {
  bool complete;                      // everything has run and all threads have ended
  std::vector<stuck_callback> stuck;  // callbacks that are still running
  std::vector<std::string> queues;    // queues that are not empty, with the number of their items that wait
  std::size_t delayed;                // when complete: delayed items that have not come due and will not run

  // For people; one line for each stuck callback and each queue.
  [[nodiscard]] WRING_EXPORT std::string text() const;
};

struct workqueue_stats {
  std::string name;
  unsigned max_active;            // of a per-CPU queue: on each CPU; of a divided one: in its first pod
  unsigned active;                // workers inside items of this queue
  bool congested;                 // items wait although a worker is free: active == max_active (WQ-70)
  std::uint64_t items_started;    // a worker that runs short items in a row counts them every 64
  std::uint64_t items_completed;  // the rest is in flight (WQ-137)
  // Of its callbacks, sampled: what a thread has used is charged once it has served for 1 ms, to the queue it serves
  // then, but for what others may have used of it, if that one alone took longer. 0 if the CPU clocks of threads cannot
  // be read.
  std::chrono::nanoseconds cpu_time;
  std::uint64_t cpu_intensive;  // callbacks that left the count because of the CPU time they used (WQ-79)
  std::uint64_t repatriated;    // workers that were taken back to their pod to serve this queue (WQ-117)
  std::uint64_t cm_wakeups;     // callbacks that blocked while work of some queue waited: it got another worker
  std::uint64_t exceptions;     // callbacks that ended with an exception under on_exception::report
  std::uint64_t rejected;       // queue calls refused because of drain or destruction (WQ-46)
  std::uint64_t maydays;        // how often its rescuer was called (WQ-110)
  std::uint64_t rescued;        // items that it has started
};

}  // namespace wring
