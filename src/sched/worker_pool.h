// SPDX-License-Identifier: Apache-2.0
// worker_pool: the workers that serve the sources mapped to them, as many awake as there are CPUs, or, in the pool of
// one CPU, one (WQ-72..75).
//
// Sources with something to start are offered here and taken first in, first out. A worker is woken when
// one is offered and fewer than `target` workers are awake and nobody searches; a worker that finds no idle
// peer when it starts serving creates one (the manager, WQ-102), so there is always one to wake when it
// blocks. Surplus workers leave after a time (WQ-105, WQ-106).
// The workers of a pool with a placement run there (placement.cc). If the system does not let them, they run anywhere
// and the rest stays as it is: the pool is disassociated.
//
// Threads: any, if not said otherwise.
// Locks:   sources_mu_, then idle_mu_ (never both needed at once).
// Pairing: publish (P1, P2) against park (K1..K3) and block; proof in README.md, 2.
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "base/timer_wheel.h"
#include "sched/cpu_hogs.h"
#include "sched/detector.h"
#include "sched/place.h"
#include "sched/placement.h"
#include "sched/pool_word.h"
#include "sched/reporter.h"
#include "sched/source.h"
#include "sched/thresholds.h"
#include "sched/timekeeper.h"
#include "sched/watchdog.h"
#include "sched/worker.h"

#include <wring/runtime.h>
#include <wring/stats.h>

#include <memory>
#include <string>
#include <vector>

namespace wring::sched {

struct pool_services {
  const runtime_options& options;
  const thresholds& limits;  // of patience
  reporter& report;
  timekeeper& time;
  detector& detect;
  cpu_hogs& hogs;
  base::atomic<std::uint64_t>& stall_reports;  // of the watchdogs of all pools
  base::block_cache& blocks;
  const place& home;  // of the thread that made the runtime
};

class worker_pool {
 public:
  struct config {
    unsigned index;                  // in the runtime
    unsigned target;                 // awake workers aimed at
    unsigned slack = 1;              // so many more may stay awake, see serve()
    int cpu = -1;                    // of the pool of one CPU: its number, part of the thread names
    int nice = 0;                    // that workers ask for; 0: the program's
    bool run_to_completion = false;  // one worker, which must not block (WQ-31)
    bool in_use = true;              // see set_in_use()
  };
  // What high priority asks for.
  static constexpr int high_nice = -20;

  worker_pool(const pool_services& services, config c, placement where = {});
  ~worker_pool();
  // In a forked child: as just made. What the parent's workers had is lost.
  void renew_in_child();

  // Creates the first worker if there is none (WQ-103), but before runtime::start(). 0 or -errno; -ECANCELED once the
  // pool ends.
  int start();
  [[nodiscard]] bool starts_later() const noexcept { return services_.options.start_later && services_.time.is_held(); }
  // All workers end; nothing may be offered any more.
  void stop();

  // The source has something to start and is on no list (P1, P2).
  void offer(source& s) noexcept;
  // Takes the source off the list; false: a worker has it, or is about to.
  bool withdraw(source& s) noexcept;
  // Fewer are awake than there may be, and nobody is on the way; a hint.
  [[nodiscard]] bool hungry() const noexcept {
    const pool_word::counts c = word_.load();
    return c.awake < target() && c.searching == 0;
  }
  // Somebody waits for a worker.
  [[nodiscard]] bool more() const noexcept {
    return !inbox_.empty() || list_in_use_.load(base::order::seq_cst) != 0;  // in this order, see take()
  }

  // The count of awake workers, on behalf of a worker that is inside an item; mark() and join_count() by who holds
  // the source that it serves.
  // One reason more why it is out of the count. True: it was in it; the caller owes left_count() once it has let the
  // source go.
  [[nodiscard]] bool mark(worker& w, std::uint8_t why) noexcept;
  void left_count() noexcept;  // then more(): wakes or creates another
  // These reasons are gone. Does nothing if the worker is in the count.
  void join_count(worker& w, std::uint8_t reasons) noexcept;
  void join_count(worker& w) noexcept { join_count(w, 0xff); }

  // More workers are blocked than a reasonable program needs; a hint.
  [[nodiscard]] bool many_blocked() const noexcept {
    return blocked_.load(base::order::relaxed) >= static_cast<std::int32_t>(2 * target() + 8);
  }

  // The floor: while watched, the timekeeper looks at this pool until it is quiet.
  [[nodiscard]] bool watched() const noexcept { return watched_.load(base::order::seq_cst) != 0; }
  void watch() noexcept;
  // The timekeeper only. When to look again.
  base::instant look(base::instant now) noexcept;
  void touch_watchdog() noexcept { watchdog_.touch(); }

  // Workers by index; stable for the life of the pool. Null if there never was one.
  [[nodiscard]] worker* at(unsigned index) const noexcept {
    return index < workers_.size() ? workers_[index].load(base::order::acquire) : nullptr;  // pairs with create()
  }
  // Calls f(worker) for all of them, seats of rescuers last, until it answers true.
  template <class F>
  void for_each_worker(const F& f) const {
    for (const unsigned first : {0U, first_seat()}) {
      const unsigned end = first == 0 ? first_seat() : static_cast<unsigned>(workers_.size());
      for (unsigned i = first; i < end; ++i) {
        worker* const w = at(i);
        if (w == nullptr) break;
        if (f(*w)) return;
      }
    }
  }

  // Rescuers (rescuer.h). A seat is a worker that is none of the pool's own threads, never counts and leads nothing.
  // Null: `seats_most` queues have one, or memory is short.
  static constexpr unsigned seats_most = 256;
  [[nodiscard]] worker* take_seat() noexcept;
  void give_back(worker& seat) noexcept;
  // The calling thread goes where the pool's workers are, with their priority.
  void settle(worker& w) noexcept;
  // The calling thread, which is none of its workers, goes where they are.
  void host() const noexcept;
  // Workers go there before they take the next source; who is in an item goes on where it is (WQ-120).
  void set_placement(placement where);
  // Nobody uses the pool any more: its workers end as soon as all are idle (WQ-107). What is offered all the same gets
  // a new one.
  void set_in_use(bool in_use) noexcept;
  // Nobody is idle, and no thread is to be had.
  [[nodiscard]] bool exhausted() const noexcept;
  // The pool's own workers have started something since rescuers were called.
  [[nodiscard]] bool moves_again() const noexcept { return started() != started_at_mayday_.load(base::order::relaxed); }

  [[nodiscard]] unsigned index() const noexcept { return config_.index; }
  // So many threads may exist.
  [[nodiscard]] unsigned most_workers() const noexcept {
    return config_.run_to_completion ? 1 : services_.options.max_workers;
  }
  [[nodiscard]] bool runs_to_completion() const noexcept { return config_.run_to_completion; }
  [[nodiscard]] const base::block_cache& home() const noexcept { return services_.blocks; }
  [[nodiscard]] unsigned target() const noexcept { return target_.load(base::order::relaxed); }
  // A callback that must not block is about to (WQ-31).
  void report_blocked_bh(const worker& w) const;
  // More wakes workers at once, fewer lets the surplus park as their items end.
  void set_target(unsigned target) noexcept;
  // More than may stay awake once their items end.
  [[nodiscard]] bool too_many_awake() const noexcept { return word_.load().awake > most_awake(); }
  [[nodiscard]] const place& home_place() const noexcept { return services_.home; }
  // As in the names of threads: "u0", "3", "3H" (WQ-108).
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string name_of(const worker& w) const;
  [[nodiscard]] pool_word::counts counts() const noexcept { return word_.load(); }
  [[nodiscard]] pool_stats stats() const;
  void append_workers(std::vector<worker_stats>& out) const;
  void describe(base::writer& w) const;
  void audit() const;

  worker_pool* next = nullptr;  // in the timekeeper's list; constant once it is there

 private:
  friend class worker;

  // worker_pool.cc: publishing, taking, the life of a worker
  void notify() noexcept;
  void wake_one() noexcept;
  void drain_inbox_locked() noexcept WRING_REQUIRES(sources_mu_);
  source* take() noexcept;
  static void main(void* w);
  void run(worker& w) noexcept;
  int bind(worker& w) noexcept;
  void come_home(worker& w) noexcept;
  source* serve(worker& w, source& s) noexcept;
  source* search(worker& w) noexcept;
  [[nodiscard]] bool not_needed() const noexcept;
  [[nodiscard]] unsigned most_awake() const noexcept {
    return target() + config_.slack + expected_waiting_.load(base::order::relaxed);
  }
  bool park(worker& w) noexcept;

  // supply.cc: creating and retiring workers
  void ensure_spare() noexcept;
  bool begin_creation() noexcept;
  [[nodiscard]] bool is_managed() const noexcept;
  int create() noexcept;
  void dismiss(base::list<worker>& gone) noexcept;
  void end_if_unused_locked(base::list<worker>& gone) noexcept WRING_REQUIRES(idle_mu_);
  worker* free_slot() noexcept;
  void creation_refused(int error) noexcept;
  static void report_limit(base::timer& t);
  static void retry_due(base::timer& t);
  static void retire_due(base::timer& t);
  void call_rescuers(base::instant now) noexcept;
  [[nodiscard]] std::uint64_t started() const noexcept;
  [[nodiscard]] bool too_many_idle_locked() const noexcept WRING_REQUIRES(idle_mu_);

  // watch.cc
  struct sight {
    bool moving;    // some worker has started an item since the last look
    bool relieved;  // something that waited behind a stuck worker was handed to others
  };
  sight look_at_workers(base::instant now) noexcept;
  void keep_floor(base::instant now) noexcept;
  void report_stall(std::chrono::nanoseconds stalled) noexcept;

  // recount.cc: who of the counted workers really runs
  [[nodiscard]] bool pressed() const noexcept;
  struct at_work {
    worker& w;
    source& s;
    std::uint64_t item;
    std::uint8_t reasons;  // why it is out of the count
  };
  struct recounted {
    bool soon;              // look again: somebody was taken out of the count, or it is not known yet how to see
    std::uint64_t cost_ns;  // CPU time
  };
  template <class F>
  void for_each_busy(const F& f) noexcept;
  recounted recount(base::instant now) noexcept;
  void recount_by_rings() noexcept;
  bool take_out_waiting(const at_work& b) noexcept;
  bool one_more_intensive() noexcept;
  bool take_out_intensive(const at_work& b) noexcept;
  bool goes_on(const at_work& b, base::instant now) noexcept;
  bool uses_much_cpu(const at_work& b, std::int64_t used) noexcept;
  base::thread_sight sight_of(worker& w, std::int64_t used, base::instant now) noexcept;
  void watch_switches(worker& w) noexcept;
  void unwatch_switches(worker& w) noexcept;
  void expect() noexcept;
  void forget_expected() noexcept;

  static worker_pool& of(base::timer& t) noexcept { return *reinterpret_cast<worker_pool*>(t.cookie); }
  [[nodiscard]] unsigned first_seat() const noexcept { return static_cast<unsigned>(workers_.size()) - seats_most; }

  // Constant after construction.
  const pool_services services_;
  const config config_;

  alignas(base::cache_line) pool_word word_;  // read by every publisher
  base::atomic<std::uint32_t> target_;        // config_.target, or what set_target() said

  alignas(base::cache_line) base::push_stack<source> inbox_;
  base::atomic<std::uint32_t> list_in_use_{0};  // sources_ is not empty; may be set too long, never too short

  alignas(base::cache_line) mutable base::mutex sources_mu_{base::rank::sources};
  base::list<source> sources_ WRING_GUARDED_BY(sources_mu_);

  alignas(base::cache_line) mutable base::mutex idle_mu_{base::rank::idle};
  base::list<worker> idle_ WRING_GUARDED_BY(idle_mu_);  // front: parked last (WQ-104)
  unsigned idle_count_ WRING_GUARDED_BY(idle_mu_) = 0;
  unsigned alive_ WRING_GUARDED_BY(idle_mu_) = 0;         // threads, the one being created included
  unsigned owed_ WRING_GUARDED_BY(idle_mu_) = 0;          // claimed slots that wait for a worker
  bool managing_ WRING_GUARDED_BY(idle_mu_) = false;      // somebody creates a worker
  bool cooling_down_ WRING_GUARDED_BY(idle_mu_) = false;  // creation was refused, retry_timer_ is armed
  bool retirement_armed_ WRING_GUARDED_BY(idle_mu_) = false;
  bool stopping_ WRING_GUARDED_BY(idle_mu_) = false;
  bool in_use_ WRING_GUARDED_BY(idle_mu_) = true;
  bool refused_last_ WRING_GUARDED_BY(idle_mu_) = false;  // the last creation; said once
  base::atomic<std::uint32_t> idle_hint_{0};              // idle_count_, to be read without the lock

  mutable base::mutex place_mu_{base::rank::leaf};
  placement place_ WRING_GUARDED_BY(place_mu_);
  base::atomic<std::uint32_t> place_version_;  // of place_; 0: it says nothing, and never has

  base::timer retry_timer_;
  base::timer retire_timer_;
  base::timer limit_timer_;

  std::vector<base::atomic<worker*>> workers_;  // by index, seats of rescuers last; written by the manager, seats under
                                                // idle_mu_

  alignas(base::cache_line) base::atomic<std::uint32_t> watched_{0};
  base::atomic<bool> first_wanted_{false};    // somebody published and there is no worker at all
  base::atomic<bool> limit_reported_{false};  // or limit_timer_ is armed
  base::atomic<unsigned> seats_taken_{0};
  base::atomic<std::uint64_t> started_at_mayday_{0};  // started(), when rescuers were last to be called
  // The timekeeper only.
  base::instant look_due_{};
  base::instant recount_due_{};        // not before
  std::uint64_t recount_cost_ns_ = 0;  // of the last one
  std::uint64_t look_interval_ns_ = 0;
  base::instant progress_since_{};
  bool stood_before_ = false;               // rescuers were due once in this distress
  base::instant mayday_due_ = base::never;  // rescuers are called then, if nobody can be woken all the time
  double waiting_estimate_ = 0;             // of workers that wait
  watchdog watchdog_;

  base::atomic<std::uint64_t> stands_since_ns_{0};   // something waits and nothing has started; 0: it has
  base::atomic<std::uint32_t> expected_waiting_{0};  // waiting_estimate_, rounded; so many more may stay awake
  base::mutex rings_mu_{base::rank::leaf};  // others than the timekeeper look at rings, or it opens or closes one
  std::uint64_t rings_looked_at_ WRING_GUARDED_BY(rings_mu_) = 0;  // by others; ticks
  base::atomic<std::uint32_t> rings_{0};                           // workers with a ring

  // Statistics.
  base::atomic<std::uint64_t> wakeups_{0};
  base::atomic<std::uint64_t> created_{0};
  base::atomic<std::uint64_t> retired_{0};
  base::atomic<std::uint64_t> refused_{0};
  base::atomic<std::uint64_t> limit_reached_{0};
  base::atomic<std::uint64_t> stalls_{0};
  base::atomic<std::uint64_t> blocks_seen_{0};
  base::atomic<std::uint64_t> cpu_intensive_seen_{0};
  base::atomic<std::uint64_t> looks_{0};
  base::atomic<std::uint32_t> alive_max_{0};
  base::atomic<std::int32_t> blocked_{0};  // below 0 for a moment if a stuck worker goes on while it is counted out
  base::atomic<std::int32_t> blocked_max_{0};
  base::atomic<std::uint64_t> repatriated_{0};  // workers that were taken back to their pod
  base::atomic<std::uint64_t> restored_{0};     // and to the pool's CPUs, after somebody else had moved them
  base::atomic<bool> disassociated_{false};     // a worker could not be bound to the pool's CPUs
  base::atomic<bool> priority_refused_{false};  // a worker did not get the pool's
};

}  // namespace wring::sched
