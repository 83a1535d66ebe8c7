// SPDX-License-Identifier: Apache-2.0

#include "iowq/hash_domain.h"

#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/registry.h"

#include <algorithm>

namespace wring::iowq {

queue*& domain::links::next(queue& q) noexcept { return q.next_waiting; }
queue*& domain::links::prev(queue& q) noexcept { return q.prev_waiting; }

domain::domain(detail::core& where) : core_{where}, registry_{&where.part<registry>()} { registry_->add(*this); }

domain::~domain() {
  if (registry_ != nullptr) registry_->remove(*this);
}

// mu_ is held since before the fork. Queues are those of pools that nothing is enqueued to any more.
void domain::renew_in_child() noexcept WRING_NO_ANALYSIS {
  while (waiting_.pop_front() != nullptr) continue;
  waiters_.store(0, base::order::relaxed);
  busy_.store(0, base::order::relaxed);
  pools_.clear();
}

bool domain::acquire(unsigned bucket, queue& q) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << bucket;
  for (;;) {
    // H1; pairs with release(): what the items of the last chain did.
    if ((busy_.fetch_or(bit, base::order::seq_cst) & bit) == 0) return true;
    if ((q.mask.load(base::order::relaxed) & bit) != 0) return false;
    const base::lock_guard lock{mu_};
    const std::uint64_t mask = q.mask.load(base::order::relaxed);
    if (mask == 0) {
      waiting_.push_back(q);
      waiters_.fetch_add(1, base::order::seq_cst);  // H2; pairs with release()
    }
    q.mask.store(mask | bit, base::order::relaxed);
    if ((busy_.load(base::order::seq_cst) & bit) != 0) return false;  // pairs with release()
    base::sometimes("a bucket is released while a queue begins to wait for it");
  }
}

void domain::release(unsigned bucket, const queue* own) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << bucket;
  busy_.fetch_and(~bit, base::order::seq_cst);           // R1; pairs with acquire()
  if (waiters_.load(base::order::seq_cst) == 0) return;  // R2; pairs with acquire()
  while (queue* const q = next_told(bit, own)) {         // R3
    {
      const visit inside{q->home()};
      q->bucket_released();
    }
    q->unpin();
  }
}

queue* domain::next_told(std::uint64_t bit, const queue* own) noexcept {
  const base::lock_guard lock{mu_};
  for (queue* q = waiting_.front(); q != nullptr;) {
    queue* const after = links::next(*q);
    const std::uint64_t mask = q->mask.load(base::order::relaxed);
    if ((mask & bit) != 0) {
      q->mask.store(mask & ~bit, base::order::relaxed);
      if (mask == bit) {
        waiting_.remove(*q);
        waiters_.fetch_sub(1, base::order::relaxed);
      }
      if (q != own) {
        q->pin();
        return q;
      }
    }
    q = after;
  }
  return nullptr;
}

void domain::forget(queue& q) noexcept {
  const base::lock_guard lock{mu_};
  if (q.mask.load(base::order::relaxed) == 0) return;
  q.mask.store(0, base::order::relaxed);
  waiting_.remove(q);
  waiters_.fetch_sub(1, base::order::relaxed);
}

// ---- pools ----

void domain::add(pool& p) {
  io_limits limits{};
  std::vector<unsigned> cpus;
  {
    const base::lock_guard lock{mu_};
    pools_.push_back(&p);
    limits = remembered_;
    cpus = cpus_;
  }
  p.set_limits(limits);
  if (!cpus.empty()) p.set_cpus(cpus);
}

void domain::remove(pool& p) noexcept {
  const base::lock_guard lock{mu_};
  std::erase(pools_, &p);
}

}  // namespace wring::iowq
