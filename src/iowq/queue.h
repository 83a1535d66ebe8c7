// SPDX-License-Identifier: Apache-2.0
// queue: the items of one kind that wait in a pool, and the workers that run them: bounded or unbounded (IOWQ-3).
//
// Threads: any. Locks: mu_ (rank io_queue). What the letters stand for: README.md, 4 to 8.
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "base/timer_wheel.h"
#include "iowq/account.h"
#include "iowq/item.h"

#include <wring/io_stats.h>

#include <array>

namespace wring::iowq {

class domain;
class pool;
class worker;

// Why a worker is made (IOWQ-41).
enum class trigger : std::uint8_t { enqueue, note, retry };

// Which items a cancellation means; quick, called under locks.
struct matcher {
  bool (*match)(const io_work&, void*);
  void* context;
  [[nodiscard]] bool operator()(const io_work& w) const { return match(w, context); }
};

// While it lives, the calling thread is on behalf of that pool in its code, and may call what users have given it: it
// must not end the pool, which would wait for itself.
class visit {
 public:
  explicit visit(const pool& p) noexcept : pool_{&p}, outer_{slot::get()} { slot::get() = this; }
  ~visit() { slot::get() = outer_; }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
  [[nodiscard]] static bool is_in(const pool& p) noexcept {
    const visit* v = slot::get();
    while (v != nullptr && v->pool_ != &p) v = v->outer_;
    return v != nullptr;
  }

 private:
  using slot = base::thread_slot<visit, visit>;
  const pool* pool_;
  visit* outer_;
};

class queue {
 public:
  queue(pool& home, bool bounded, unsigned limit) noexcept;
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;

  [[nodiscard]] pool& home() const noexcept { return pool_; }
  [[nodiscard]] bool bounded() const noexcept { return bounded_; }

  // ---- submitters ----
  // The item is to be failed by the caller, or it has been failed, since no worker could be had.
  enum class entry : std::uint8_t { taken, refused, failed };
  [[nodiscard]] entry enqueue(io_work& it) noexcept;
  // C1: what waits and matches is unlinked, the first or all.
  void unlink_matching(const matcher& match, io_which which, work_list& out) noexcept;
  // C2: what runs and matches is told; what a worker holds behind it is unlinked. True: somebody was told.
  bool tell_matching(const matcher& match, io_which which, work_list& out) noexcept;

  // ---- its workers ----
  enum class turn : std::uint8_t {
    run,      // it has an item
    undress,  // it has none, and an identity that is not its own: take it off and ask again
    park,     // it is on the list of the idle ones
    leave,    // it is none of the queue's any more
  };
  [[nodiscard]] turn next(worker& w) noexcept;
  // P5: it was idle for the whole time. run: a token is on its way.
  [[nodiscard]] turn timed_out(worker& w) noexcept;
  // D1 to D3: a worker of this one blocks, and leaves the count; it is back.
  void left_count() noexcept;
  void joined_count() noexcept { running_.fetch_add(1, base::order::seq_cst); }  // pairs with left_count()
  // I7: what it has taken goes back, and it leaves.
  void give_back(worker& w) noexcept;
  // K4, K5: its thread runs; the system refused it. True: all that waited was failed.
  void has_begun() noexcept;
  bool refused(worker* w, int error) noexcept;

  // ---- buckets ----
  void bucket_released() noexcept;                                     // R3
  void unpin() noexcept { pins_.fetch_sub(1, base::order::release); }  // pairs with await_unpinned()

  // ---- the pool ----
  unsigned set_limit(unsigned limit) noexcept;  // 0: as it is; the one before
  unsigned run_note() noexcept;                 // how many workers it has made
  void exit_on_idle() noexcept;
  void exit() noexcept;  // E1 to E4
  // E6: nobody is left. True: somebody is again, since something waits. Else, whom the system refuses, it has failed.
  [[nodiscard]] bool runs_what_waits() noexcept;
  [[nodiscard]] bool is_empty() const noexcept;
  // Something waits for a worker; a hint.
  [[nodiscard]] bool wants() const noexcept { return wants_.load(base::order::relaxed); }
  void await_unpinned() noexcept;

  [[nodiscard]] io_account_stats stats() const;
  void describe(base::writer& w) const;
  void audit() const;
  template <class F>
  void for_each_worker(const F& f) const {
    const base::lock_guard lock{mu_};
    for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) f(*w);
  }

  // Of the list of its domain, guarded by that one; `mask`: of what buckets it waits to be told, read under mu_, too.
  queue* next_waiting = nullptr;
  queue* prev_waiting = nullptr;
  base::atomic<std::uint64_t> mask{0};
  void pin() noexcept { pins_.fetch_add(1, base::order::relaxed); }

 private:
  // What is owed once the lock is given back.
  struct owed {
    worker* wake = nullptr;
    worker* make = nullptr;
    bool no_memory = false;  // for a worker
  };
  struct all_links {
    static worker*& next(worker& w) noexcept;
    static worker*& prev(worker& w) noexcept;
  };
  struct free_links {
    static worker*& next(worker& w) noexcept;
    static worker*& prev(worker& w) noexcept;
  };
  // A timer of the queue, which is pinned while it is armed or fires.
  struct alarm {
    base::timer timer{};
    bool armed = false;  // guarded by mu_
  };
  static worker* next_of_all(worker& w) noexcept { return all_links::next(w); }

  // Nobody is made any more: what is unbounded is over. Bounded items, which may wait for each other, run to the end.
  [[nodiscard]] bool has_stopped() const noexcept;
  // Everything from here on needs the lock.
  void insert(io_work& it) noexcept WRING_REQUIRES(mu_);
  void unlink(io_work& it) noexcept WRING_REQUIRES(mu_);
  void unlink_all(work_list& out) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] turn choose(worker& w) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] bool take(worker& w) noexcept WRING_REQUIRES(mu_);
  void take_chain(worker& w, io_work& first, unsigned bucket) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] account numbers() const noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] owed decide(bool concurrent, trigger why) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] owed add_worker(trigger why) noexcept WRING_REQUIRES(mu_);
  worker& wake_free() noexcept WRING_REQUIRES(mu_);
  worker* take_all_free() noexcept WRING_REQUIRES(mu_);
  void leave_free(worker& w) noexcept WRING_REQUIRES(mu_);
  void leave(worker& w) noexcept WRING_REQUIRES(mu_);
  void arm(alarm& a, unsigned ms, void (*due)(base::timer&)) noexcept WRING_REQUIRES(mu_);
  void disarm(alarm& a) noexcept WRING_REQUIRES(mu_);
  void look_at_workers() noexcept WRING_REQUIRES(mu_);
  void keep_looking() noexcept WRING_REQUIRES(mu_);
  void leave_note() noexcept WRING_REQUIRES(mu_);
  // And these need it not.
  bool pay(const owed& o) noexcept;
  static void wake_all(worker* woken) noexcept;
  template <void (queue::*f)()>
  static void fire(base::timer& t) {
    queue& q = *reinterpret_cast<queue*>(t.cookie);
    {
      const visit inside{q.pool_};
      (q.*f)();
    }
    q.unpin();
  }
  void note_is_due();
  void retry_is_due();
  void later_is_due();
  void try_again(alarm& due) noexcept;
  void look_is_due();

  pool& pool_;
  const bool bounded_;
  mutable base::mutex mu_{base::rank::io_queue};
  work_list waiting_ WRING_GUARDED_BY(mu_);
  std::array<io_work*, hash_domain::buckets> tail_ WRING_GUARDED_BY(mu_){};  // the last one that waits of each bucket
  unsigned queued_ WRING_GUARDED_BY(mu_) = 0;
  bool stalled_ WRING_GUARDED_BY(mu_) = false;  // what waits is all of busy buckets
  base::list<worker, all_links> all_ WRING_GUARDED_BY(mu_);
  base::list<worker, free_links> free_ WRING_GUARDED_BY(mu_);  // idle, the last one to become so first
  unsigned free_count_ WRING_GUARDED_BY(mu_) = 0;
  unsigned workers_ WRING_GUARDED_BY(mu_) = 0;
  unsigned limit_ WRING_GUARDED_BY(mu_);
  unsigned attempt_ WRING_GUARDED_BY(mu_) = 0;  // refusals in a row
  alarm note_;
  alarm retry_;
  alarm later_;  // for a retry after the last one was given up
  alarm look_;
  std::uint64_t started_at_look_ WRING_GUARDED_BY(mu_) = 0;
  base::instant progress_ WRING_GUARDED_BY(mu_){};

  // Written under mu_, read by anybody.
  base::atomic<bool> wants_{false};     // something waits that is not known to be stalled
  base::atomic<bool> has_free_{false};  // a hint
  base::atomic<std::uint32_t> running_{0};
  base::atomic<std::uint32_t> pins_{0};  // releasers and timers that are about to come here

  // Counted under mu_.
  unsigned most_ WRING_GUARDED_BY(mu_) = 0;
  io_creations created_ WRING_GUARDED_BY(mu_){};

 public:
  // By workers.
  base::atomic<std::uint64_t> started{0};
  base::atomic<std::uint64_t> only_failed{0};
  base::atomic<std::uint64_t> refused_identities{0};
  base::atomic<std::uint64_t> interrupts{0};
  base::atomic<std::uint64_t> identity_changes{0};
};

}  // namespace wring::iowq
