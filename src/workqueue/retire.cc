// SPDX-License-Identifier: Apache-2.0
// retire: pool_workqueues of a queue that uses another pool by now, and those that have to wait for them. Protocol and
// proof: README.md, 8.

#include "workqueue/pool_workqueue.h"

namespace wring::detail {

void pool_workqueue::open_beside(pool_workqueue& its_first, sched::worker_pool& its_pool, unsigned its_max_active) {
  workqueue_options like{.ordered = its_first.ordered_,
                         .unmanaged = its_first.unmanaged_,
                         .per_cpu = its_first.per_cpu_,
                         .freezable = its_first.freezable_,
                         .cpu_intensive = its_first.cpu_intensive_,
                         .on_exception = its_first.on_exception_,
                         .on_error = its_first.on_error_,
                         .error_context = its_first.error_context_};
  like.name = its_first.name_;  // constant as long as we know the queue
  open(*its_first.core_, like, its_pool, its_max_active, &its_first);
  unsigned draining = 0;
  bool destroying = false;
  bool frozen = false;
  {
    const visit hold{its_first};
    draining = its_first.draining_;
    destroying = its_first.destroying_;
    frozen = its_first.frozen_;
  }
  const visit hold{*this};
  system_ = its_first.system_;
  draining_ = draining;
  destroying_ = destroying;
  frozen_ = frozen;
  if (frozen_) limit_ = 0;
  if (draining_ != 0 || destroying_) word_.fetch_or(closed, base::order::relaxed);  // add_member() hands it on
}

void pool_workqueue::add_member(pool_workqueue& member) noexcept {
  has_members_ = true;
  pool_workqueue* last = this;
  while (pool_workqueue* const after = last->next_member_.load(base::order::relaxed)) last = after;
  last->next_member_.store(&member, base::order::release);  // pairs with next_member()
}

void pool_workqueue::divide(std::unique_ptr<slots> its_slots) noexcept {
  is_divided_ = true;
  slots_.store(its_slots.release(), base::order::release);  // pairs with division()
}

std::unique_ptr<slots> pool_workqueue::take_division() noexcept {
  return std::unique_ptr<slots>{is_divided_ ? slots_.exchange(nullptr, base::order::relaxed) : nullptr};
}

// The heir is known first: who finds the bit goes there. It is unplugged here if nothing is left.
void pool_workqueue::retire(pool_workqueue* its_heir) noexcept {
  pool_workqueue* heir = nullptr;
  {
    const visit hold{*this};
    heir_.store(its_heir, base::order::release);  // pairs with heir()
    heir_waits_ = its_heir != nullptr;
    if (!WRING_PLANT(retired_stays_open)) word_.fetch_or(retired, base::order::acq_rel);
    heir = take_heir();
  }
  if (heir != nullptr) heir->unplug();
}

void pool_workqueue::plug() noexcept {
  visit hold{*this};
  heir_.store(nullptr, base::order::relaxed);  // it may have been what is its heir now
  plugged_ = !WRING_PLANT(heir_not_held_back);
  static_cast<void>(change_limit(hold));  // it becomes less, so there is nothing to offer
}

void pool_workqueue::reinstate() noexcept {
  const visit hold{*this};
  heir_.store(nullptr, base::order::relaxed);
  heir_waits_ = false;
  word_.fetch_and(~retired, base::order::acq_rel);
}

// Nothing runs here, waits, or can come any more: its heir may begin. Once; the caller unplugs it, after the hold.
pool_workqueue* pool_workqueue::take_heir() noexcept {
  if (!heir_waits_ || plugged_ || !idle()) return nullptr;
  heir_waits_ = false;
  return heir_.load(base::order::relaxed);
}

void pool_workqueue::unplug() noexcept {
  for (pool_workqueue* q = this; q != nullptr;) {
    bool offer = false;
    pool_workqueue* after = nullptr;
    {
      visit hold{*q};
      q->plugged_ = false;
      offer = q->change_limit(hold);
      after = q->take_heir();
    }
    base::sometimes("the next pool of an ordered queue began");
    if (offer) q->pool_->offer(*q);
    q = after;
  }
}

bool pool_workqueue::may_be_used_again() noexcept {
  const visit hold{*this};
  return !heir_waits_ && !plugged_ && idle();
}

}  // namespace wring::detail
