// SPDX-License-Identifier: Apache-2.0
// io_pool: threads for calls that block. It grows while its workers wait, up to a limit, and shrinks when they are
// idle.
//
// Short of that it is no faster than anything else: work that computes belongs on a workqueue. An io_pool knows two
// kinds of items: bounded ones end in limited time (files, block devices), unbounded ones may last for ever (sockets,
// pipes). Each kind has workers and a limit of its own, so neither can starve the other (IOWQ-20, IOWQ-21). Items with
// a key run one after another; an item may run as its submitter, and can be cancelled while it runs.
#pragma once

#include <wring/future.h>
#include <wring/identity.h>
#include <wring/io_item.h>
#include <wring/io_stats.h>
#include <wring/result.h>
#include <wring/runtime.h>
#include <wring/version.h>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace wring {

class io_pool;
struct io_pool_options;

namespace iowq {
class pool;
class domain;
struct user_account;
}  // namespace iowq

// Who makes the worker that takes the place of one that blocks (IOWQ-41b).
enum class io_creation : std::uint8_t {
  // The worker itself, before it blocks; or, while it has an identity that is not its own, the runtime's timekeeper.
  by_worker,
  // The owner, when it next enqueues, sets limits or calls run_notes(): for owners that come by often and want nobody
  // else to make threads before the end.
  by_owner,
};

// How a pool is built (spec names: T and N).
enum class io_profile : std::uint8_t {
  // Two queues, of bounded and of unbounded items, with workers of their own, which their submitters and they
  // themselves make.
  task,
  // A queue for each NUMA node, where the items of who runs on that node wait. Its workers stay on the node and take
  // either kind. One thread, the manager, makes them; the first one of each node before the constructor returns, and
  // that one stays. Limits are for each node.
  node,
};

// Of both kinds of items. 0: as it is.
struct io_limits {
  unsigned bounded = 0;
  unsigned unbounded = 0;
};

// Who is told of items that were enqueued as they are, for layers above (IOWQ-2). All three are called without locks,
// by a worker, or by the thread that enqueued or cancelled the item, or ends the pool. They must not throw.
struct io_callbacks {
  // Once for each item. `call.refusal()` is 0, or the item must only be failed, soon, and with that error.
  void (*do_work)(io_work& item, io_call& call, void* context) = nullptr;
  // Once for each item, after do_work. The pool has forgotten the item. What it returns depends on the item and runs
  // now: by the same worker, or enqueued if it is hashed (IOWQ-61).
  io_work* (*free_work)(io_work& item, void* context) = nullptr;
  void* context = nullptr;
};

// Buckets of serialised items, and limits, that pools share (IOWQ-6, IOWQ-100): what pools of several threads have in
// common that work on the same files. A handle: copies name the same. It lives as long as a copy or a pool of it.
class WRING_EXPORT hash_domain {
 public:
  static constexpr unsigned buckets = 64;

  // Throws std::bad_alloc.
  hash_domain();
  explicit hash_domain(runtime& where);

  // The bucket of a key; different keys may share one. Never fails.
  [[nodiscard]] static constexpr unsigned bucket_of(const void* key) noexcept {
    return static_cast<unsigned>((std::bit_cast<std::uintptr_t>(key) * std::uint64_t{0x9E37'79B9'7F4A'7C15}) >> 58);
  }

  // The calling thread's own pool of this domain, made at its first call with the options that set_options() left, and
  // ended when the thread ends: what it has not started is cancelled, what runs is cancelled and waited for (IOWQ-14,
  // IOWQ-U13). It may outlive its runtime, which ends it then; but the two must not end at the same time. Throws
  // std::system_error as io_pool's constructor, and ECANCELED if the runtime is gone.
  io_pool& this_threads_pool();
  // For those that are made from now on; `domain` in it is ignored. Throws std::system_error (EINVAL).
  void set_options(const io_pool_options& options);

  // As io_pool::max_workers(), of all its pools, those that are still to come included.
  io_limits max_workers(io_limits wanted);
  // As io_pool::set_affinity(), likewise. Throws std::system_error (EINVAL): one that its runtime may not use;
  // what the owner of a pool may not use is left out there.
  void set_affinity(const std::vector<unsigned>& cpus);
  // A bit for each bucket of which an item runs.
  [[nodiscard]] std::uint64_t busy() const noexcept;

 private:
  friend class io_pool;
  explicit hash_domain(std::shared_ptr<iowq::domain> impl) noexcept : impl_{std::move(impl)} {}
  std::shared_ptr<iowq::domain> impl_;
};

// A user of whom pools of io_profile::node take their workers of unbounded items: what counts them over several pools
// (IOWQ-12, IOWQ-22). A handle: copies name the same.
class WRING_EXPORT io_user {
 public:
  // So many workers, at least 1 and at most what RLIMIT_NPROC grants, which is the default. Throws std::bad_alloc.
  io_user();
  explicit io_user(unsigned granted);
  [[nodiscard]] unsigned granted() const noexcept;
  // Workers for unbounded items that exist now, in this process. granted() is the most on each node of each pool; over
  // several, and for who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN, it is only asked for when an item would have to wait.
  [[nodiscard]] unsigned charged() const noexcept;

 private:
  friend struct iowq::user_account;
  std::shared_ptr<iowq::user_account> impl_;
};

struct io_pool_options {
  static constexpr unsigned by_default = ~0U;

  // For people. Threads are named after the owner, "io-wrk-4711" (IOWQ-42).
  std::string_view name = "io";
  // So many items will be in flight; a queue's length, where there is one. Only the default of `bounded` looks at it.
  unsigned queue_size = by_default;
  // Workers of bounded items, at least 1; by default min(queue_size, 4 x CPUs).
  unsigned bounded = by_default;
  // Workers of unbounded items, at least 1; by default as many as RLIMIT_NPROC and hard_cap allow.
  unsigned unbounded = by_default;
  // No limit is above that, whoever sets it: threads cost memory here. At most 32,768.
  unsigned hard_cap = 1024;
  // An idle worker leaves after so long, if it is not the last one (IOWQ-47).
  std::chrono::milliseconds idle_timeout{5'000};
  // by_owner only in io_profile::task.
  io_creation creation = io_creation::by_worker;
  io_profile profile = io_profile::task;
  // io_profile::node: who is charged for workers of unbounded items. An item of that kind fails with ECANCELED if
  // nobody could run it, the user has as many as are granted, and the caller has not the privilege to exceed that; and,
  // which is reported once, if there is no user. Otherwise without meaning.
  const io_user* user = nullptr;
  // Shared with other pools; null: its own.
  const hash_domain* domain = nullptr;
  // Of layers above; without them only the closures and tasks of this header can be enqueued.
  io_callbacks callbacks = {};
  // Interrupts a call that blocks when its item is cancelled; workers have all others blocked, but those that tell of a
  // fault (SIGSEGV and its kin). 0: SIGRTMAX - 3. It is the same for all pools of the process: the first one decides,
  // and others that ask for another are refused (EINVAL). EBUSY: the program handles or ignores that signal.
  int interrupt_signal = 0;
};

// What came of a cancellation (IOWQ-80).
enum class io_cancel : std::uint8_t {
  done,       // found before it started, and failed in the calling thread; of several: all that were found
  running,    // at least one runs: it has been told, and its call interrupted if it is interruptible; its end follows
  not_found,  // nothing of that kind waits or runs
};
enum class io_which : std::uint8_t { first, all };

// Any thread may call anything but the destructor. enqueue() and submit() never wait for an item; they may create a
// thread, which takes some 20 us. The fate of an item: it is run once, or failed once with an error, and then it is
// over, whatever happens to the pool (IOWQ-64).
class WRING_EXPORT io_pool {
 public:
  // The caller is the owner. Throws std::system_error: EINVAL (options out of range, one callback without the other,
  // another interrupt_signal than that of the process), EBUSY (interrupt_signal), ENOMEM (io_profile::node: its manager
  // or a first worker was refused; nothing is left of it, IOWQ-11), EPERM (io_profile::node, made by an item with an
  // identity, who all its workers would be); or std::bad_alloc.
  explicit io_pool(const io_pool_options& options = {});
  io_pool(runtime& where, const io_pool_options& options);
  static result<io_pool> create(const io_pool_options& options = {});
  static result<io_pool> create(runtime& where, const io_pool_options& options);
  // exit_start(), then waits until all its threads have ended (IOWQ-90..92). From a callback of its own: misuse, and it
  // is leaked.
  ~io_pool();
  io_pool(io_pool&&) noexcept;
  io_pool& operator=(io_pool&&) = delete;

  // ---- items of the caller's (wring/io_item.h) ----

  // A worker will run it. False: it has been failed, in this thread: with ECANCELED, because the pool ends, the item is
  // cancelled already or no worker can be had; or, in a forked child of the process that made the pool, with EOWNERDEAD
  // (IOWQ-U16). Nothing else may be done with the item until it is over.
  bool enqueue(io_work& item) noexcept;
  // Also resets a task that is over, so that it can run again.
  bool enqueue(io_task& task) noexcept;

  // ---- closures ----

  // Runs `function()` or `function(io_call&)` once, as `options` say. False as enqueue(): it is destroyed without a
  // run. An exception that it throws ends the process, after a line that names the pool. Throws std::bad_alloc, and
  // what copying the callable throws.
  template <class F>
    requires detail::io_callable<std::decay_t<F>>
  bool submit(const io_item_options& options, F&& function) {
    return submit(options, std::forward<F>(function), [](std::error_code) noexcept {});
  }
  template <class F>
    requires detail::io_callable<std::decay_t<F>>
  bool submit(F&& function) {
    return submit(io_item_options{}, std::forward<F>(function));
  }
  // The same, and calls `done(error)` once when it is over: no error, it has run; ECANCELED, EPERM (the identity was
  // refused), EOWNERDEAD: it has not. As whom `done` runs is not said; it must not throw.
  template <class F, class Done>
    requires detail::io_callable<std::decay_t<F>> && std::is_invocable_v<std::decay_t<Done>&, std::error_code>
  bool submit(const io_item_options& options, F&& function, Done&& done) {
    using box = detail::io_closure<std::decay_t<F>, std::decay_t<Done>>;
    static_assert(alignof(box) <= 16, "over-aligned closures are not supported: capture a pointer");
    return submit_closure(*make<box>(std::forward<F>(function), std::forward<Done>(done)), options);
  }
  // The future has the value or the exception; or std::system_error with the error that `done` would have been told.
  template <class F>
    requires detail::io_callable<std::decay_t<F>>
  auto submit_for_result(const io_item_options& options, F&& function) -> future<detail::io_result_t<std::decay_t<F>>> {
    using value = detail::io_result_t<std::decay_t<F>>;
    auto answer = std::make_shared<promise<value>>();
    future<value> result = answer->get_future();
    submit(
        options,
        [answer, function = std::decay_t<F>(std::forward<F>(function))](io_call& call) mutable noexcept {
          auto run = [&] { return detail::io_invoke(function, call); };
          answer->set_from(run);
        },
        [answer](std::error_code error) noexcept {
          if (!error) return;
          auto refuse = [error]() -> value { throw std::system_error{error}; };
          answer->set_from(refuse);
        });
    return result;
  }
  template <class F>
    requires detail::io_callable<std::decay_t<F>>
  auto submit_for_result(F&& function) -> future<detail::io_result_t<std::decay_t<F>>> {
    return submit_for_result(io_item_options{}, std::forward<F>(function));
  }

  // ---- cancelling ----

  // First what waits, then what runs. `match(item)` is called under a lock for items that wait or run: it must be
  // quick, not throw, and not call the pool; what waits and matches is failed in this thread with ECANCELED, after the
  // lock. Never waits. An item that waits in a call which the system does not interrupt, or that does not ask, goes on.
  template <class Match>
    requires std::is_nothrow_invocable_r_v<bool, Match&, const io_work&>
  io_cancel cancel(Match&& match, io_which which = io_which::first) noexcept {
    // A const callable is called as one.
    using match_type = std::remove_reference_t<Match>;
    return cancel_if([](const io_work& item, void* m) noexcept -> bool { return (*static_cast<match_type*>(m))(item); },
                     const_cast<std::remove_const_t<match_type>*>(std::addressof(match)), which);
  }
  // The items with this tag (io_item_options::tag).
  io_cancel cancel_tagged(const void* tag, io_which which = io_which::first) noexcept {
    return cancel([tag](const io_work& item) noexcept { return item.tag() == tag; }, which);
  }
  io_cancel cancel(const io_work& item) noexcept {
    return cancel([&item](const io_work& other) noexcept { return &other == &item; });
  }
  // All that wait and run now.
  io_cancel cancel_all() noexcept;
  // The same, and all that comes later fails with ECANCELED, too (IOWQ-84). What is left is to end the pool.
  io_cancel cancel_for_good() noexcept;

  // ---- limits ----

  // Sets the limits that are not 0, clamped to that of the process and to io_pool_options::hard_cap, and
  // returns those before (IOWQ-100). Nobody is made to leave; new ones are made when they are needed. The
  // other pools of its domain get them too, those that are still to come included.
  io_limits max_workers(io_limits wanted);
  // The CPUs of its workers, by number: of new ones at once; those that are elsewhere leave at the end of their next
  // idle time. None: all that the owner may use. Throws std::system_error (EINVAL): one that it may not (IOWQ-101).
  void set_affinity(const std::vector<unsigned>& cpus);
  // True: workers leave as soon as they are idle, the last one too, until something is enqueued (IOWQ-48): for
  // checkpoints, and pools that rest for long. In io_profile::node the first worker of each node stays.
  void exit_on_idle(bool leave) noexcept;
  // io_creation::by_owner: makes the workers that it owes. Otherwise, and from other threads, does nothing. How many.
  unsigned run_notes() noexcept;

  // ---- the end ----

  // From now on what is enqueued fails, what waits and is unbounded fails, and what runs and is unbounded is cancelled.
  // Bounded items that wait run still. Does not wait (IOWQ-90).
  void exit_start() noexcept;
  // exit_start(), and waits up to `limit` for the threads to end. False: some are in items that do not end, which
  // stats() names; it may be called again. From a callback of its own: misuse, false.
  bool end(std::chrono::nanoseconds limit) noexcept;

  [[nodiscard]] io_pool_stats stats() const;
  // For people: accounts, workers and what each one runs.
  [[nodiscard]] std::string describe() const;
  // Recounts everything that is kept in two places; aborts with a description if they differ. For tests.
  void audit() const;
  [[nodiscard]] hash_domain domain() const noexcept;
  [[nodiscard]] runtime& owner() const noexcept;

 private:
  friend class hash_domain;
  explicit io_pool(std::unique_ptr<iowq::pool> impl) noexcept;

  template <class Box, class... Args>
  Box* make(Args&&... args) {
    void* const storage = allocate(sizeof(Box));
    try {
      return ::new (storage) Box(std::forward<Args>(args)...);
    } catch (...) {
      detail::io_closure_free(storage);
      throw;
    }
  }
  void* allocate(std::size_t bytes);
  bool submit_closure(detail::io_closure_base& closure, const io_item_options& options) noexcept;
  io_cancel cancel_if(bool (*match)(const io_work&, void*), void* context, io_which which) noexcept;

  std::unique_ptr<iowq::pool> impl_;  // null after a move
};

}  // namespace wring
