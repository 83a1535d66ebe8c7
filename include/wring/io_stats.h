// SPDX-License-Identifier: Apache-2.0
// io_stats: plain snapshots of what an I/O worker pool does right now and did so far (IOWQ-111).
//
// As in wring/stats.h: nobody is stopped for it, each number is exact for some moment during the call.
#pragma once

#include <wring/version.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace wring {

// What made a worker necessary, and who made it (IOWQ-41).
struct io_creations {
  std::uint64_t enqueue;  // an item came and nobody was free: the thread that enqueued it
  std::uint64_t note;     // the last running worker blocked: that worker, the owner, or the timekeeper for it
  std::uint64_t retry;    // again after a refusal that was temporary
  std::uint64_t manager;  // somebody has asked the manager for it, or its look once a second (io_profile::node)
  std::uint64_t refused;  // by the system, or at the limit of the process
};

struct io_account_stats {
  unsigned workers;                // threads
  unsigned workers_max;            // the limit
  unsigned workers_most;           // alive at once
  unsigned running;                // not blocked; those that are woken or made included
  unsigned free;                   // idle
  unsigned blocked;                // in an item, and not running
  std::uint64_t queued;            // items that wait
  std::uint64_t held;              // of a bucket's chain that a worker has taken, not started
  bool stalled;                    // what waits is all of buckets that are busy (IOWQ-54)
  std::uint64_t started;           // items
  std::uint64_t cancelled;         // items that were run only to fail
  std::uint64_t refused;           // items whose identity the system refused (EPERM)
  std::uint64_t interrupts;        // signals sent to running workers
  std::uint64_t identity_changes;  // workers that took on another identity
  io_creations created;
};

struct io_worker_stats {
  std::string name;         // of the thread, "io-wrk-4711"
  std::uint32_t thread_id;  // the kernel's
  bool bounded;             // now; in io_profile::node it changes
  unsigned node;            // io_profile::node: the system's number
  enum class state_kind : std::uint8_t { free, running, blocked } state;
  const void* tag;                   // of its item (io_item_options::tag); null: in none
  std::chrono::nanoseconds running;  // since its item has started
  bool cancelled;                    // its item is
  std::string identity;              // of its item; "": its own, or in none
};

struct io_node_stats {
  unsigned node;  // the system's number
  io_account_stats bounded;
  io_account_stats unbounded;
};

struct io_pool_stats {
  std::string name;
  std::uint32_t owner;  // thread id
  bool exiting;
  bool exit_on_idle;
  io_account_stats bounded;
  io_account_stats unbounded;
  std::vector<io_node_stats> nodes;  // io_profile::node: what those two are the sum of
  std::vector<io_worker_stats> workers;
  std::uint64_t busy_buckets;  // of its hash_domain, a bit each
};

}  // namespace wring
