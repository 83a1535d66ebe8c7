// SPDX-License-Identifier: Apache-2.0
// queue: items that wait in a pool, and the workers that run them (IOWQ-3). Profile task: a queue of bounded and one of
// unbounded items; profile node: one of both for each node, whose workers change their kind.
//
// Threads: any. Locks: mu_ (rank io_queue). What the letters stand for: README.md, 4 to 8.
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "base/timer_wheel.h"
#include "iowq/account.h"
#include "iowq/item.h"

#include <wring/io_stats.h>

#include <algorithm>
#include <array>

namespace wring::iowq {

class domain;
class pool;
class worker;

// Why a worker is made (IOWQ-41).
enum class trigger : std::uint8_t { enqueue, note, retry, manager };

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
  // Of items of that kind.
  queue(pool& home, account_kind kind, unsigned limit) noexcept;
  // Of both kinds, for who is on `node`, a number of the system's.
  queue(pool& home, unsigned node, const io_limits& limits) noexcept;
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;

  [[nodiscard]] pool& home() const noexcept { return pool_; }
  [[nodiscard]] bool serves(account_kind k) const noexcept { return of_both_ || k == kind_; }
  [[nodiscard]] unsigned node() const noexcept { return node_; }

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
  void left_count(account_kind k) noexcept;
  void joined_count(account_kind k) noexcept {
    of(k).running.fetch_add(1, base::order::seq_cst);  // pairs with left_count()
  }
  // I7: what it has taken goes back, and it leaves.
  void give_back(worker& w) noexcept;
  // K4: its thread runs.
  void has_begun() noexcept;

  // ---- buckets ----
  void bucket_released() noexcept;                                     // R3
  void unpin() noexcept { pins_.fetch_sub(1, base::order::release); }  // pairs with await_unpinned()

  // ---- the pool ----
  unsigned set_limit(account_kind k, unsigned limit) noexcept;  // 0: as it is; the one before
  // Its first worker, which stays (IOWQ-11). 0 or -errno.
  [[nodiscard]] int make_fixed_worker() noexcept;
  // By the manager: wakes or makes whom decide() has asked for. `anyway`: one of each kind besides (IOWQ-40).
  void manage(bool anyway) noexcept;
  unsigned run_note() noexcept;  // how many workers it has made
  void exit_on_idle() noexcept;
  void exit() noexcept;  // E1 to E4
  // E6: nobody is left. True: somebody is again, since something waits. Else, whom the system refuses, it has failed.
  [[nodiscard]] bool runs_what_waits() noexcept;
  [[nodiscard]] bool is_empty() const noexcept;
  // Something waits that could run.
  [[nodiscard]] bool wants() const noexcept {
    return std::ranges::any_of(ledgers_, [](const ledger& l) { return l.wants.load(base::order::seq_cst); });
  }
  void await_unpinned() noexcept;

  // Adds what it has of that kind; limits, too.
  void add_stats(account_kind k, io_account_stats& to) const;
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
    account_kind kind{};     // of the one to make
    bool no_memory = false;  // for it
    enum class tell : std::uint8_t { nothing, will_look, needs_worker } manager = tell::nothing;
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

  // The numbers of one kind. Written with the lock; the atomic ones are read by anybody.
  struct ledger {
    unsigned limit = 0;
    unsigned workers = 0;
    unsigned queued = 0;
    unsigned free_count = 0;
    unsigned most = 0;
    unsigned needs_workers = 0;  // the manager is to wake or make so many
    std::uint64_t started_at_look = 0;
    base::instant progress{};  // since then none has been started
    io_creations created{};
    base::list<worker, free_links> free;  // idle, the last one to become so first
    base::atomic<bool> wants{false};      // something waits that is not known to be stalled
    base::atomic<bool> has_free{false};   // a hint
    base::atomic<std::uint32_t> running{0};
  };

  [[nodiscard]] ledger& of(account_kind k) noexcept { return ledgers_[static_cast<std::size_t>(k)]; }
  [[nodiscard]] const ledger& of(account_kind k) const noexcept { return ledgers_[static_cast<std::size_t>(k)]; }
  // Nobody is made any more: what is unbounded is over. Bounded items, which may wait for each other, run to the end.
  [[nodiscard]] bool has_stopped(account_kind k) const noexcept;
  // Everything from here on needs the lock.
  void insert(io_work& it) noexcept WRING_REQUIRES(mu_);
  void unlink(io_work& it) noexcept WRING_REQUIRES(mu_);
  void unlink_all(account_kind k, work_list& out) noexcept WRING_REQUIRES(mu_);
  void forget_wishes() noexcept WRING_REQUIRES(mu_);
  void wish_again() noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] bool admits(account_kind k) const noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] worker* any_free() noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] bool may_run(const worker& w, account_kind k) const noexcept WRING_REQUIRES(mu_);
  void change_kind(worker& w, account_kind k) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] unsigned all_workers() const noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] idleness idleness_of(const worker& w, bool timed_out) const noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] turn choose(worker& w) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] bool take(worker& w) noexcept WRING_REQUIRES(mu_);
  void take_chain(worker& w, io_work& first, unsigned bucket) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] account numbers(account_kind k) const noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] owed decide(account_kind k, bool concurrent, trigger why) noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] owed add_worker(account_kind k, trigger why) noexcept WRING_REQUIRES(mu_);
  worker& take_off_free(worker& w) noexcept WRING_REQUIRES(mu_);
  worker& wake_free(account_kind k) noexcept WRING_REQUIRES(mu_);
  worker* take_all_free() noexcept WRING_REQUIRES(mu_);
  void leave_free(worker& w) noexcept WRING_REQUIRES(mu_);
  void leave(worker& w) noexcept WRING_REQUIRES(mu_);
  void uncount(worker& w) noexcept WRING_REQUIRES(mu_);  // whose thread was refused
  void arm(alarm& a, unsigned ms, void (*due)(base::timer&)) noexcept WRING_REQUIRES(mu_);
  void disarm(alarm& a) noexcept WRING_REQUIRES(mu_);
  void look_at_workers() noexcept WRING_REQUIRES(mu_);
  void keep_looking() noexcept WRING_REQUIRES(mu_);
  [[nodiscard]] bool stands_still(account_kind k) noexcept WRING_REQUIRES(mu_);
  void leave_note() noexcept WRING_REQUIRES(mu_);
  // And these need it not.
  bool pay(const owed& o) noexcept;
  unsigned see_to(account_kind k, trigger why, bool concurrent) noexcept;  // how many workers it has made
  unsigned see_to_all(trigger why) noexcept;
  [[nodiscard]] bool manage_one(account_kind k, bool anyway, owed& o) noexcept;
  [[nodiscard]] bool may_grow() const noexcept;
  bool refused(account_kind k, worker* w, int error) noexcept;
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
  const bool of_both_;
  const account_kind kind_;  // if not
  const unsigned node_;
  mutable base::mutex mu_{base::rank::io_queue};
  work_list waiting_ WRING_GUARDED_BY(mu_);
  std::array<io_work*, hash_domain::buckets> tail_ WRING_GUARDED_BY(mu_){};  // the last one that waits of each bucket
  bool stalled_ WRING_GUARDED_BY(mu_) = false;                               // what waits is all of busy buckets
  base::list<worker, all_links> all_ WRING_GUARDED_BY(mu_);
  std::array<ledger, 2> ledgers_;
  bool has_fixed_ WRING_GUARDED_BY(mu_) = false;  // profile node: a worker that stays
  unsigned attempt_ WRING_GUARDED_BY(mu_) = 0;    // refusals in a row
  alarm note_;
  alarm retry_;
  alarm later_;  // for a retry after the last one was given up
  alarm look_;

  base::atomic<std::uint32_t> pins_{0};  // releasers and timers that are about to come here

 public:
  // By workers, for people.
  struct counters {
    base::atomic<std::uint64_t> started{0};
    base::atomic<std::uint64_t> only_failed{0};
    base::atomic<std::uint64_t> refused_identities{0};
    base::atomic<std::uint64_t> interrupts{0};
    base::atomic<std::uint64_t> identity_changes{0};
  };
  [[nodiscard]] counters& counted(account_kind k) noexcept { return counted_[static_cast<std::size_t>(k)]; }

 private:
  std::array<counters, 2> counted_;
};

}  // namespace wring::iowq
