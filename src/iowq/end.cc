// SPDX-License-Identifier: Apache-2.0
// end: nothing new from outside, what may last for ever is cancelled, the rest runs, and then all threads are gone
// (README.md, 8).

#include "base/patience.h"
#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

#include <wring/blocking.h>

namespace wring::iowq {

namespace {
bool anything(const io_work&, void*) { return true; }
constexpr matcher everything{anything, nullptr};
}  // namespace

// From the lock on, enqueue() refuses and nobody makes a worker.
void queue::exit() noexcept {
  work_list failing;
  worker* woken = nullptr;
  owed o;
  {
    const base::lock_guard lock{mu_};
    if (!bounded_) {
      for (alarm* a : {&note_, &retry_, &later_, &look_}) disarm(*a);
      unlink_all(failing);
      for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
        w->tell_if(everything);
        w->unlink_held(everything, io_which::all, failing);
      }
    }
    woken = take_all_free();
    o = decide(false, trigger::note);  // what was left to the owner
  }
  wake_all(woken);
  pay(o);
  pool_.fail_all(failing);
}

void queue::exit_on_idle() noexcept {
  worker* woken = nullptr;
  {
    const base::lock_guard lock{mu_};
    woken = take_all_free();
  }
  wake_all(woken);
}

// Linked by next_free: who is off the list and has no token yet is nobody else's.
worker* queue::take_all_free() noexcept {
  worker* woken = nullptr;
  while (free_count_ != 0) {
    worker& w = wake_free();
    w.next_free = woken;
    woken = &w;
  }
  return woken;
}

void queue::wake_all(worker* woken) noexcept {
  while (woken != nullptr) {
    worker& w = *std::exchange(woken, woken->next_free);
    w.wake();
  }
}

bool queue::has_stopped() const noexcept { return !bounded_ && pool_.exiting(); }

bool queue::runs_what_waits() noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    for (alarm* a : {&retry_, &later_, &look_}) disarm(*a);
    if (waiting_.empty()) {
      disarm(note_);
      return false;
    }
    wants_.store(true, base::order::seq_cst);  // pairs with left_count()
    if (!pool_.may_make_workers_here()) {
      leave_note();
      return true;
    }
    disarm(note_);
    o = add_worker(trigger::retry);
    keep_looking();
  }
  return pay(o);
}

bool queue::is_empty() const noexcept {
  const base::lock_guard lock{mu_};
  return waiting_.empty();
}

void queue::await_unpinned() noexcept {
  for (base::patience p; pins_.load(base::order::acquire) != 0; p.pause()) continue;  // pairs with unpin()
}

void pool::exit_start() noexcept {
  if (!is_of_this_process()) return;
  exiting_.store(true, base::order::release);  // each queue looks under its lock from now on
  unbounded_.exit();
  bounded_.exit();
}

void pool::left_alive() noexcept {
  if (alive_.fetch_sub(1, base::order::release) == 1) base::futex_wake(alive_, 1 << 30);  // pairs with end()
}

bool pool::caller_is_inside() const noexcept {
  const worker* const self = worker::current();
  return visit::is_in(*this) || (self != nullptr && &self->home().home() == this);
}

bool pool::rests() noexcept {
  if (!is_of_this_process()) return true;
  if (alive_.load(base::order::acquire) != 0) return false;  // pairs with left_alive()
  if (bounded_.runs_what_waits()) return false;
  for (queue* q : {&bounded_, &unbounded_}) q->await_unpinned();
  // A timer, or who has released a bucket, may have made one meanwhile; with nothing left nobody does.
  return alive_.load(base::order::acquire) == 0 && bounded_.is_empty();
}

bool pool::end(std::chrono::nanoseconds limit) noexcept {
  if (!is_of_this_process()) return true;
  if (caller_is_inside()) {
    core_.report().misuse("io_pool '" + name_ + "' is ended from a callback of its own, which would wait for itself");
    return false;
  }
  exit_start();
  const blocking_scope scope;
  const base::instant deadline = base::clock::deadline_after(limit);
  for (base::patience p;; p.pause()) {
    while (const std::uint32_t alive = alive_.load(base::order::acquire)) {  // pairs with left_alive()
      if (base::futex_wait(alive_, alive, deadline) == -ETIMEDOUT) return false;
    }
    if (rests()) break;
    if (base::clock::now() >= deadline) return false;
  }
  domain_->remove(*this);
  for (queue* q : {&bounded_, &unbounded_}) {
    domain_->forget(*q);
    q->await_unpinned();
  }
  join_ended();
  return true;
}

}  // namespace wring::iowq
