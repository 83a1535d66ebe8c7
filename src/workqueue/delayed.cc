// SPDX-License-Identifier: Apache-2.0

#include "workqueue/delayed.h"

#include "workqueue/cancel.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/revive.h"
#include "workqueue/slots.h"

#include <algorithm>
#include <cstddef>

namespace wring::detail {

namespace {

constexpr unsigned generation_shift = 8;  // below it the timekeeper keeps the shard
static_assert(sched::timekeeper::shard_mask < 1u << generation_shift);

void make_idle(item& it) noexcept {
  state_of(it).fetch_and(~item_state::pending, base::order::release);
}  // with queue()

// The timekeeper, at expiry. The item is pending and nobody else's.
void expired(base::timer& t) {
  item& it = item_access::of(item_access::delayed_of(t));
  pool_workqueue& q = *delay_target(t);
  if (!delay_is_of(q, t)) {
    q.home().report().warn("a delayed_work came due for a queue that was destroyed; it is dropped (cancel it before)");
    make_idle(it);
  } else if (!enqueue(q, it)) {
    make_idle(it);
  }
}

// The caller owns `pending`. False: refused, the item is idle again.
bool start(pool_workqueue& q, delayed_work& d, std::chrono::nanoseconds delay) noexcept {
  item& it = item_access::of(d);
  if (delay.count() <= 0) {
    if (enqueue(q, it)) return true;
    make_idle(it);
    return false;
  }
  if (!q.accepts()) {
    make_idle(it);
    return false;
  }
  base::timer& t = item_access::timer_of(d);
  t.fire = expired;
  const base::atomic_ref<std::uint64_t> tag{t.tag};
  tag.store((q.generation() << generation_shift) | (tag.load(base::order::relaxed) & sched::timekeeper::shard_mask),
            base::order::relaxed);
  base::atomic_ref<std::uint64_t>{t.cookie}.store(reinterpret_cast<std::uintptr_t>(&q), base::order::release);
  const base::instant now = base::clock::now();
  const std::uint64_t room = base::never.ns - 1 - now.ns;
  const auto asked = static_cast<std::uint64_t>(delay.count());
  q.home().time().arm(t, {now.ns + std::min(asked, room)});
  return true;
}

bool refuses(std::uint64_t state) noexcept { return (state & item_state::refusing) != 0; }

}  // namespace

bool delay_is_of(pool_workqueue& q, base::timer& t) noexcept {
  const std::uint64_t generation =
      base::atomic_ref<std::uint64_t>{t.tag}.load(base::order::relaxed) >> generation_shift;
  return generation == (q.generation() & (~std::uint64_t{0} >> generation_shift));
}

pool_workqueue* delay_target(base::timer& t) noexcept {
  // Pairs with start(): whoever sees the queue sees the timer's other words too.
  return reinterpret_cast<pool_workqueue*>(base::atomic_ref<std::uint64_t>{t.cookie}.load(base::order::acquire));
}

delayed_work& item_access::delayed_of(base::timer& t) noexcept {
  constexpr std::size_t offset = sizeof(work);
  static_assert(sizeof(delayed_work) == offset + sizeof(base::timer));
  return *reinterpret_cast<delayed_work*>(reinterpret_cast<char*>(&t) - offset);
}

base::timer& item_access::timer_behind(item& it) noexcept {
  return *reinterpret_cast<base::timer*>(reinterpret_cast<char*>(&static_cast<work&>(it)) + sizeof(work));
}

bool queue_delayed(pool_workqueue& q, delayed_work& d, std::chrono::nanoseconds delay) noexcept {
  item& it = item_access::of(d);
  revive(it);
  const std::uint64_t before = state_of(it).fetch_or(item_state::pending | item_state::timed, base::order::acq_rel);
  if ((before & item_state::pending) != 0) return false;
  if (refuses(before)) {
    make_idle(it);
    return false;
  }
  return start(q, d, delay);
}

bool modify(pool_workqueue& q, delayed_work& d, std::chrono::nanoseconds delay) noexcept {
  item& it = item_access::of(d);
  revive(it);
  for (;;) {
    const std::uint64_t before = state_of(it).fetch_or(item_state::pending | item_state::timed, base::order::acq_rel);
    const bool was_pending = (before & item_state::pending) != 0;
    if (was_pending && !steal(it, &item_access::timer_of(d))) continue;  // it has just started: take it as idle
    if (refuses(before)) {
      make_idle(it);
    } else {
      start(q, d, delay);
    }
    return was_pending;
  }
}

}  // namespace wring::detail
