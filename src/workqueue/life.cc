// SPDX-License-Identifier: Apache-2.0
// life: what a queue is told from outside of its items: it opens, its limit changes, it freezes, and it ends.

#include "workqueue/pool_workqueue.h"

#include <algorithm>
#include <memory>
#include <string>

namespace wring::detail {

void pool_workqueue::open(core& where, const workqueue_options& options, sched::worker_pool& its_pool,
                          unsigned its_max_active, pool_workqueue* its_first) {
  const visit hold{*this};
  if (core_ == nullptr) core_ = &where;  // once: who comes by an outdated pointer may be reading it
  pool_ = &its_pool;
  first_ = its_first != nullptr ? its_first : this;
  slots_.store(nullptr, base::order::relaxed);
  next_member_.store(nullptr, base::order::relaxed);
  heir_.store(nullptr, base::order::relaxed);
  per_cpu_ = options.per_cpu;
  has_members_ = is_divided_ = false;
  unmanaged_ = options.unmanaged;
  cpu_intensive_ = options.cpu_intensive && options.per_cpu;  // WQ-26: no effect when unbound
  on_exception_ = options.on_exception;
  on_error_ = options.on_error;
  error_context_ = options.error_context;
  const std::size_t length = std::min(options.name.size(), sizeof name_ - 1);
  std::copy_n(options.name.data(), length, name_);  // no memcpy(): the name may be null
  name_[length] = '\0';
  max_active_.store(its_max_active, base::order::relaxed);
  limit_ = its_max_active;
  frozen_ = lowered_ = plugged_ = heir_waits_ = false;
  freezable_ = options.freezable;
  ordered_ = options.ordered;
  waits.open(options);
  system_ = false;
  draining_ = 0;
  destroying_ = false;
  forks_ = base::fork_generation();
  forget_short_items();
  rejection_reported_.store(false, base::order::relaxed);
  started_.store(0, base::order::relaxed);
  exceptions_.store(0, base::order::relaxed);
  rejected_.store(0, base::order::relaxed);
  cpu_intensive_seen_ = cm_wakeups_ = repatriated_ = 0;
  cpu_ns_ = cpu_told_ns_ = 0;
  generation_.fetch_add(1, base::order::relaxed);  // before the queue opens, for who compares it and then queues
  word_.store(0, base::order::release);
}

// After max_active_ or frozen_ has changed. True: the caller must offer the queue to the pool.
bool pool_workqueue::change_limit(visit& hold) noexcept {
  const unsigned before = limit_;
  limit_ = frozen_ || plugged_ ? 0 : max_active_.load(base::order::relaxed);
  lowered_ = active_ > limit_;
  if (limit_ < before) call_back(nullptr);  // what others were to start is theirs alone, perhaps
  sched::worker* const leader = leader_.load(base::order::relaxed);
  if (leader == nullptr) return reopen();
  if (limit_ <= before) return false;  // it looks before its next item
  // It may be stuck in an item while others may start now; and behind one that was to be alone nobody looks.
  hold.leave_message(*static_cast<execution*>(leader->frame));
  leader_.store(nullptr, base::order::relaxed);
  return settle();
}

void pool_workqueue::set_max_active(unsigned most) noexcept {
  bool offer = false;
  {
    visit hold{*this};
    max_active_.store(most, base::order::relaxed);
    offer = change_limit(hold);
  }
  if (offer) pool_->offer(*this);
}

void pool_workqueue::set_frozen(bool frozen) noexcept {
  bool offer = false;
  {
    visit hold{*this};
    if (frozen_ == frozen || (frozen && destroying_)) return;
    frozen_ = frozen;
    offer = change_limit(hold);
  }
  if (offer) pool_->offer(*this);
}

bool pool_workqueue::is_active() noexcept {
  const visit hold{*this};
  return active_ != 0;
}

bool pool_workqueue::is_ending() noexcept {
  const visit hold{*this};
  return destroying_;
}

void pool_workqueue::refuse() noexcept {
  {
    const visit hold{*this};
    destroying_ = true;
    word_.fetch_or(closed, base::order::acq_rel);  // release: pairs with chained_or_reject()
  }
  set_frozen(false);  // or it would never end
}

// Cancelled items may have left the queue scheduled with nothing to start: on the pool's list, or with a worker that
// is about to find out. The latter is a matter of a few instructions without user code.
bool pool_workqueue::at_rest() noexcept {
  sched::worker_pool* pool = nullptr;
  {
    const visit hold{*this};
    if (plugged_) return false;  // who unplugs it is on the way
    if ((word_.load(base::order::relaxed) & (scheduled | full)) == 0) return idle();
    if (!idle() || !pool_->withdraw(*this)) return false;
    if (!settle()) return true;
    pool = pool_;
  }
  pool->offer(*this);
  return false;
}

// Who still comes by an outdated pointer is refused, and sent nowhere.
void pool_workqueue::end() noexcept {
  generation_.fetch_add(1, base::order::relaxed);
  if (first_ != this || has_members_) word_.fetch_and(~retired, base::order::acq_rel);
}

// What the parent's other threads were about to change is not looked at, only overwritten.
void pool_workqueue::renew_in_child() noexcept {
  mu_.renew_in_child();
  next = prev = nullptr;
  listed = false;
  rescue = nullptr;
  leader_.store(nullptr, base::order::relaxed);
  std::construct_at(&run_);
  std::construct_at(&group_waits_);
  active_ = 0;
  plugged_ = heir_waits_ = false;                           // nothing is queued anywhere
  frozen_ = freezable_ && !destroying_ && core_->frozen();  // the parent may have been about to say so
  limit_ = frozen_ ? 0 : max_active_.load(base::order::relaxed);
  lowered_ = false;
  full_ = false;
  colour_ = tail_colour_ = colours_used_ = 0;
  in_flight_.fill(0);
  passed_ = passed_last_ = overflow_ = nullptr;
  draining_ = 0;
  // Until it is known better, so that publishers look whether anybody watches: a timekeeper that could not be made is
  // asked for again.
  short_items_.store(!unmanaged_, base::order::relaxed);
  started_.store(0, base::order::relaxed);
  exceptions_.store(0, base::order::relaxed);
  rejected_.store(0, base::order::relaxed);
  cpu_intensive_seen_ = cm_wakeups_ = repatriated_ = 0;
  cpu_ns_ = cpu_told_ns_ = 0;
  word_.store((destroying_ ? closed : 0) | (word_.load(base::order::relaxed) & retired), base::order::release);
}

std::string pool_workqueue::name() const {
  const base::lock_guard lock{mu_};  // a stale pointer may find the next life beginning
  return name_;
}

void pool_workqueue::misuse(const char* what, const std::string& with) {
  core_->report().misuse(std::string{what} + " (queue '" + name() + "'" + (with.empty() ? "" : ", " + with) + ")");
}

}  // namespace wring::detail
