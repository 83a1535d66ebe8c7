// SPDX-License-Identifier: Apache-2.0
// workqueue: where work is queued. It owns no threads; many queues share few pools of workers (WQ-5..8).
#pragma once

#include <wring/future.h>
#include <wring/result.h>
#include <wring/runtime.h>
#include <wring/stats.h>
#include <wring/version.h>
#include <wring/work.h>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace wring {

class task_group;

namespace detail {
class pool_workqueue;
class child;

// Storage of one-off closures: recycled blocks, no malloc per call in steady state.
WRING_EXPORT void* closure_allocate(pool_workqueue& q, std::size_t bytes);
WRING_EXPORT void closure_free(pool_workqueue& q, void* closure) noexcept;
// The queue that took the closure; `place` is item::place.
WRING_EXPORT pool_workqueue& queue_of_place(std::uint64_t place) noexcept;

// A closure that wring owns: made by submit(), destroyed right after it ran (or was refused).
template <class F>
struct closure : item {
  explicit closure(F&& f) : function(std::move(f)) { init(); }
  explicit closure(const F& f) : function(f) { init(); }
  void init() noexcept {
    entry = [](item& self, item_op op) {
      struct owner {  // destroys and frees, also when the callable throws
        closure* c;
        pool_workqueue& queue;
        ~owner() {
          c->~closure();
          closure_free(queue, c);
        }
      } guard{static_cast<closure*>(&self), queue_of_place(self.place)};
      if (op == item_op::run) guard.c->function();
    };
  }
  F function;
};
}  // namespace detail

// What happens when a callback ends with an exception; the item counts as completed either way.
enum class on_exception {
  terminate,  // std::terminate, after a line that names the queue
  report,     // workqueue_options::on_error if set, else a warning; counted in the stats
};

using error_handler = void (*)(std::exception_ptr error, void* context);

struct workqueue_options {
  std::string_view name = "wring";  // copied; cut to 31 characters with a warning (WQ-20)
  // Items of this queue that may be in progress at once: 1..2048, clamped with a warning; 0 means the
  // default, 1024 (WQ-22).
  unsigned max_active = 0;
  // Items run strictly one at a time in queue order (WQ-32); max_active must be 0 or 1.
  bool ordered = false;
  // Not concurrency-managed: every item gets a worker at once, up to max_active, whatever is running
  // (WQ-76).
  bool unmanaged = false;
  wring::on_exception on_exception = wring::on_exception::terminate;
  error_handler on_error = nullptr;
  void* error_context = nullptr;
};

// Any thread may call anything but the destructor. queue(), submit() and cancel never block and take no
// lock that is held for long.
class WRING_EXPORT workqueue {
 public:
  // Throws std::system_error if the options are not valid (EINVAL) or the runtime cannot start (EAGAIN).
  explicit workqueue(workqueue_options options = {});
  workqueue(runtime& where, workqueue_options options);
  static result<workqueue> create(workqueue_options options = {});
  static result<workqueue> create(runtime& where, workqueue_options options);
  // Drains, then gives everything back (WQ-34). From a callback of this queue: misuse (WQ-35).
  ~workqueue();
  workqueue(workqueue&&) noexcept;
  workqueue& operator=(workqueue&&) = delete;

  // Queues the item. False, and nothing changes: it is pending already, is being cancelled, or the
  // queue is being drained or destroyed (WQ-40, WQ-46; the latter with one warning).
  bool queue(work& item) noexcept;
  // As queue() after `delay` of steady time, never earlier (WQ-50, WQ-53); 0 or less queues at once.
  // False when pending; the pending delay is then not changed (WQ-51).
  bool queue_delayed(delayed_work& item, std::chrono::nanoseconds delay) noexcept;
  // Queues now (for queue_delayed's items with delay 0).
  bool queue(delayed_work& item) noexcept { return queue_delayed(item, std::chrono::nanoseconds::zero()); }
  // Sets the delay whether pending or not (WQ-52). True: it was pending; false: it was idle and is queued
  // now (or could not be: it is being cancelled, or the queue is being destroyed).
  bool modify(delayed_work& item, std::chrono::nanoseconds delay) noexcept;

  // Runs `function()` once. False: refused, as queue(); the closure is destroyed without a run.
  // Throws std::bad_alloc, and what copying the callable throws.
  template <class F>
    requires std::is_invocable_v<std::decay_t<F>&>
  bool submit(F&& function) {
    using box = detail::closure<std::decay_t<F>>;
    static_assert(alignof(box) <= 16, "over-aligned closures are not supported: capture a pointer");
    return submit_closure(*make<box>(std::forward<F>(function)));
  }

  // As submit(), and the future holds the value or the exception. A refused closure gives a future that
  // throws std::future_error(broken_promise). future::wait() counts as blocking.
  template <class F>
    requires std::is_invocable_v<std::decay_t<F>&>
  auto submit_for_result(F&& function) -> future<std::invoke_result_t<std::decay_t<F>&>>;

  // Waits until everything queued before the call has finished; later items are not waited for (WQ-84).
  // False, without waiting: called from a callback of this queue (misuse, WQ-86).
  bool flush() noexcept;
  // Refuses new items from outside and waits until the queue is empty, chained items included (WQ-90). A
  // delayed item that comes due meanwhile is refused too and becomes idle, with a warning (WQ-46).
  // False, without waiting: called from a callback of this queue (misuse).
  bool drain() noexcept;

  [[nodiscard]] workqueue_stats stats() const;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] runtime& owner() const noexcept;

 private:
  friend class task_group;
  explicit workqueue(detail::pool_workqueue& pwq) noexcept : pwq_{&pwq} {}

  template <class Box, class... Args>
  Box* make(Args&&... args) {
    void* storage = detail::closure_allocate(*pwq_, sizeof(Box));
    try {
      return ::new (storage) Box(std::forward<Args>(args)...);
    } catch (...) {
      detail::closure_free(*pwq_, storage);
      throw;
    }
  }
  bool submit_closure(detail::item& closure) noexcept;

  detail::pool_workqueue* pwq_ = nullptr;  // null after a move
};

template <class F>
  requires std::is_invocable_v<std::decay_t<F>&>
auto workqueue::submit_for_result(F&& function) -> future<std::invoke_result_t<std::decay_t<F>&>> {
  using value = std::invoke_result_t<std::decay_t<F>&>;
  promise<value> answer;
  future<value> result = answer.get_future();
  submit([answer = std::move(answer), function = std::decay_t<F>(std::forward<F>(function))]() mutable noexcept {
    answer.set_from(function);
  });
  return result;
}

}  // namespace wring
