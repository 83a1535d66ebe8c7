// SPDX-License-Identifier: Apache-2.0
// work: the intrusive work items. The caller owns the storage; wring allocates nothing per item.
//
// Callable from any thread: everything but construction and destruction. None of the calls fails for
// lack of memory. What an item guarantees is in docs/reference/work.md, the rules are WQ-1 and WQ-60..70.
#pragma once

#include <wring/version.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace wring {

class work;
class delayed_work;
class workqueue;
struct stuck_callback;  // wring/stats.h

namespace detail {

class item_access;

// The words that the library keeps in an item. Atomic state is a plain aligned word here; only src/
// touches it, through base.
enum class item_op : unsigned { run, destroy };  // destroy: the callable, not the storage

struct item {
  using entry_point = void (*)(item&, item_op);

  alignas(8) std::uint64_t state = 0;  // item_state (src/workqueue/item.h)
  alignas(8) std::uint64_t place = 0;  // item_place: the queue it is or was on
  item* next = nullptr;
  item* prev = nullptr;
  entry_point entry = nullptr;
};

// One run of an item whose callback takes a stop_token, in the thread that runs it.
class WRING_EXPORT stop_scope {
 public:
  explicit stop_scope(work& runs);
  ~stop_scope();
  stop_scope(const stop_scope&) = delete;
  stop_scope& operator=(const stop_scope&) = delete;
  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  std::stop_source source_;
  void* const frame_;
};

// A callable of up to 24 bytes, stored in place; bigger captures belong to the caller's object.
class small_callable {
 public:
  static constexpr std::size_t capacity = 24;

  template <class F>
  static constexpr bool fits = sizeof(F) <= capacity && alignof(F) <= 8 && std::is_nothrow_move_constructible_v<F>;

  // Such a callable is not stored but made anew at each call, which keeps the constructor constant-evaluable.
  template <class F>
  static constexpr bool stateless =
      std::is_empty_v<F> && std::is_trivially_default_constructible_v<F> && std::is_trivially_destructible_v<F>;

  template <class F>
  constexpr explicit small_callable(F f) noexcept {
    if constexpr (stateless<F>) {
      pointer_ = nullptr;
    } else if constexpr (std::is_same_v<F, void (*)()>) {
      bare_ = f;
    } else if constexpr (std::is_same_v<F, void (*)(work&)>) {
      with_work_ = f;
    } else {
      ::new (static_cast<void*>(bytes_)) F(std::move(f));
    }
  }

  template <class F>
  void call(work& self) {
    if constexpr (stateless<F>) {
      F f;
      invoke(f, self);
    } else {
      invoke(stored<F>(), self);
    }
  }

  template <class F>
  void destroy() noexcept {
    if constexpr (!std::is_trivially_destructible_v<F>) stored<F>().~F();
  }

 private:
  template <class F>
  static void invoke(F& f, work& self) {
    if constexpr (std::is_invocable_v<F&, work&>) {
      f(self);
    } else if constexpr (std::is_invocable_v<F&>) {
      f();
    } else {
      const stop_scope scope{self};
      if constexpr (std::is_invocable_v<F&, work&, std::stop_token>) {
        f(self, scope.token());
      } else {
        f(scope.token());
      }
    }
  }

  template <class F>
  F& stored() noexcept {
    if constexpr (std::is_same_v<F, void (*)()>) {
      return bare_;
    } else if constexpr (std::is_same_v<F, void (*)(work&)>) {
      return with_work_;
    } else {
      return *std::launder(reinterpret_cast<F*>(bytes_));
    }
  }

  union {
    void* pointer_;
    void (*bare_)();
    void (*with_work_)(work&);
    alignas(8) unsigned char bytes_[capacity];
  };
};

template <class F>
concept work_callable = std::is_invocable_v<F&, work&> || std::is_invocable_v<F&> ||
                        std::is_invocable_v<F&, work&, std::stop_token> || std::is_invocable_v<F&, std::stop_token>;

template <class F>
using stored_callable = std::decay_t<F>;

}  // namespace detail

// What came of a call that waits no longer than it was told to.
struct cancel_result {
  bool was_pending;  // and will not run
  bool ended;        // the callback is not running
};

// One thing to do, again and again if you like: queued at most once at a time (a second queue() while
// pending returns false and the pending run sees everything written before, WQ-64), never run by two
// workers at once (WQ-61), and free to be queued again, also by its own callback, from the moment the
// callback starts (WQ-62). The callback may free or destroy the item (WQ-63).
//
// A `work` is a member, declared last, or a static (constinit) or local object; not a base class. Its
// destructor cancels it and waits for a running callback to end, except inside that callback.
// An item must be destroyed before the runtime of the queue it was on last (never a concern with the default
// runtime, which lives as long as the process), and must not be pending or running in two runtimes at once.
class WRING_EXPORT work final : private detail::item {
 public:
  // `callback` is called as callback(work&), callback(), callback(work&, std::stop_token) or callback(std::stop_token),
  // whichever is the first that it can be called as; at most 24 bytes, nothrow movable. A token costs one allocation
  // each run. It is asked to stop by whoever cancels or disables the item while the callback runs, also by the
  // destructor, in that thread; one that has only just begun may be missed by cancel() and by cancel_sync_for().
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, work> && detail::work_callable<detail::stored_callable<F>>)
  constexpr explicit(false) work(F&& callback) noexcept
      : callable_{detail::stored_callable<F>(std::forward<F>(callback))} {
    using stored = detail::stored_callable<F>;
    static_assert(detail::small_callable::fits<stored>,
                  "wring::work holds callables of at most 24 bytes that move without throwing: capture a pointer "
                  "to your object, or use workqueue::submit(), which stores callables of any size");
    entry = [](detail::item& self, detail::item_op op) {
      work& w = static_cast<work&>(self);
      if (op == detail::item_op::run) {
        w.callable_.template call<stored>(w);
      } else {
        w.callable_.template destroy<stored>();
      }
    };
  }
  ~work() {
    quiesce();
    entry(*this, detail::item_op::destroy);
  }
  work(const work&) = delete;
  work& operator=(const work&) = delete;

  // Takes the item off its queue if it has not started. True: it was pending and will not run.
  // Never waits; a running callback goes on (WQ-95).
  bool cancel() noexcept;
  // As cancel(), then waits until the callback is not running; an item that queues itself again stays
  // stopped (WQ-96). True: it had been pending. From inside its own callback: misuse, false.
  bool cancel_sync() noexcept;
  // As cancel_sync(), but gives up after `limit`: then find_run() says where the callback is, and the item may be
  // queued again. From inside its own callback: misuse, and not ended.
  cancel_result cancel_sync_for(std::chrono::nanoseconds limit) noexcept;
  // Cancels, and from now on every queue call returns false, until enable() has been called as often as this (WQ-98),
  // at most 65,535 times; more are a warning and count no more. disable_sync() also waits as cancel_sync() does. True:
  // it had been pending.
  bool disable() noexcept;
  bool disable_sync() noexcept;
  // True: the item can be queued again; nothing queues it by itself. One that is not disabled: a warning, and false.
  bool enable() noexcept;
  // Waits until the last run asked for before this call has finished (WQ-82). True if it waited. From
  // inside its own callback: misuse, false. Pending before runtime::start(): false, with one warning.
  bool flush() noexcept;

  // Advisory, may be outdated when they return (WQ-70).
  [[nodiscard]] bool pending() const noexcept;
  [[nodiscard]] bool running() const noexcept;
  [[nodiscard]] bool disabled() const noexcept;
  // Where the callback is that runs this item at the moment, and what it waits for; none: it does not run. For people:
  // takes microseconds and allocates (wring/stats.h).
  [[nodiscard]] std::optional<stuck_callback> find_run() const;

 private:
  friend class detail::item_access;
  void quiesce() noexcept;

  detail::small_callable callable_;
};
static_assert(sizeof(work) == 64);

// A `work` that is queued after a delay. Same guarantees; the delay is never cut short (WQ-53), and
// while it runs, the queue knows nothing of the item: flush and drain do not wait for it (WQ-92), and
// it must be cancelled before its queue is destroyed (WQ-35).
class WRING_EXPORT delayed_work final {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, delayed_work> && detail::work_callable<detail::stored_callable<F>>)
  constexpr explicit(false) delayed_work(F&& callback) noexcept : work_{std::forward<F>(callback)} {}
  // Cancels and waits, as ~work().
  ~delayed_work() { quiesce(); }
  delayed_work(const delayed_work&) = delete;
  delayed_work& operator=(const delayed_work&) = delete;

  // As those of `work`; a running delay is stopped.
  bool cancel() noexcept;
  bool cancel_sync() noexcept;
  cancel_result cancel_sync_for(std::chrono::nanoseconds limit) noexcept;
  bool disable() noexcept;
  bool disable_sync() noexcept;
  bool enable() noexcept { return work_.enable(); }
  // A running delay is cut short: the item is queued now and waited for (WQ-83).
  bool flush() noexcept;

  [[nodiscard]] bool pending() const noexcept { return work_.pending(); }
  [[nodiscard]] bool running() const noexcept { return work_.running(); }
  [[nodiscard]] bool disabled() const noexcept { return work_.disabled(); }
  [[nodiscard]] std::optional<stuck_callback> find_run() const;

 private:
  friend class detail::item_access;
  void quiesce() noexcept;

  work work_;
  // A timer of the timekeeper (src/base/timer_wheel.h), which also remembers where to queue at expiry.
  struct timer_words {
    alignas(8) std::uint64_t words[6] = {};
  } timer_;
};

// The item whose callback the calling thread executes, or null: outside of callbacks, and inside
// one-off closures, which are no `work` (WQ-69).
WRING_EXPORT work* current_work() noexcept;

// Whether the calling thread is a rescuer (workqueue_options::rescuer) that executes a callback (WQ-69). Such a
// callback should do no more than is needed to get on: no other thread was to be had.
WRING_EXPORT bool current_is_rescuer() noexcept;

// What the calling worker is doing, for stats and dumps: up to 31 characters, valid until its item ends
// (WQ-69). Outside of a callback it does nothing.
WRING_EXPORT void set_worker_description(const char* text) noexcept;

}  // namespace wring
