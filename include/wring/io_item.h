// SPDX-License-Identifier: Apache-2.0
// io_item: what an io_pool runs. io_work: the caller's node, for layers above. io_task: one with a callable. io_call:
// one run of either, and how it makes calls that block.
#pragma once

#include <wring/identity.h>
#include <wring/version.h>

#include <sys/types.h>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

namespace wring {

class io_call;
class io_task;

namespace iowq {
class pool;
class worker;
}  // namespace iowq

namespace detail {
class io_item_access;

template <class F>
concept io_callable = std::is_invocable_v<F&, io_call&> || std::is_invocable_v<F&>;

template <class F>
decltype(auto) io_invoke(F& function, io_call& call) {
  if constexpr (std::is_invocable_v<F&, io_call&>) {
    return function(call);
  } else {
    return function();
  }
}
template <class F>
using io_result_t = decltype(io_invoke(std::declval<F&>(), std::declval<io_call&>()));
}  // namespace detail

// How an item is to be run.
struct io_item_options {
  // It may last for ever: it counts against the unbounded workers (IOWQ-20).
  bool unbounded = false;
  // Wants a worker of its own although another one runs and would come by (IOWQ-34).
  bool concurrent = false;
  // Items whose keys are in one bucket run one after another, over all pools of the domain; those of one kind and pool
  // in the order of enqueueing (IOWQ-50): say, writes to one file by the file's object. Null: no key.
  const void* key = nullptr;
  // What io_pool::cancel_tagged() looks for, and what stats show.
  const void* tag = nullptr;
  // The callable itself may be interrupted anywhere, and stands system calls that end with EINTR: no need of io_call.
  bool interruptible = false;
  // Who runs it; by default the worker.
  identity as = {};
};

// The caller's node of an item; wring allocates nothing for it. It must stay as it is from enqueue() until its pool's
// io_callbacks::free_work is called. All but construction and tag() belong to who owns it at the moment.
class WRING_EXPORT io_work {
 public:
  constexpr io_work() noexcept = default;
  explicit io_work(const io_item_options& options) noexcept { configure(options); }
  io_work(const io_work&) = delete;
  io_work& operator=(const io_work&) = delete;
  ~io_work() = default;

  // Takes over all of the options; not while it is enqueued.
  void configure(const io_item_options& options) noexcept;
  // Enqueued, it will only be failed (IOWQ-1).
  void cancel_before_enqueue() noexcept;

  [[nodiscard]] const void* tag() const noexcept { return tag_; }

 private:
  friend class detail::io_item_access;

  // Links of the list; flags and bucket.
  io_work* next_ = nullptr;
  io_work* prev_ = nullptr;
  alignas(8) std::uint64_t state_ = 0;
  const void* tag_ = nullptr;
  identity as_;
};
static_assert(sizeof(io_work) == 40);

// One run of an item, on the thread that runs it; the callable's argument. Its functions announce that the thread
// blocks, so another worker takes its place (IOWQ-45, IOWQ-46), and a cancellation interrupts them. What they return is
// the system call's result, or -errno; -ECANCELED: the item was cancelled before the call, or while it waited;
// -EOWNERDEAD: this is a process that the callable has forked, whose end is the end of the callable (IOWQ-U16). A call
// that was done, or done in part, is told as what it did.
class WRING_EXPORT io_call {
 public:
  io_call(const io_call&) = delete;
  io_call& operator=(const io_call&) = delete;

  // That of the calling thread; null: it runs no item.
  static io_call* current() noexcept;

  // The item was cancelled; a loop asks now and then.
  [[nodiscard]] bool cancelled() const noexcept;
  // Of io_callbacks::do_work: 0: run the item. Else fail it: -ECANCELED, -EPERM, -EOWNERDEAD. 0 in callables, which are
  // not called otherwise.
  [[nodiscard]] int refusal() const noexcept { return refusal_; }

  // Any system call by its number. A cancellation cannot miss it: one that comes between the last look at it and the
  // call keeps the call from being made (IOWQ-U3).
  long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept;
  ssize_t read(int fd, void* buffer, std::size_t bytes) noexcept;
  ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t offset) noexcept;
  // -EFBIG: nothing fits below the file size of the item's identity (IOWQ-U8); what fits in part is written in part.
  ssize_t write(int fd, const void* buffer, std::size_t bytes) noexcept;
  ssize_t pwrite(int fd, const void* buffer, std::size_t bytes, off_t offset) noexcept;

  // Runs `function()`, which calls what blocks and can be interrupted: functions of libraries that return when a system
  // call ends with EINTR. The signal is repeated while it is in there and its item is cancelled, so a call may be hit
  // late, by some milliseconds, but is hit. Not called if the item is cancelled: returns false. The rest is up to
  // `function`.
  template <class F>
    requires std::is_invocable_v<F&>
  bool interruptible(F&& function) {
    const guard inside{*this};
    if (!inside.entered()) return false;
    std::forward<F>(function)();
    return true;
  }

 private:
  friend class detail::io_item_access;
  class WRING_EXPORT guard {
   public:
    explicit guard(io_call& call) noexcept;
    ~guard();
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    [[nodiscard]] bool entered() const noexcept { return entered_; }

   private:
    io_call& call_;
    const bool entered_;
  };

  io_call(iowq::worker* worker, io_work& item, int refusal) noexcept;
  ~io_call();

  [[nodiscard]] iowq::worker* worker_here() const noexcept;

  iowq::worker* const worker_;  // null: fails an item in a thread that is no worker
  io_work& item_;
  const int refusal_;
};

// An item with a callable, for members of objects: never allocated, enqueued again and again. A `task` is declared
// last, is no base class, and its destructor cancels it and waits until it is over; so not in its own callable.
//
//   struct connection { int fd; wring::io_task reader{{.unbounded = true}, [this](wring::io_call& c) { serve(c); }}; };
class WRING_EXPORT io_task final : private io_work {
 public:
  // `function(io_call&)` or `function()`; returns nothing, or something that converts to long. At most 24 bytes,
  // nothrow movable. If it throws, the process ends, after a line that names the pool.
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, io_task> && detail::io_callable<std::decay_t<F>>)
  explicit io_task(const io_item_options& options, F&& function) noexcept : io_work{options} {
    using stored = std::decay_t<F>;
    static_assert(sizeof(stored) <= capacity && alignof(stored) <= 8 && std::is_nothrow_move_constructible_v<stored>,
                  "wring::io_task holds callables of at most 24 bytes that move without throwing: capture a pointer to "
                  "your object, or use io_pool::submit(), which stores callables of any size");
    ::new (static_cast<void*>(bytes_)) stored(std::forward<F>(function));
    entry_ = [](io_task& self, io_call* call) -> long {
      stored& f = *std::launder(reinterpret_cast<stored*>(self.bytes_));
      if (call == nullptr) {
        f.~stored();
      } else if constexpr (std::is_convertible_v<detail::io_result_t<stored>, long>) {
        return static_cast<long>(detail::io_invoke(f, *call));
      } else {
        detail::io_invoke(f, *call);
      }
      return 0;
    };
  }
  ~io_task() {
    quiesce();
    entry_(*this, nullptr);
  }
  io_task(const io_task&) = delete;
  io_task& operator=(const io_task&) = delete;

  // When this one is over, `next` runs: if this one's callable returned 0 or more; else, and if it was refused, `next`
  // fails with ECANCELED, and so does what depends on it (IOWQ-61). Before enqueue() of this one, which is what
  // enqueues `next`; for one run. At most one each. Returns `next`.
  io_task& then(io_task& next) noexcept;
  // The same, whatever came of this one.
  io_task& then_anyway(io_task& next) noexcept;

  // Waits until it is over; announced if the caller is a callback of wring. Of one that was never enqueued: returns.
  void wait() noexcept;
  bool wait_for(std::chrono::nanoseconds limit) noexcept;
  // What the callable returned, 0 if that is nothing; or -ECANCELED, -EPERM, -EOWNERDEAD. Valid once it is over.
  [[nodiscard]] long value() const noexcept { return value_; }
  // Advisory: enqueued and not over.
  [[nodiscard]] bool busy() const noexcept;
  // As io_pool::cancel() of this item, in whatever pool it is. True: it waited, and is over now.
  bool cancel() noexcept;

 private:
  friend class detail::io_item_access;
  static constexpr std::size_t capacity = 24;
  void quiesce() noexcept;

  using entry_point = long (*)(io_task&, io_call*);  // null: destroys the callable
  entry_point entry_ = nullptr;
  iowq::pool* pool_ = nullptr;          // it was enqueued in last
  std::uintptr_t then_ = 0;             // the next one; lowest bit: anyway
  alignas(4) std::uint32_t phase_ = 0;  // idle, busy or waited for, and how many forks there were then
  long value_ = 0;
  alignas(8) unsigned char bytes_[capacity];
};

namespace detail {

// A closure that wring owns: made by submit(), destroyed when it is over.
struct io_closure_base : io_work {
  using entry_point = void (*)(io_closure_base&, io_call*, int error);
  entry_point entry = nullptr;  // with a call: runs; else destroys, telling `error`
};

WRING_EXPORT void io_closure_free(void* closure) noexcept;

template <class F, class Done>
struct io_closure final : io_closure_base {
  template <class G, class D>
  io_closure(G&& f, D&& d) : function(std::forward<G>(f)), done(std::forward<D>(d)) {
    entry = [](io_closure_base& self, io_call* call, int error) {
      auto* const c = static_cast<io_closure*>(&self);
      if (call != nullptr) {
        io_invoke(c->function, *call);
        return;
      }
      Done told = std::move(c->done);
      c->~io_closure();
      io_closure_free(c);
      told(error != 0 ? std::error_code{-error, std::system_category()} : std::error_code{});
    };
  }
  F function;
  Done done;
};

}  // namespace detail

}  // namespace wring
