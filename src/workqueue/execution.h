// SPDX-License-Identifier: Apache-2.0
// execution: what a thread is inside of; waiter: who is told when something has finished.
//
// Each thread has a stack of frames, one per callback it is inside of (a worker's own, and children that
// task_group::wait runs on the spot). An execution is the frame of a worker that serves a queue.
// Locks: an execution is its queue's: everything but `outer` is read and written only by who holds the
// queue (pool_workqueue.h), the owner's looks at its own `running` excepted.
#pragma once

#include "base/parker.h"
#include "sched/worker.h"
#include "workqueue/item.h"
#include "workqueue/kept_children.h"
#include "workqueue/wait_graph.h"

#include <stop_token>

namespace wring::detail {

class core;

// Lies on the stack of the one who waits.
struct waiter {
  base::completion done;
  waiter* next = nullptr;
};

// Waiters to be told once no lock is held.
class waiter_chain {
 public:
  void add(waiter& w) noexcept {
    w.next = first_;
    first_ = &w;
  }
  void add_all(waiter_chain& other) noexcept {
    while (waiter* const w = other.first_) {
      other.first_ = w->next;
      add(*w);
    }
  }
  bool remove(waiter& w) noexcept {
    for (waiter** at = &first_; *at != nullptr; at = &(*at)->next) {
      if (*at != &w) continue;
      *at = w.next;
      return true;
    }
    return false;
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void complete_all() noexcept {
    while (waiter* const w = first_) {
      first_ = w->next;  // before complete(): afterwards the waiter may be gone
      w->done.complete();
    }
  }

 private:
  waiter* first_ = nullptr;
};

// While it lives, the thread is inside a callback. In a forked child nothing of that holds any more: frames of
// before the fork are forgotten, and leave without a trace.
struct frame {
  pool_workqueue* queue = nullptr;
  item* running = nullptr;
  bool one_shot = false;                   // `running` is a closure
  bool gone = false;                       // its callback has destroyed `running`; another item may live there now
  const std::stop_source* stop = nullptr;  // what its callback was given
  frame* outer = nullptr;

  static frame* innermost() noexcept { return base::thread_slot<frame, frame>::get(); }
  void enter() noexcept {
    outer = innermost();
    base::thread_slot<frame, frame>::get() = this;
  }
  void leave() noexcept {
    if (innermost() == this) base::thread_slot<frame, frame>::get() = outer;
  }
  static void forget_all() noexcept { base::thread_slot<frame, frame>::get() = nullptr; }
};

// Is the calling thread inside a callback that this one runs / its queue, on whatever pool / this item / some queue
// of this runtime?
bool inside(const pool_workqueue& q) noexcept;
bool inside_queue_of(const pool_workqueue& q) noexcept;
bool inside(const item& it) noexcept;
bool inside(const core& c) noexcept;
// The callback of this item, which the calling thread is inside of, destroys it.
void note_gone(const item& it) noexcept;

struct execution : frame {
  explicit execution(sched::worker& its_worker, pool_workqueue& its_queue) noexcept : worker{its_worker} {
    queue = &its_queue;
    enter();
  }
  ~execution() { leave(); }
  execution(const execution&) = delete;
  execution& operator=(const execution&) = delete;

  sched::worker& worker;
  base::atomic<std::uint64_t> began_ticks{0};  // when that began; 0: a leader does not know
  unsigned colour = 0;                         // the flush colour its item was started in
  std::uint32_t messages = 0;                  // visitors who left something here (bias.h)
  item_list handed;                            // to be run here next, in this order (WQ-61), barriers included
  waiter_chain waiters;                        // for the end of `running`
  kept_children kept;
  std::uint32_t children = 0;  // of those, how many have run and are not in started_ yet
};

// For a wait_note: the queue, unless it belongs to another runtime than the calling worker, which may outlive it.
const sched::source* told_of(const pool_workqueue& q) noexcept;
// Announces blocking, then waits, for `what` of that queue (see sched::wait_note), whose threads will tell `w`. False:
// the deadline has passed first.
bool wait_blocking(waiter& w, const char* what, const pool_workqueue& of,
                   base::instant deadline = base::never) noexcept;

}  // namespace wring::detail
