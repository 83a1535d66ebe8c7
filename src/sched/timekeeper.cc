// SPDX-License-Identifier: Apache-2.0

#include "sched/timekeeper.h"

#include "base/syscall.h"
#include "sched/worker_pool.h"

#include <algorithm>

namespace wring::sched {

namespace {
constexpr unsigned shards_max = 64;
}

timekeeper::timekeeper(unsigned cpus) {
  const base::instant now = base::clock::now();
  for (unsigned i = 0; i < std::min(cpus, shards_max); ++i) shards_.push_back(std::make_unique<shard>(now));
}

timekeeper::~timekeeper() { stop(); }

int timekeeper::start(const base::thread_options& options) { return base::thread_create(thread_, options, main, this); }

void timekeeper::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, base::order::release);  // pairs with run()
  parker_.unpark();
  base::thread_join(thread_);
}

void timekeeper::arm(base::timer& t, base::instant deadline) noexcept {
  const auto index = static_cast<std::size_t>(std::max(base::syscall::current_cpu(), 0)) % shards_.size();
  const base::atomic_ref<std::uint64_t> tag{t.tag};
  const auto before = shard_in(tag.load(base::order::relaxed));
  if (before != index) {
    // A timer leaves its shard only under that shard's lock; so disarm(), which holds the lock of the shard that
    // the tag names, can trust it.
    const base::lock_guard lock{shards_[before]->mu};
    tag.store((tag.load(base::order::relaxed) & ~shard_mask) | index, base::order::relaxed);
  }
  {
    shard& s = *shards_[index];
    const base::lock_guard lock{s.mu};
    s.wheel.arm(t, deadline);
  }
  // (T2) after the timer is in its wheel; pairs with (T1).
  if (deadline.ns < sleep_until_.load(base::order::seq_cst)) parker_.unpark();
}

bool timekeeper::disarm(base::timer& t) noexcept {
  const base::atomic_ref<std::uint64_t> tag{t.tag};
  for (;;) {
    const std::size_t index = shard_in(tag.load(base::order::relaxed));
    shard& s = *shards_[index];
    const base::lock_guard lock{s.mu};
    // Moved since we looked? While we hold the lock of the shard it names, the tag stands still.
    if (shard_in(tag.load(base::order::relaxed)) != index) continue;
    return s.wheel.disarm(t);
  }
}

base::instant timekeeper::fire_due(base::instant now) noexcept {
  base::instant next = base::never;
  for (const auto& s : shards_) {
    base::timer* due = nullptr;
    {
      const base::lock_guard lock{s->mu};
      due = s->wheel.collect(now);
      next = std::min(next, s->wheel.next_expiry());
    }
    while (due != nullptr) {
      base::timer* const t = due;
      due = t->next;  // before it fires: from then on it is its owner's
      t->fire(*t);
    }
  }
  return next;
}

void timekeeper::run() noexcept {
  while (!stopping_.load(base::order::acquire)) {  // pairs with stop()
    // (T1) From here on every arm() wakes us, until we know how long we may sleep: a timer that is armed before
    // its shard is looked at below is seen there, a later one finds `never` or what we compute.
    sleep_until_.store(base::never.ns, base::order::seq_cst);
    const base::instant now = base::clock::now();
    base::instant next = fire_due(now);
    for (worker_pool* pool : pools_) next = std::min(next, pool->look(now));
    sleep_until_.store(next.ns, base::order::seq_cst);
    parker_.park(next);
  }
}

std::size_t timekeeper::armed() const noexcept {
  std::size_t sum = 0;
  for (const auto& s : shards_) {
    const base::lock_guard lock{s->mu};
    sum += s->wheel.size();
  }
  return sum;
}

void timekeeper::audit() const {
  for (const auto& s : shards_) {
    const base::lock_guard lock{s->mu};
    s->wheel.audit();
  }
}

}  // namespace wring::sched
