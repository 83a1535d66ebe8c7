// SPDX-License-Identifier: Apache-2.0

#include "iowq/manager.h"

#include "iowq/pool.h"
#include "iowq/queue.h"

#include <algorithm>
#include <cstdio>

namespace wring::iowq {

namespace {
constexpr std::chrono::seconds look_interval{1};  // IOWQ-40
}

int manager::start() noexcept {
  if (!pool_.may_make_workers_here()) return -EPERM;  // all that it makes would be who this thread is (IOWQ-72)
  if (!pool_.begin_alive()) return 0;
  const int error = has_begun_.exchange(true, base::order::relaxed) ? 0 : make_thread();
  pool_.left_alive();  // not before the end of the pool may ask for the thread
  return error;
}

int manager::make_thread() noexcept {
  base::completion ready;
  ready_ = &ready;
  std::snprintf(name_, sizeof name_, "io-mgr-%u", pool_.owner_thread());
  pool_.count_alive();
  const int error =
      base::thread_create(thread_, {.name = name_, .stack_bytes = pool_.home().options().stack_bytes}, main, this);
  if (error != 0) {
    has_begun_.store(false, base::order::relaxed);
    pool_.left_alive();
    return error;
  }
  has_thread_.store(true, base::order::relaxed);
  ready.wait();
  return error_;
}

void manager::join() noexcept {
  if (has_thread_.exchange(false, base::order::relaxed)) base::thread_join(thread_);
}

void manager::main(void* self) {
  manager& m = *static_cast<manager*>(self);
  m.run();
}

void manager::run() noexcept {
  const visit inside{pool_};
  for (queue& q : pool_.queues()) {
    if (error_ = q.make_fixed_worker(); error_ != 0) break;
  }
  is_up_.store(true, base::order::relaxed);
  ready_->complete();
  base::instant next_look = base::never;
  while (!pool_.exiting()) {
    // Who enqueues has said that something waits before it asks whether this sleeps.
    rests_.store(true, base::order::seq_cst);  // pairs with expect()
    if (anything_waits()) {
      rests_.store(false, base::order::relaxed);
      if (next_look == base::never) next_look = base::clock::now() + look_interval;
    } else {
      next_look = base::never;
    }
    const bool told = parker_.park(next_look);
    rests_.store(false, base::order::relaxed);
    const bool looks = !told || (next_look != base::never && base::clock::now() >= next_look);
    if (looks) {
      base::sometimes("the manager has looked by itself");
      next_look = base::never;
    }
    for (queue& q : pool_.queues()) q.manage(looks);
  }
  pool_.left_alive();  // the last touch, but for join()
}

bool manager::anything_waits() noexcept {
  return std::ranges::any_of(pool_.queues(), [](const queue& q) { return q.wants(); });
}

void manager::expect() noexcept {
  if (WRING_PLANT(manager_not_told_of_what_waits)) return;
  if (rests_.load(base::order::seq_cst) && rests_.exchange(false, base::order::relaxed)) wake();  // pairs with run()
}

// ---- what it does with a queue (README.md, 7) ----

int queue::make_fixed_worker() noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    if (!all_.empty()) return 0;  // somebody came before the manager: the first of them stays
    o = add_worker(account_kind::bounded, trigger::manager);
  }
  if (o.make == nullptr) return -ENOMEM;
  const int error = o.make->start();
  if (error == 0) {
    o.make->let_go();
    return 0;
  }
  {
    const base::lock_guard lock{mu_};
    uncount(*o.make);
  }
  pool_.forget_worker(*o.make);
  return error;
}

void queue::manage(bool anyway) noexcept {
  for (const account_kind k : both_kinds) {
    owed o;
    for (bool looks = anyway; manage_one(k, looks, o); looks = false) pay(std::exchange(o, {}));
  }
}

// False: nothing is needed, or can be done now.
bool queue::manage_one(account_kind k, bool anyway, owed& o) noexcept {
  const base::lock_guard lock{mu_};
  ledger& l = of(k);
  const account now = numbers(k);
  const bool in_vain = !l.wants.load(base::order::relaxed) || has_stopped(k) ||
                       (now.free == 0 && now.workers >= now.limit);  // then somebody of that kind comes by
  if (in_vain) l.needs_workers = 0;
  if (in_vain || (!anyway && l.needs_workers == 0)) return false;
  if (WRING_PLANT(manager_makes_nobody) || (now.free != 0 && WRING_PLANT(look_wakes_nobody_idle))) return false;
  if (now.free != 0) {
    o.wake = &wake_free(k);
  } else if (!retry_.armed) {
    o = add_worker(k, trigger::manager);
  } else {
    return false;  // try_again()
  }
  if (l.needs_workers != 0) --l.needs_workers;
  return true;
}

}  // namespace wring::iowq
