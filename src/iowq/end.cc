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
bool unbounded_item(const io_work& it, void*) {
  return account_of(const_cast<io_work&>(it)) == account_kind::unbounded;
}
constexpr matcher everything_unbounded{unbounded_item, nullptr};
}  // namespace

// From the lock on, enqueue() refuses and nobody makes a worker.
void queue::exit() noexcept {
  work_list failing;
  worker* woken = nullptr;
  {
    const base::lock_guard lock{mu_};
    const matcher& over = pool_.is_over_for(account_kind::bounded) ? everything : everything_unbounded;
    if (!may_grow()) {
      for (alarm* a : {&note_, &retry_, &later_, &look_}) disarm(*a);
    }
    for (const account_kind k : both_kinds) {
      if (pool_.is_over_for(k)) unlink_all(k, failing);
    }
    for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
      w->tell_if(over);
      w->unlink_held(over, io_which::all, failing);
    }
    woken = take_all_free();
    wish_again();  // what was behind another kind in its chain
  }
  wake_all(woken);
  see_to_all(trigger::note);  // what was left to the owner
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
  while (worker* const w = any_free()) {
    w->next_free = woken;
    woken = w;
  }
  return woken;
}

void queue::wake_all(worker* woken) noexcept {
  while (woken != nullptr) {
    worker& w = *std::exchange(woken, woken->next_free);
    w.wake();
  }
}

bool queue::has_stopped(account_kind k) const noexcept { return pool_.is_over_for(k); }

bool queue::runs_what_waits() noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    for (alarm* a : {&retry_, &later_, &look_}) disarm(*a);
    if (waiting_.empty()) {
      disarm(note_);
      return false;
    }
    wish_again();
    if (!pool_.may_make_workers_here()) {
      leave_note();
      return true;
    }
    disarm(note_);
    o = add_worker(account_kind::bounded, trigger::retry);  // all that is left
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
  exiting_.store(true, base::order::seq_cst);  // each queue looks under its lock from now on; pairs with begin_alive()
  for (queue& q : queues_) q.exit();
  if (manager_) manager_->wake();
}

// IOWQ-84
io_cancel pool::cancel_for_good() noexcept {
  if (!is_of_this_process()) return io_cancel::not_found;
  cancelling_.store(true, base::order::release);  // as above
  return cancel(everything, io_which::all);
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
  if (alive_.load(base::order::seq_cst) != 0) return false;  // pairs with left_alive(), begin_alive()
  if (run_what_waits()) return false;
  for (queue& q : queues_) q.await_unpinned();
  // A timer, or who has released a bucket, may have made one meanwhile; with nothing left nobody does.
  return alive_.load(base::order::seq_cst) == 0 && std::ranges::all_of(queues_, &queue::is_empty);
}

// Nobody is left who would. True: somebody is again.
bool pool::run_what_waits() noexcept {
  bool any = false;
  for (queue& q : queues_) {
    if (q.serves(account_kind::bounded)) any = q.runs_what_waits() || any;
  }
  return any;
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
  for (queue& q : queues_) {
    domain_->forget(q);
    q.await_unpinned();
  }
  join_ended();
  if (manager_) manager_->join();
  return true;
}

}  // namespace wring::iowq
