// SPDX-License-Identifier: Apache-2.0
// wait_graph: which queues' callbacks wait for which queues (WQ-86, WQ-87, WQ-U16).
//
// Each wait from a callback is an edge from the callback's queue to the queue that is waited for. An edge that closes
// a circle is reported before its call waits, whether or not it would hang this time. A runtime has a graph if it asks
// for one; that a queue with a rescuer waits for one without is found in every runtime.
//
// Threads: any. Locks: mu_ (rank leaf), not held while anything is reported. Why no edge is missed: README.md, 10.
#pragma once

#include "base/check.h"
#include "base/mutex.h"
#include "base/sync.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace wring {
struct workqueue_options;
}
namespace wring::sched {
class reporter;
}

namespace wring::detail {

class pool_workqueue;
class wait_graph;

// A call of the user's that may wait.
struct wait_call {
  const char* name;
  const void* returns_to;  // where the user made it
  bool cancels = false;
};

// What the first pool_workqueue of a queue keeps for it.
struct wait_node {
  // Of the life that begins; its queue is known to nobody yet.
  void open(const workqueue_options& options) noexcept;

  wait_graph* graph = nullptr;          // set once; null: there is none
  base::atomic<std::uint64_t> life{0};  // the number of this life, which no other has; 0: ended. Changed with the
                                        // graph's lock
  bool has_rescuer = false;             // constant during a life, as the next
  bool legacy = false;
  base::atomic<bool> told_of_rescuer{false};
  base::atomic<bool> told_of_itself{false};
};

// A queue that somebody waits for. Looked at while it is sure to live, which it need not do any longer.
struct waited_queue {
  pool_workqueue* queue = nullptr;  // the first of it
  std::uint64_t life = 0;
  bool has_rescuer = false;
};

// The calling thread waits in `call`; it makes no difference outside of callbacks. `q`: alive, and all of it, or its
// items in general, are waited for.
void note_wait(pool_workqueue& q, const wait_call& call) noexcept;
// For one item, which was on that queue when somebody who held it looked.
void note_wait_for_item(const waited_queue& of, const wait_call& call) noexcept;

class wait_graph {
 public:
  static constexpr std::size_t edges_most = 4096;

  explicit wait_graph(sched::reporter& report);
  wait_graph(const wait_graph&) = delete;
  wait_graph& operator=(const wait_graph&) = delete;

  // The first pool_workqueue of a queue; nothing can wait for it yet, or any more.
  void begin(pool_workqueue& q) noexcept;
  void end(pool_workqueue& q) noexcept;
  // `from`: inside of `code`, a callback of it.
  void add(pool_workqueue& from, const waited_queue& to, const void* code, const wait_call& call) noexcept;

  void lock_for_fork() noexcept { mu_.lock_for_fork(); }
  void unlock_after_fork() noexcept { mu_.unlock_after_fork(); }
  // Queues live on, without edges. Between the other two.
  void renew_in_child() noexcept;

  void audit() const;
  void describe(base::writer& w) const;

 private:
  using number = std::uint16_t;  // of an edge, counted from 1; 0: none

  struct edge {
    std::uint64_t from;
    std::uint64_t to;
    wait_call call;
    const void* code;
    std::array<char, 32> name;  // of the queue it leads from
    number next;                // in its bucket
    number before;              // on the way here, in the search that is numbered
    std::uint64_t search;
  };
  // The first edge closes it.
  struct circle {
    std::array<edge, 16> edges;
    std::size_t length = 0;
  };
  static constexpr std::size_t buckets = 512;

  [[nodiscard]] number& bucket_of(std::uint64_t from) noexcept WRING_REQUIRES(mu_) { return first_[from % buckets]; }
  [[nodiscard]] edge& at(number n) noexcept WRING_REQUIRES(mu_) { return edges_[n - std::size_t{1}]; }
  [[nodiscard]] bool has(std::uint64_t from, std::uint64_t to) noexcept WRING_REQUIRES(mu_);
  void link(number n) noexcept WRING_REQUIRES(mu_);
  void link_all() noexcept WRING_REQUIRES(mu_);
  void find_circle(number closing, circle& found) noexcept WRING_REQUIRES(mu_);
  number marked(number n, number before) noexcept WRING_REQUIRES(mu_);
  void report(const circle& c);

  sched::reporter& report_;
  mutable base::mutex mu_{base::rank::leaf};
  std::vector<edge> edges_ WRING_GUARDED_BY(mu_);      // never more than edges_most, which have their memory
  std::vector<number> reached_ WRING_GUARDED_BY(mu_);  // likewise; of the search that is going on
  std::array<number, buckets> first_ WRING_GUARDED_BY(mu_){};
  std::uint64_t lives_ WRING_GUARDED_BY(mu_) = 0;
  std::uint64_t searches_ WRING_GUARDED_BY(mu_) = 0;
  bool full_ WRING_GUARDED_BY(mu_) = false;  // that was said
};

}  // namespace wring::detail
