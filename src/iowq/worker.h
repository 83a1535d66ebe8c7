// SPDX-License-Identifier: Apache-2.0
// worker: one thread of a queue: takes items, runs them, parks, leaves. It can be told that its item is cancelled, and
// its calls can be interrupted.
//
// word_: bit 0 open (it may be interrupted), 1 cancelled, 2 blocked (announced), 3 seen_waiting (by a look), upper
// half: the number of its item, its turn. It counts as running while neither bit 2 nor bit 3 is set. Threads: as said.
// Locks: mu_ (rank io_worker). Transitions and their proofs: README.md, 2 and 6.
#pragma once

#include "base/interruptible.h"
#include "base/mutex.h"
#include "base/parker.h"
#include "base/timer_wheel.h"
#include "iowq/item.h"
#include "iowq/queue.h"
#include "iowq/wardrobe.h"
#include "sched/counted_thread.h"

#include <string>

namespace wring::iowq {

class worker : public sched::counted_thread {
 public:
  static constexpr std::uint64_t open = 1;
  static constexpr std::uint64_t cancelled = base::call_cancelled;
  static constexpr std::uint64_t blocked = 4;
  static constexpr std::uint64_t seen_waiting = 8;

  worker() noexcept;
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // That of the calling thread; null: it is none.
  [[nodiscard]] static worker* current() noexcept { return slot::get(); }

  // ---- its queue, with its lock ----
  void begin_life(queue& home, account_kind of) noexcept;
  // What it took: `first`, and what it holds behind that, of the bucket.
  static constexpr unsigned no_bucket = ~0U;
  void take(io_work& first, work_list& rest, unsigned bucket) noexcept;
  // What it has taken and not begun, for give_back().
  struct unbegun {
    unsigned bucket;
    bool counted;  // until now
  };
  unbegun put_back(work_list& out) noexcept;
  // C2, E3.
  bool tell_if(const matcher& match) noexcept;
  void unlink_held(const matcher& match, io_which which, work_list& out) noexcept;
  // Its item waits in the kernel, or does not any more, as a look says. True: it has left the count, or joined it.
  enum class looked : std::uint8_t { same, left, joined };
  [[nodiscard]] looked look() noexcept;
  bool is_free = false;   // on the list of the idle ones
  bool is_fixed = false;  // never leaves (IOWQ-44)
  account_kind kind{};    // whose worker it is; read by itself, too, which changes it
  worker* next_all = nullptr;
  worker* prev_all = nullptr;
  worker* next_free = nullptr;
  worker* prev_free = nullptr;

  // ---- its queue, without it ----
  int start() noexcept;  // its thread: 0 or -errno
  // By who has made its thread, and by that at its end: the second of the two gives it to the pool, which joins it.
  void let_go() noexcept;
  void join() noexcept { base::thread_join(thread_); }
  void wake() noexcept { parker_.unpark(); }
  [[nodiscard]] bool wears_something() const noexcept { return wardrobe_->worn() != nullptr; }
  [[nodiscard]] unsigned last_cpu() const noexcept { return last_cpu_; }

  // ---- itself (guard.cc) ----
  // Around a call: `open` and `blocked`, or one of them. False: the item is cancelled, so the call is not to be made;
  // leave() is owed all the same.
  [[nodiscard]] bool enter(std::uint64_t bits) noexcept;
  void leave(std::uint64_t bits) noexcept;
  void enter_blocking() noexcept override { static_cast<void>(enter(blocked)); }
  void leave_blocking() noexcept override { leave(blocked); }
  long call(const base::call_arguments& arguments) noexcept { return interruptee_.call(word_, arguments); }
  [[nodiscard]] bool is_cancelled() const noexcept { return (word_.load(base::order::relaxed) & cancelled) != 0; }
  // Threads that it makes are not what it wears, and do not share its folder.
  [[nodiscard]] bool may_make_threads() const noexcept { return wardrobe_ == nullptr || wardrobe_->may_make_threads(); }
  [[nodiscard]] queue& home() const noexcept { return *home_; }
  io_call* present_call = nullptr;

  // The calling thread, which is it, is none any more: at its end, or in a forked child.
  static void forget_thread() noexcept;
  [[nodiscard]] io_worker_stats stats() const;
  [[nodiscard]] std::uint32_t thread_id() const noexcept { return tid_.load(base::order::relaxed); }
  [[nodiscard]] bool counts() const noexcept { return is_counted(word_.load(base::order::relaxed)); }
  [[nodiscard]] unsigned held() const noexcept;
  worker* next_ended = nullptr;  // of the pool's list, guarded by it

 private:
  using slot = base::thread_slot<worker, worker>;
  static constexpr unsigned turn_shift = 32;
  static constexpr bool is_counted(std::uint64_t word) noexcept { return (word & (blocked | seen_waiting)) == 0; }

  static void main(void* self);
  void run() noexcept;
  [[nodiscard]] bool park() noexcept;
  // False: it cannot go on, as what it wears cannot be taken off.
  [[nodiscard]] bool run_chain() noexcept;
  [[nodiscard]] bool dress_for(io_work& it, int& refusal) noexcept;
  io_work* run_item(io_work& it, int refusal) noexcept;
  void end_item() noexcept;
  io_work* next_held() noexcept;
  void publish(io_work& it) noexcept;
  void take_place() noexcept;
  void take_cpus() noexcept;
  void take_interrupts() noexcept;
  void tell() noexcept WRING_REQUIRES(mu_);
  void await_repeat() noexcept;
  static void repeat(base::timer& t);

  // Constant during a life.
  queue* home_ = nullptr;
  char name_[16] = {};

  base::thread thread_;
  base::parker parker_;
  base::interruptee interruptee_;
  detail::wardrobe* wardrobe_ = nullptr;  // the thread's
  base::atomic<std::uint64_t> word_{0};
  base::atomic<std::uint32_t> tid_{0};
  base::atomic<std::uint32_t> holders_{0};  // of let_go()
  unsigned bucket_ = no_bucket;             // of its chain; itself, after take()
  unsigned blocking_depth_ = 0;             // itself
  unsigned open_depth_ = 0;
  unsigned last_cpu_ = 0;    // when it parked last
  std::uint32_t moved_ = 0;  // pool::moves(), when it last went to its CPUs

  mutable base::mutex mu_{base::rank::io_worker};
  io_work* current_ WRING_GUARDED_BY(mu_) = nullptr;  // filled with the queue's lock, too
  work_list held_ WRING_GUARDED_BY(mu_);              // likewise; the rest of its chain
  base::instant began_ WRING_GUARDED_BY(mu_){};
  base::timer repeat_{};
  bool repeat_armed_ WRING_GUARDED_BY(mu_) = false;
  unsigned repeat_ms_ WRING_GUARDED_BY(mu_) = 1;
};

}  // namespace wring::iowq
