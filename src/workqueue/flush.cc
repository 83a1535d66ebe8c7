// SPDX-License-Identifier: Apache-2.0
// flush: waiting for what is in a queue. Protocol and proof: README.md, 4.
//
// A flush puts a marker behind everything queued so far. Items start in queue order, so when the marker is
// passed, everything before it has started; what of it still runs is counted in in_flight_[colour of the
// marker] and in older colours, which complete first.

#include "workqueue/flush.h"

#include "workqueue/pool_workqueue.h"
#include "workqueue/registry.h"

#include <array>
#include <memory>
#include <new>
#include <string>

namespace wring::detail {

namespace {
// A drain that needs so many rounds is told about, then after every hundredth up to the thousandth (WQ-90).
constexpr bool worth_a_warning(unsigned rounds) noexcept {
  return rounds == 10 || (rounds % 100 == 0 && rounds <= 1000);
}
}  // namespace

void pool_workqueue::append_marker(flusher& f, waiter_chain& ended) noexcept {
  f.colour = tail_colour_;
  tail_colour_ = static_cast<std::uint8_t>((tail_colour_ + 1) % colours);
  ++colours_used_;
  if (run_.empty()) {
    pass_marker(f, ended);
  } else {
    run_.push_back(f.marker);
  }
}

// Everything before the marker has started.
void pool_workqueue::pass_marker(flusher& f, waiter_chain& ended) noexcept {
  colour_ = static_cast<std::uint8_t>((f.colour + 1) % colours);
  f.next_flush = nullptr;
  (passed_ != nullptr ? passed_last_->next_flush : passed_) = &f;
  passed_last_ = &f;
  flush_progress(ended);
}

// Completes the oldest flushes that nothing is in flight for, and gives their colours to who waits for one.
void pool_workqueue::flush_progress(waiter_chain& ended) noexcept {
  while (passed_ != nullptr && in_flight_[passed_->colour] == 0) {
    flusher& f = *passed_;
    passed_ = f.next_flush;
    --colours_used_;
    ended.add_all(f.followers);
    ended.add(f);
    if (flusher* const first = overflow_) {  // all who wait share the next colour (WQ-85)
      overflow_ = nullptr;
      while (flusher* const other = first->next_flush) {
        first->next_flush = other->next_flush;
        first->followers.add(*other);
      }
      drain_inbox();
      append_marker(*first, ended);
    }
  }
}

bool pool_workqueue::begin_flush(flusher& f) noexcept {
  waiter_chain ended;
  {
    const visit hold{*this};
    if (idle()) return false;
    drain_inbox();
    item* const last = run_.back();
    if (last != nullptr && (state_of(*last).load(base::order::relaxed) & item_state::marker) != 0) {
      static_cast<flusher::marker_item*>(last)->flush->followers.add(f);  // nothing came since: share its colour
    } else if (colours_used_ == colours - 1) {
      base::sometimes("flush waits for a colour");
      f.next_flush = overflow_;
      overflow_ = &f;
    } else {
      append_marker(f, ended);
    }
  }
  WRING_ASSERT(ended.empty(), name_);  // what waits or runs here holds it up
  return true;
}

void pool_workqueue::begin_drain() noexcept {
  const visit hold{*this};
  ++draining_;
  word_.fetch_or(closed, base::order::acq_rel);
}

void pool_workqueue::end_drain() noexcept {
  const visit hold{*this};
  if (--draining_ == 0 && !destroying_) word_.fetch_and(~closed, base::order::relaxed);  // nothing else is told
}

bool pool_workqueue::is_idle() noexcept {
  const visit hold{*this};
  return idle();
}

namespace {

// All markers are put before anybody waits, so that no pool's later items are waited for (WQ-84). Without memory for
// that, one pool after the other: it may wait for items that came to a later one meanwhile, but it ends.
void flush_members(pool_workqueue& q) noexcept {
  if (q.is_alone()) {
    flusher f;
    if (q.begin_flush(f)) wait_blocking(f, "a flush", q);
    return;
  }
  std::size_t members = 0;
  for_each_member(q, [&members](pool_workqueue&) { ++members; });
  const std::unique_ptr<flusher[]> flushers{new (std::nothrow) flusher[members]};
  std::size_t begun = 0;
  // One that comes while we look has nothing that was queued before.
  for (pool_workqueue* member = &q.first(); member != nullptr && members != 0;
       member = member->next_member(), --members) {
    flusher alone;
    flusher& f = flushers ? flushers[begun] : alone;
    if (!member->begin_flush(f)) continue;
    if (flushers) {
      ++begun;
    } else {
      wait_blocking(f, "a flush", q);
    }
  }
  for (std::size_t i = 0; i < begun; ++i) wait_blocking(flushers[i], "a flush", q);
}

// An item may move on from a pool that is looked at to one that was looked at before; but then something starts
// between two rounds.
bool members_are_idle(pool_workqueue& q) noexcept {
  if (q.is_alone()) return q.is_idle();
  bool idle = true;
  std::array<std::uint64_t, 2> started{};
  for (std::uint64_t& sum : started) {
    for_each_member(q, [&](pool_workqueue& member) {
      idle = idle && member.is_idle();
      sum += member.items_started();
    });
  }
  return idle && started[0] == started[1];
}

}  // namespace

bool flush(pool_workqueue& q) noexcept {
  if (inside_queue_of(q)) {
    q.misuse("flush() of a queue from a callback of the same queue would wait for itself");
    return false;
  }
  if (q.is_system()) {
    q.home().report().warn_once(sched::reporter::topic::system_flush,
                                "flush() of the system queue '" + q.name() +
                                    "' waits for everybody's items; flush your own, or use a queue of your own. Said "
                                    "once");
  }
  flush_members(q);
  return true;
}

bool drain(pool_workqueue& q) noexcept {
  if (inside_queue_of(q)) {
    q.misuse("drain() of a queue from a callback of the same queue would wait for itself");
    return false;
  }
  registry& queues = q.home().part<registry>();
  queues.begin_drain(q);
  flush_until_empty(q);
  queues.end_drain(q);
  return true;
}

void flush_until_empty(pool_workqueue& q) noexcept {
  for (unsigned rounds = 1;; ++rounds) {
    flush_members(q);
    if (members_are_idle(q)) break;
    if (worth_a_warning(rounds)) {
      q.home().report().warn("draining queue '" + q.name() + "' has taken " + std::to_string(rounds) +
                             " rounds: its items keep queueing others");
    }
  }
}

pool_workqueue::barrier_attempt pool_workqueue::place_barrier(item& it, barrier_item& barrier) noexcept {
  const visit hold{*this};
  drain_inbox();
  const auto state = state_of(it);
  const std::uint64_t place = place_of(it).load(base::order::relaxed);
  if (item_place::queue_of(place) != this || (place & item_place::listed) == 0) return {};
  if (is_the_callers_only_slot()) return {.refused = true};
  const std::uint64_t before = state.fetch_or(item_state::linked, base::order::relaxed);
  state_of(barrier).fetch_or(before & item_state::linked, base::order::relaxed);
  item_list& list = (place & item_place::handed) != 0 ? runs(it, before)->handed : run_;
  list.insert_after(it, barrier);
  return {.placed = true, .of = waited_here()};
}

bool pool_workqueue::runs_for(const pool_workqueue& sibling, sched::worker& w, const item& it) noexcept {
  const visit hold{*this};
  return queue_id() == sibling.queue_id() && runs(w, it);
}

}  // namespace wring::detail
