// SPDX-License-Identifier: Apache-2.0
// task_group: start some closures, wait for all of them.
#pragma once

#include <wring/version.h>
#include <wring/workqueue.h>

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace wring {

class task_group;

namespace detail {

struct group_wait;

// A closure of a group. The group counts it until it has run; wait() may take it back and run it itself.
class child : public item {
 public:
  task_group* group = nullptr;
  std::uint32_t forks = 0;  // when it was queued; and whether it is kept, which is not counted by the group
};

template <class F>
struct child_closure final : child {
  explicit child_closure(F&& f) : function(std::move(f)) { init(); }
  explicit child_closure(const F& f) : function(f) { init(); }
  void init() noexcept;
  F function;
};

}  // namespace detail

// run() and wait() may be called from any thread, run() also by children of the group; the group has to live until
// they have returned. Groups of one queue nest to
// any depth: wait() never deadlocks there, because it first runs its own children that have not started, and
// when it has to block, another worker takes its place. Two queues whose callbacks wait for groups on each
// other's queue can, when both are at their max_active, which runtime_options::deadlock_graph finds; so can callbacks
// on two CPUs, or nodes, of a divided queue that wait for children the other one has run(). In a forked child no child
// of the group is left: wait() returns at once.
class WRING_EXPORT task_group {
 public:
  explicit task_group(workqueue& queue) noexcept : queue_{&queue} {}
  // Waits for the children; before runtime::start() that starts it, with a warning. An exception nobody asked for with
  // wait() is dropped with a warning.
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  // Queues the child on the group's queue; inside a callback of that queue, on whose stack the group lies, only once
  // another worker has time for it. If the queue refuses it (it is being destroyed), the child does not run and false
  // is returned.
  template <class F>
    requires std::is_invocable_v<std::decay_t<F>&>
  bool run(F&& function) {
    using box = detail::child_closure<std::decay_t<F>>;
    static_assert(alignof(box) <= 16, "over-aligned closures are not supported: capture a pointer");
    return start(*queue_->make<box>(std::forward<F>(function)));
  }

  // Waits until all children have finished, then rethrows the first exception of a child, if any. The
  // group can be used again afterwards. While less than half of the calling thread's stack is used, it runs
  // children of this group that have not started itself; then it blocks (announced). Throws std::system_error (EDEADLK)
  // before runtime::start() if there are children: nothing runs yet.
  void wait();

 private:
  template <class>
  friend struct detail::child_closure;
  friend class detail::item_access;

  bool start(detail::child& child) noexcept;
  void finish(std::exception_ptr error, std::uint32_t queued_in) noexcept;  // the callback of a child has ended
  void child_has_ended() noexcept;
  void keep_error(std::exception_ptr error) noexcept;
  [[nodiscard]] std::exception_ptr take_error() noexcept;
  bool wait_for_children() noexcept;
  bool wait_inside(detail::pool_workqueue& q) noexcept;
  bool keep(detail::child& child) noexcept;
  void run_kept_children() noexcept;
  bool run_children(detail::pool_workqueue& q) noexcept;
  bool run_children_of_all(detail::pool_workqueue& q) noexcept;
  void revive() noexcept;
  void begin_anew() noexcept;
  void sleep(const detail::group_wait* inside) noexcept;
  void call_back(detail::group_wait& w) noexcept;
  void nobody_is_called() noexcept;
  [[nodiscard]] bool has_children() const noexcept;
  [[nodiscard]] bool has_unstarted() const noexcept;
  void child_leaves_queue() noexcept;

  workqueue* queue_;
  alignas(4) std::uint32_t outstanding_ = 0;   // children not yet finished | waiter bits
  alignas(4) std::uint32_t unstarted_ = 0;     // children that wait in the queue
  alignas(4) std::uint32_t kept_ = 0;          // children that a worker keeps, or runs then: these are not outstanding
  alignas(4) std::uint32_t failed_ = 0;        // 0; error_ is written or taken just now; it is there
  alignas(4) std::uint32_t forks_ = 0;         // of the process that used it last
  detail::pool_workqueue* kept_in_ = nullptr;  // what that worker serves; valid for as long as kept_ is not 0
  std::exception_ptr error_;
};

template <class F>
void detail::child_closure<F>::init() noexcept {
  entry = [](item& self, item_op op) {
    auto* c = static_cast<child_closure*>(&self);
    task_group* const its_group = c->group;
    const std::uint32_t queued_in = c->forks;
    pool_workqueue& queue = queue_of_place(self.place);
    std::exception_ptr error;
    if (op == item_op::run) {
      try {
        c->function();
      } catch (...) {
        error = std::current_exception();
      }
    }
    c->~child_closure();
    closure_free(queue, c);
    its_group->finish(std::move(error), queued_in);
  };
}

}  // namespace wring
