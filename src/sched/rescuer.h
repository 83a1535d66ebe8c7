// SPDX-License-Identifier: Apache-2.0
// rescuer: one more thread of a queue, made together with it, for the time when its pools have nobody to run its items
// and cannot get anybody (WQ-9, WQ-28, WQ-110..112).
//
// It has a seat in each of these pools: a worker that is never counted and leads nothing. A pool in distress calls the
// rescuers of the sources on its list; a rescuer takes its source from that list, like a worker, and serves it item by
// item until the pool has workers again. Thread, seats and duties exist by then, and its stack has been touched.
//
// Threads: any. A duty is called by the pool's timekeeper, under worker_pool::sources_mu_, while its source is on the
// list; so neither ends meanwhile. That is the one place where a thread is woken, or made, under that lock: nothing
// keeps a rescuer that was only seen on the list.
#pragma once

#include "base/mutex.h"
#include "base/parker.h"
#include "sched/worker_pool.h"

#include <wring/runtime.h>

#include <deque>
#include <string>

namespace wring::sched {

class rescuer;

// For one source, in its pool.
struct rescue_duty {
  rescuer& by;
  source& of;
  worker_pool& pool;
  worker* seat;  // null: in a forked child that had no memory for it
  rescue_duty* older;
  base::atomic<bool> called{false};
  base::atomic<std::uint64_t> maydays{0};  // how often it was called
  base::atomic<std::uint64_t> rescued{0};  // items that it has started; the source counts
};

class rescuer {
 public:
  // `name`: of the queue. `home`: between jobs it is where the workers of that pool are (WQ-113).
  rescuer(std::string_view name, std::size_t stack_bytes, const worker_pool& home);
  ~rescuer() { stop(); }
  rescuer(const rescuer&) = delete;
  rescuer& operator=(const rescuer&) = delete;

  // 0 or -errno: there are too many rescuers in that pool. Throws std::bad_alloc. One call at a time, and before the
  // source is offered for the first time.
  int add(source& s, worker_pool& pool);
  // Returns once the thread is ready; before runtime::start() at once, without one. 0 or -errno. Once is enough.
  int start() noexcept;
  // Waits for the thread to end; nothing of its sources waits any more.
  void stop() noexcept;
  // Stops; from now on its sources have no rescuer.
  void dismiss() noexcept;
  // In a forked child the thread is made when it is called for the first time.
  void renew_in_child() noexcept;

  void call(rescue_duty& d) noexcept;
  // The CPUs of its home have changed.
  void follow_home() noexcept { parker_.unpark(); }

 private:
  template <class F>
  void for_each_duty(const F& call) const {
    rescue_duty* d = newest_.load(base::order::acquire);  // pairs with add()
    for (; d != nullptr; d = d->older) call(*d);
  }
  static void main(void* self);
  void run() noexcept;
  bool rescue(rescue_duty& d) noexcept;
  [[nodiscard]] bool is_called_beside(const rescue_duty& served) const noexcept;
  int create() noexcept WRING_REQUIRES(thread_mu_);

  std::string thread_name_;
  const std::size_t stack_bytes_;
  const worker_pool& home_;
  std::deque<rescue_duty> duties_;  // its end is of add() alone, all others go along the list
  base::atomic<rescue_duty*> newest_{nullptr};
  base::mutex thread_mu_{base::rank::leaf};
  base::thread thread_ WRING_GUARDED_BY(thread_mu_);
  base::completion ready_;
  base::parker parker_;
  base::atomic<bool> stopping_{false};
};

}  // namespace wring::sched
