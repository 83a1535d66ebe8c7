// SPDX-License-Identifier: Apache-2.0
// worker: one thread of one pool for life, or the seat that a rescuer has there (rescuer.h).
//
// A worker is parked (on the pool's idle list), searching (awake, looking for a source) or running (serving
// one). A running worker that blocks, is stuck, or runs an item that is said to use much CPU time, is out of the
// count (WQ-71): until it goes on, or its item ends.
// Workers are never freed before their pool, so a stale pointer or index is always safe to look at.
#pragma once

#include "base/bias.h"
#include "base/block_cache.h"
#include "base/mutex.h"
#include "base/parker.h"
#include "base/sync.h"
#include "base/thread_watch.h"
#include "sched/cpu_meter.h"
#include "sched/source.h"

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>

namespace wring::sched {

class worker_pool;

class alignas(base::cache_line) worker {
 public:
  enum class kind : std::uint8_t { thread_of_pool, seat_of_rescuer };
  worker(worker_pool& its_pool, std::uint16_t its_index, base::block_cache& memory, kind k) noexcept
      : pool{its_pool},
        index{its_index},
        is_rescuer{k == kind::seat_of_rescuer},
        out_of_count{is_rescuer ? std::uint8_t{rescuing} : std::uint8_t{0}},
        blocks{memory} {}

  // The worker that the calling thread is, or null.
  static worker* current() noexcept { return slot::get(); }
  static void set_current(worker* w) noexcept { slot::get() = w; }

  static constexpr std::size_t description_bytes = 32;

  // Why a running worker is out of the count; any number of reasons at once.
  enum uncounted : std::uint8_t {
    blocked = 1,        // it announced so
    stuck = 2,          // nothing has started for the length of the floor
    cpu_intensive = 4,  // its queue is (WQ-26), or it has used much CPU time in this item (WQ-79)
    seen_waiting = 8,   // the kernel says so (recount.cc)
    rescuing = 16,      // it is a rescuer's, and never in the count
  };
  static constexpr std::uint8_t waits = blocked | stuck | seen_waiting;

  // Constant after construction.
  worker_pool& pool;
  const std::uint16_t index;  // in its pool
  const bool is_rescuer;

  // Written by the worker; `serving` and `frame` only with the source's lock (or under its bias), so whoever
  // holds that lock and sees `serving == this source` knows that both stay.
  base::bias bias;
  base::atomic<source*> serving{nullptr};
  void* frame = nullptr;  // what the source keeps about this worker
  cpu_meter cpu;
  base::atomic<std::uint8_t> out_of_count;  // inside an item; the reasons. Changed by who holds its source
  base::atomic<std::uint64_t> turns{0};  // the number of what it is in: an item, a child of its group, the rest of it
  base::atomic<const void*> code{nullptr};  // the callback it is in, children of a group's waiter included

  // What it keeps to itself and has not started; only it knows of them. A hint to others.
  base::atomic<std::uint32_t> kept{0};
  base::atomic<const void*> stoppable{nullptr};  // the item whose callback was given a stop_token, while it runs

  // The worker only.
  base::stack_bounds stack{};  // of its thread
  unsigned blocking_depth = 0;
  bool described = false;
  std::uint32_t placed = 0;  // the version of the pool's placement that it follows
  bool woken = false;        // since it served last
  bool repatriated = false;  // it was taken back to its pod, and has served nothing since
  base::local_cache blocks;

  void describe(const char* text) noexcept {
    const base::lock_guard lock{description_mu};
    std::strncpy(description, text, description_bytes - 1);
    described = description[0] != '\0';
  }
  void forget_description() noexcept { describe(""); }
  [[nodiscard]] std::string description_text() {
    const base::lock_guard lock{description_mu};
    return description;
  }

  void begin_turn() noexcept {  // one writer, the worker; others read it to see progress
    turns.store(turns.load(base::order::relaxed) + 1, base::order::relaxed);
  }
  // Inside its item a child of a group begins, or has ended. What was seen until now is over.
  void begin_child() noexcept {
    begin_turn();
    forget_sights();
  }
  void end_child() noexcept {
    resumed_.store(resumed_.load(base::order::relaxed) + 1, base::order::relaxed);
    begin_child();
  }
  // Children included.
  [[nodiscard]] std::uint64_t items_started() const noexcept {
    const std::uint64_t resumed = resumed_.load(base::order::relaxed);
    const std::uint64_t all = turns.load(base::order::relaxed);
    return all > resumed ? all - resumed : 0;  // the two need not belong together
  }

  // Written by the worker, read by anybody.
  base::atomic<std::uint64_t> blocked_ns{0};
  base::atomic<const char*> waits_for{nullptr};   // "a flush": what of wring it waits for; null: nothing
  base::atomic<const source*> waits_on{nullptr};  // of this source of its runtime; null: of none
  base::mutex description_mu{base::rank::leaf};
  char description[description_bytes] WRING_GUARDED_BY(description_mu) = {};

  // Guarded by worker_pool::idle_mu_.
  worker* next = nullptr;  // idle list
  worker* prev = nullptr;
  base::instant idle_since{};
  base::thread thread;
  base::atomic<std::uint32_t> thread_id{0};  // the kernel's; 0 until the thread has started
  base::atomic<bool> leaving{false};         // set before the last unpark; the thread ends, or there is none

  // The timekeeper only: what it saw at its last look.
  alignas(base::cache_line) std::uint64_t seen_turn = 0;
  const source* seen_serving = nullptr;
  base::instant seen_since{};
  unsigned looks_left_out = 0;                      // it is known to wait
  std::uint64_t measured_turn = ~std::uint64_t{0};  // whose CPU time is measured
  std::int64_t measured_from_ns = 0;                // since that of the thread was so much
  std::uint64_t measured_after_blocked_ns = 0;      // `blocked_ns` then
  std::int64_t cpu_ns = 0;                          // of the thread, when it was last looked at
  base::instant cpu_looked_at{};                    // which was then
  base::instant cpu_moved{};                        // when it had changed
  bool ring_refused = false;                        // by the system, for this thread
  // Opened and closed by the timekeeper, under worker_pool::rings_mu_; others look under it.
  base::switch_ring switches;

  alignas(base::cache_line) base::parker parker;  // written by wakers

 private:
  using slot = base::thread_slot<worker, worker>;

  void forget_sights() noexcept {
    constexpr std::uint8_t seen = stuck | seen_waiting;
    if ((out_of_count.load(base::order::relaxed) & seen) != 0) [[unlikely]]
      serving.load(base::order::relaxed)->join_count(*this, seen, true);
  }

  base::atomic<std::uint64_t> resumed_{0};  // the rest of an item after a child: turns that are no items
};

// While it lives, people are told that the calling thread, if it is a worker, waits for `what` of that source.
class wait_note {
 public:
  wait_note(const char* what, const source* of) noexcept : worker_{worker::current()} {
    if (worker_ == nullptr) return;
    worker_->waits_on.store(of, base::order::relaxed);
    worker_->waits_for.store(what, base::order::release);  // pairs with who tells people
  }
  ~wait_note() {
    if (worker_ != nullptr) worker_->waits_for.store(nullptr, base::order::relaxed);
  }
  wait_note(const wait_note&) = delete;
  wait_note& operator=(const wait_note&) = delete;

 private:
  worker* const worker_;
};

}  // namespace wring::sched
