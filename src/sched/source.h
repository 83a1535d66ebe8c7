// SPDX-License-Identifier: Apache-2.0
// source: something that has items to start; what a pool schedules. A work queue is one.
//
// A source is offered to its pool when it has something to start and nobody serves it; it is then on the
// pool's list, or a worker serves it, never both. The pool knows nothing of items.
#pragma once

#include <cstdint>
#include <string>

namespace wring::sched {

class worker;
struct rescue_duty;

class source {
 public:
  source() = default;
  source(const source&) = delete;
  source& operator=(const source&) = delete;

  // Called by a worker that took this source from the pool's list: start items, and offer the source
  // again before running one if another worker may help.
  virtual void serve(worker& w) = 0;

  // The worker, which is inside an item of this source, leaves the pool's count, for a reason out of
  // worker::uncounted: it says so itself (`seq` null), or another thread has found so while it was in its item number
  // `*seq`. What it holds and has not started is offered to others. False: nothing changed, because it was out of the
  // count already or has gone on.
  virtual bool leave_count(worker& w, std::uint8_t why, const std::uint64_t* seq) = 0;
  // These reasons are gone; the worker counts again if no other is left. By the worker itself, or by another thread;
  // then nothing happens if the worker does not serve this source any more.
  virtual void join_count(worker& w, std::uint8_t reasons, bool self) = 0;
  // The worker has been in its item number `seq` for a while: others may start what it holds and has not
  // started. True if there was something.
  virtual bool relieve(worker& w, std::uint64_t seq) = 0;

  // For descriptions of what a worker does.
  [[nodiscard]] virtual std::string name() const = 0;
  struct sight {
    const void* code = nullptr;     // the callback's
    std::uint64_t began_ticks = 0;  // 0: not known
  };
  // What the worker is inside of; false: of nothing of this source.
  virtual bool look(worker& w, sight& seen) = 0;

  source* next = nullptr;  // in the pool's inbox or list
  source* prev = nullptr;
  rescue_duty* rescue = nullptr;  // of the rescuer that may be called for it; constant while it may be offered
  bool listed = false;            // on the pool's list or inbox drained into it; guarded by worker_pool::sources_mu_

 protected:
  virtual ~source() = default;
};

}  // namespace wring::sched
