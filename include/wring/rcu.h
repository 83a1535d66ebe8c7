// SPDX-License-Identifier: Apache-2.0
// rcu: items that run after a grace period of RCU. An optional component on liburcu: link wring::rcu, and include this
// header, which wring/wring.h does not.
//
// The grace period is one of liburcu's flavour "bp" (<urcu/urcu-bp.h>), whose readers need no registration, so every
// thread may read, also inside a callback. Readers of another flavour are not waited for.
#pragma once

#include <wring/version.h>
#include <wring/work.h>
#include <wring/workqueue.h>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace wring {

class rcu_work;

namespace detail {

class rcu_access;

template <class F>
concept rcu_callable = std::is_invocable_v<F&, rcu_work&> || std::is_invocable_v<F&>;

// The run has begun: the item is not pending any more.
WRING_EXPORT rcu_work& rcu_run_begins(work& inner) noexcept;

// What the `work` inside of an rcu_work calls. As small as the user's callable, and without state if that has none.
template <class F>
struct rcu_call {
  [[no_unique_address]] F function;

  void operator()(work& inner) {
    rcu_work& self = rcu_run_begins(inner);
    if constexpr (std::is_invocable_v<F&, rcu_work&>) {
      function(self);
    } else {
      function();
    }
  }
};

}  // namespace detail

// A `work` that is queued after a grace period (WQ-4, WQ-54). It is pending from queue_rcu() until its callback starts;
// the guarantees are those of `work`. As with a running delay, the queue knows nothing of it during the grace period:
// flush and drain do not wait for it (WQ-92), and it must be cancelled before its queue is destroyed (WQ-35).
class WRING_EXPORT rcu_work final {
 public:
  // `callback` is called as callback(rcu_work&), or else as callback(); at most 24 bytes, nothrow movable.
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, rcu_work> && detail::rcu_callable<detail::stored_callable<F>>)
  constexpr explicit(false) rcu_work(F&& callback) noexcept
      : work_{detail::rcu_call<detail::stored_callable<F>>{detail::stored_callable<F>(std::forward<F>(callback))}} {}
  // Cancels and waits, as ~work(), and then for the end of a grace period that it was cancelled in: until then liburcu
  // holds the item. Where that would wait for itself (see flush()) it is misuse, and ends the process whatever the
  // handler does.
  ~rcu_work() { quiesce(); }
  rcu_work(const rcu_work&) = delete;
  rcu_work& operator=(const rcu_work&) = delete;

  // True: it was pending and will not run. Never waits: a running callback and a running grace period go on, and the
  // item may be queued again at once (WQ-95).
  bool cancel() noexcept;
  // As cancel(), and waits until the callback is not running; queue_rcu() is refused meanwhile (WQ-96). It does not
  // wait for the grace period. From inside its own callback: misuse, false.
  bool cancel_sync() noexcept;
  // Waits for the grace period and for the last run that was asked for before this call (WQ-82). True if it waited.
  // Misuse, and false: from inside its own callback; during a grace period also from a read-side critical section, or
  // a callback of call_rcu(), which hold that up themselves.
  bool flush() noexcept;

  // Advisory, may be outdated when they return (WQ-70).
  [[nodiscard]] bool pending() const noexcept;
  [[nodiscard]] bool running() const noexcept { return work_.running(); }

 private:
  friend class detail::rcu_access;
  void quiesce() noexcept;

  work work_;                           // first: detail::rcu_run_begins() finds us by it
  alignas(8) std::uint64_t state_ = 0;  // see src/rcu/rcu_work.cc
  detail::queue_for_later where_;
  struct head_storage {
    alignas(8) unsigned char bytes[16] = {};  // struct rcu_head
  } head_;
};

// Queues the item after a grace period. True: a whole one passes between this call and the run. False, and nothing
// changes: it is pending already, and runs, perhaps sooner than a grace period from now; or it is being cancelled, or
// the queue is being drained or destroyed. A queue that refuses when the grace period is over makes the item idle, with
// a warning (WQ-46). Never blocks; may be called in a read-side critical section.
WRING_EXPORT bool queue_rcu(workqueue& queue, rcu_work& item) noexcept;

}  // namespace wring
