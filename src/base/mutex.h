// SPDX-License-Identifier: Apache-2.0
// mutex: a futex lock of four bytes with a rank. Short sections only: pointers are moved under a lock,
// wake-ups and frees happen after it.
//
// Ranks: a thread may take a lock only if its rank is higher than that of every lock it holds. The order is
// the enum below, outermost first; debug builds and simulations check it.
// Threads: any. In the simulator lock and unlock are one step each (sim_lock); the futex algorithm
// (futex_lock) is a template over the door and has its own simulations.
#pragma once

#include "base/annotations.h"
#include "base/check.h"
#include "base/sync.h"

#include <new>

namespace wring::base {

enum class rank : std::uint8_t {
  default_runtime,  // the default runtime, while it is made
  start,            // core: its threads are being made, or ended
  replan,           // core: one change of the CPUs at a time
  runtime,          // core: its components; the system queues
  fork_list,        // the runtimes that fork() takes care of
  mapping,          // which pools the queues of a runtime use
  registry,         // the open queues of a runtime
  pools,            // the pools of a runtime, and the CPUs they use
  queue,            // pool_workqueue: run list and accounting
  io_registry,      // the I/O worker pools and hash domains of a runtime
  io_queue,         // a queue of an I/O worker pool: what waits, its workers
  io_domain,        // hash_domain: who waits for buckets, the limits to remember
  io_worker,        // an I/O worker: what it runs, and whether it was told to stop
  timer,            // a shard of the timekeeper
  timekeeper,       // the timekeeper's own words
  sources,          // worker_pool: sources that have something to start
  idle,             // worker_pool: idle list, supply of workers
  memory,           // recycled blocks
  leaf,             // handlers' rate limits and other ends of the line
};

// Three states: 0 free, 1 held, 2 held and somebody may sleep. unlock() wakes one sleeper only if the word
// was 2; a sleeper that gets the lock leaves it at 2, because it cannot know whether it was alone.
template <class Word>
class futex_lock {
 public:
  constexpr futex_lock() noexcept = default;

  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, order::acquire, order::relaxed);  // pairs with unlock()
  }
  void lock() noexcept {
    if (try_lock()) return;
    for (int spins = 0; spins < 40; ++spins) {
      cpu_relax();
      if (word_.load(order::relaxed) == 0 && try_lock()) return;
    }
    while (word_.exchange(2, order::acquire) != 0) {  // pairs with unlock()
      futex_wait(word_, 2);
    }
  }
  void unlock() noexcept {
    if (word_.exchange(0, order::release) == 2) futex_wake(word_, 1);  // pairs with lock(), try_lock()
  }

 private:
  Word word_;
};

#ifdef WRING_SIM
using plain_lock = sim_lock;
#else
using plain_lock = futex_lock<atomic<std::uint32_t>>;
#endif

#if !defined(NDEBUG) || defined(WRING_SIM)
#define WRING_RANK_CHECKS 1
#endif

#ifdef WRING_RANK_CHECKS
// The ranks the calling thread holds, as a bit set kept in the slot pointer itself.
struct held_ranks {
  static std::uintptr_t get() noexcept { return reinterpret_cast<std::uintptr_t>(slot::get()); }
  static void set(std::uintptr_t bits) noexcept { slot::get() = reinterpret_cast<char*>(bits); }

 private:
  using slot = thread_slot<held_ranks, char>;
};
#endif

class WRING_CAPABILITY("mutex") mutex {
 public:
  constexpr explicit mutex(rank r) noexcept : rank_{r} {}
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock() noexcept WRING_ACQUIRE() {
    check_rank();
    lock_.lock();
    note(true);
  }
  bool try_lock() noexcept WRING_TRY_ACQUIRE(true) {
    if (!lock_.try_lock()) return false;  // a try cannot deadlock, so any rank will do
    note(true);
    return true;
  }
  void unlock() noexcept WRING_RELEASE() {
    note(false);
    lock_.unlock();
  }

  // Around a fork, by who takes the locks of all runtimes: outermost rank first, of one runtime after the other,
  // so nobody can wait for them in a circle, although one thread holds several locks of a rank.
  void lock_for_fork() noexcept { lock_.lock(); }
  void unlock_after_fork() noexcept { lock_.unlock(); }
  // In a forked child: free, whoever held it in the parent.
  void renew_in_child() noexcept { ::new (static_cast<void*>(&lock_)) plain_lock; }

 private:
  void check_rank() const noexcept {
#ifdef WRING_RANK_CHECKS
    WRING_CHECK((held_ranks::get() >> static_cast<unsigned>(rank_)) == 0, static_cast<unsigned>(rank_),
                held_ranks::get());
#endif
  }
  void note([[maybe_unused]] bool held) const noexcept {
#ifdef WRING_RANK_CHECKS
    held_ranks::set(held_ranks::get() ^ (std::uintptr_t{1} << static_cast<unsigned>(rank_)));
#endif
  }

  plain_lock lock_;
  [[maybe_unused]] rank rank_;  // release builds do not look at it
};

class WRING_SCOPED_CAPABILITY lock_guard {
 public:
  explicit lock_guard(mutex& m) noexcept WRING_ACQUIRE(m) : mutex_{m} { mutex_.lock(); }
  ~lock_guard() WRING_RELEASE() { mutex_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  mutex& mutex_;
};

}  // namespace wring::base
