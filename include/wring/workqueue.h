// SPDX-License-Identifier: Apache-2.0
// workqueue: where work is queued. It owns no threads; many queues share few pools of workers (WQ-5..8).
#pragma once

#include <wring/attributes.h>
#include <wring/future.h>
#include <wring/result.h>
#include <wring/runtime.h>
#include <wring/stats.h>
#include <wring/version.h>
#include <wring/work.h>

#include <chrono>
#include <cstdint>
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
class registry;
class child;

// Storage of one-off closures: recycled blocks, no malloc per call in steady state.
WRING_EXPORT void* closure_allocate(pool_workqueue& q, std::size_t bytes);
WRING_EXPORT void closure_free(pool_workqueue& q, void* closure) noexcept;
// The queue that took the closure; `place` is item::place.
WRING_EXPORT pool_workqueue& queue_of_place(std::uint64_t place) noexcept;

// A queue as it was at one moment, for components beside the library whose items reach it later (wring/rcu.h). It may
// be asked after the queue's end, but not after that of its runtime.
class WRING_EXPORT queue_for_later {
 public:
  constexpr queue_for_later() noexcept = default;
  explicit queue_for_later(workqueue& q) noexcept;
  // Whether it takes an item of the caller's at the moment; if not, that counts as a refused item (WQ-46).
  [[nodiscard]] bool accepts() const noexcept;
  // As workqueue::queue() of the thread that made this. False also: the queue has been destroyed, which is warned about
  // in the name of `kind`.
  bool queue(work& item, const char* kind) const noexcept;
  // To the handler of its runtime; returns if that does.
  void misuse(const char* what) const;
  // How many forks lie between the first process of the program and this one.
  static std::uint32_t forks() noexcept;

 private:
  pool_workqueue* queue_ = nullptr;
  std::uint64_t generation_ = 0;
};

// Of several callees at once, the exception that came first.
class WRING_EXPORT first_error {
 public:
  void keep(std::exception_ptr error) noexcept;
  void rethrow() const;  // if there is one; all callees have ended

 private:
  alignas(4) std::uint32_t kept_ = 0;
  std::exception_ptr error_;
};

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
  // A pool for each CPU the process may run on, with workers bound to it. An item goes to the caller's CPU, or
  // that of queue_on(). On each CPU one callback runs at a time; when it blocks, the next one starts (WQ-71..75).
  // max_active counts on each CPU. A worker that cannot be bound runs on any CPU, and its pool stays what it is; that
  // is said once (WQ-U7). Not together with ordered, unmanaged or attributes.
  bool per_cpu = false;
  // On which CPUs, and with which priority, its items run; not together with per_cpu. If the scope divides the queue, a
  // max_active that was given is shared among the pods by their CPUs, at least min_active each (WQ-23), else each pod
  // has all of it; and items start in order within a pod only. An ordered queue is never divided.
  workqueue_attributes attributes = {};
  // Workers of their own, with nice -20 where the system lets them have it; else they run like the others, which
  // is said once (WQ-25, WQ-U6). Normal and high priority do not look at one another's load.
  bool high_priority = false;
  // Run to completion (WQ-31, the kernel's WQ_BH): on each CPU one thread runs the callbacks of all such queues, one at
  // a time, those of a queue in order. They must not block: a blocking_scope in them, or a wait of wring, is misuse.
  // For the many short ends of something. Only high_priority may come with it; max_active must be 0, there is no limit.
  bool bh = false;
  // Unbound if the process says that it saves power (runtime_options::power_efficient), else per_cpu (WQ-29). Not
  // together with ordered, unmanaged or attributes.
  bool power_efficient = false;
  // Takes part in runtime::freeze_begin() (WQ-27).
  bool freezable = false;
  // Callbacks of this per-CPU queue use much CPU time: while one runs, others of that CPU start all the same
  // (WQ-26). Without per_cpu it does nothing.
  bool cpu_intensive = false;
  // The queue has a thread of its own, its rescuer, from the beginning, or it is not made (WQ-28; the kernel's
  // WQ_MEM_RECLAIM). It runs items of this queue, one after another, while its pool has no idle worker and can get
  // none: the system refuses threads, or `max_workers` exist and are blocked. So these items always finish, if what
  // they wait for does; several that wait for each other need more than one thread. Its stack is in memory from the
  // start, but for the last 32 KiB (runtime_options::stack_bytes). At most 256 such queues on each CPU, node, or for
  // all others.
  bool rescuer = false;
  // What create_workqueue() and its kin set (wring/legacy.h): if its callbacks wait for queues without a rescuer,
  // although it has one, that is not warned about (WQ-33, WQ-86).
  bool legacy = false;
  wring::on_exception on_exception = wring::on_exception::terminate;
  error_handler on_error = nullptr;
  void* error_context = nullptr;
};

// Any thread may call anything but the destructor. queue(), submit() and cancel never block and take no
// lock that is held for long.
class WRING_EXPORT workqueue {
 public:
  // Throws std::system_error if the options are not valid (EINVAL) or the runtime cannot start (EAGAIN).
  explicit workqueue(const workqueue_options& options = {});
  workqueue(runtime& where, const workqueue_options& options);
  static result<workqueue> create(const workqueue_options& options = {});
  static result<workqueue> create(runtime& where, const workqueue_options& options);
  // Drains, then gives everything back (WQ-34). From a callback of this queue: misuse (WQ-35). Before runtime::start():
  // if something is queued, the runtime is started, with a warning.
  ~workqueue();
  workqueue(workqueue&&) noexcept;
  workqueue& operator=(workqueue&&) = delete;

  // Queues the item. False, and nothing changes: it is pending already, is being cancelled, or the
  // queue is being drained or destroyed (WQ-40, WQ-46; the latter with one warning).
  bool queue(work& item) noexcept;
  // As queue() after `delay` of steady time, never earlier (WQ-50, WQ-53); 0 or less queues at once.
  // False when pending; the pending delay is then not changed (WQ-51).
  bool queue_delayed(delayed_work& item, std::chrono::nanoseconds delay) noexcept;
  // As queue(), on that CPU's pool of a per-CPU queue, or on that of its node. A CPU the process may not use: on some
  // other (WQ-43). A CPU that does not exist: misuse, false. On a queue that is not divided as queue().
  bool queue_on(unsigned cpu, work& item) noexcept;
  bool queue_delayed_on(unsigned cpu, delayed_work& item, std::chrono::nanoseconds delay) noexcept;
  // As queue(), on the pool of that NUMA node, of a queue that is divided so: the caller's CPU if it is on that node,
  // else its first one, else, without CPUs of that node, as queue() (WQ-42). On a per-CPU queue it warns once and takes
  // a CPU of that node; on a queue that is not divided as queue().
  bool queue_near(unsigned node, work& item) noexcept;
  // Queues now (for queue_delayed's items with delay 0).
  bool queue(delayed_work& item) noexcept { return queue_delayed(item, std::chrono::nanoseconds::zero()); }
  // Sets the delay whether pending or not (WQ-52); of a divided queue, on the caller's CPU. True: it was pending;
  // false: it was idle and is queued now (or could not be: it is being cancelled, or the queue is being destroyed).
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

  // As submit(), on that CPU; see queue_on().
  template <class F>
    requires std::is_invocable_v<std::decay_t<F>&>
  bool submit_on(unsigned cpu, F&& function) {
    using box = detail::closure<std::decay_t<F>>;
    static_assert(alignof(box) <= 16, "over-aligned closures are not supported: capture a pointer");
    return submit_closure_on(cpu, *make<box>(std::forward<F>(function)));
  }

  // Runs `function()` in a worker of that CPU, waits, and returns its value or throws what it throws (WQ-49). Throws
  // std::system_error: ENODEV, the process may not use that CPU, or this is no per-CPU queue; ECANCELED, the queue
  // refused it; EDEADLK, nothing runs before runtime::start(), or, after a report of misuse, the caller is the one
  // callback that may run there (max_active 1).
  // From a callback it counts as blocking.
  template <class F>
    requires std::is_invocable_v<F&>
  auto run_on(unsigned cpu, F&& function) -> std::invoke_result_t<F&>;

  // Runs `function(cpu)`, or `function()`, once in a worker of each CPU that the queue uses, at the same time, and
  // returns when all have finished (WQ-47). Rethrows the first exception. Errors and blocking as run_on().
  template <class F>
    requires std::is_invocable_v<F&, unsigned> || std::is_invocable_v<F&>
  void run_on_each_cpu(F&& function);

  // Waits until everything queued before the call has finished; later items are not waited for (WQ-84).
  // False, without waiting: called from a callback of this queue (misuse, WQ-86), or before runtime::start() (WQ-145).
  bool flush() noexcept;
  // Refuses new items from outside and waits until the queue is empty, chained items included (WQ-90). A
  // delayed item that comes due meanwhile is refused too and becomes idle, with a warning (WQ-46).
  // False, without waiting: called from a callback of this queue (misuse), or before runtime::start().
  bool drain() noexcept;

  // Changes workqueue_options::max_active of the living queue; 1..2048, clamped with a warning (WQ-127). More: items
  // that wait start at once. Fewer: those that run go on, and the next ones wait. A min_active above it is lowered to
  // it. False, with a warning: an ordered queue runs one item at a time for ever.
  bool set_max_active(unsigned max_active);
  // The least share of max_active that each pod of a divided queue has, so many items may depend on one another without
  // a deadlock: 0..max_active, clamped; at first 8 (WQ-23, WQ-24). A queue that is not divided has all of max_active in
  // one place. False, with a warning: the queue is per_cpu or ordered.
  bool set_min_active(unsigned min_active);

  // From now on items go where the attributes say; those that are queued or run already end where they are, and a
  // callback that queues its own item while it runs keeps it there. An ordered queue keeps its order: what is queued
  // after the call waits until all before it has ended (WQ-114, WQ-115). Of other queues, what is left in the old pools
  // and what is in the new ones may together be more than max_active. Throws std::system_error (EINVAL: a value out
  // of range, a CPU that does not exist, or the queue is per_cpu; EAGAIN: no worker, or no place for the queue's
  // rescuer; ECANCELED: the queue or its runtime ends) or std::bad_alloc; then nothing has changed. Any
  // thread.
  void set_attributes(const workqueue_attributes& attributes);
  [[nodiscard]] workqueue_attributes attributes() const;

  [[nodiscard]] workqueue_stats stats() const;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] runtime& owner() const noexcept;

 private:
  friend class task_group;
  friend class detail::registry;
  friend class detail::queue_for_later;
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
  bool submit_closure_on(unsigned cpu, detail::item& closure) noexcept;
  void run_bound(const unsigned* cpu, void (*call)(void* context, unsigned cpu), void* context);

  detail::pool_workqueue* pwq_ = nullptr;  // null after a move
};

template <class F>
  requires std::is_invocable_v<std::decay_t<F>&>
auto workqueue::submit_for_result(F&& function) -> future<std::invoke_result_t<std::decay_t<F>&>> {
  using value = std::invoke_result_t<std::decay_t<F>&>;
  promise<value> answer;
  answer.comes_from(*pwq_);
  future<value> result = answer.get_future();
  submit([answer = std::move(answer), function = std::decay_t<F>(std::forward<F>(function))]() mutable noexcept {
    answer.set_from(function);
  });
  return result;
}

// The callee runs on other threads, but not longer than the call.
template <class F>
  requires std::is_invocable_v<F&>
auto workqueue::run_on(unsigned cpu, F&& function) -> std::invoke_result_t<F&> {
  using value = std::invoke_result_t<F&>;
  promise<value> answer;
  future<value> result = answer.get_future();
  auto call = [&] { answer.set_from(function); };
  run_bound(
      &cpu, [](void* context, unsigned) { (*static_cast<decltype(call)*>(context))(); }, &call);
  return result.get();
}

template <class F>
  requires std::is_invocable_v<F&, unsigned> || std::is_invocable_v<F&>
void workqueue::run_on_each_cpu(F&& function) {
  detail::first_error error;
  auto call = [&](unsigned cpu) noexcept {
    try {
      if constexpr (std::is_invocable_v<F&, unsigned>) {
        function(cpu);
      } else {
        function();
      }
    } catch (...) {
      error.keep(std::current_exception());
    }
  };
  run_bound(
      nullptr, [](void* context, unsigned cpu) { (*static_cast<decltype(call)*>(context))(cpu); }, &call);
  error.rethrow();
}

}  // namespace wring
