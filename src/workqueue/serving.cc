// SPDX-License-Identifier: Apache-2.0
// serving: workers in a queue: one that leads it and runs items in a row, or several that run one each, and what their
// pool asks of it meanwhile.

#include "base/clock.h"
#include "workqueue/pool_workqueue.h"

#include <cstdio>
#include <exception>

namespace wring::detail {

namespace {

// Items below half a microsecond are run by one leader, which is faster than sharing them; from one and a
// half on, each is taken on its own. Between the two nothing changes.
constexpr std::uint64_t short_item_ns = 500;
constexpr std::uint64_t long_item_ns = 1'500;
// After so many items a leader looks whether somebody else waits for a worker; it then goes on with what it has
// drained, which is in its cache, but not beyond the second number.
constexpr unsigned items_per_turn = 64;
constexpr unsigned items_per_turn_most = 1024;

}  // namespace

void pool_workqueue::charge_cpu(sched::worker& w, std::uint64_t ticks) noexcept {
  cpu_ns_ += w.cpu.served(ticks, w.thread_id.load(base::order::relaxed));
}

void pool_workqueue::charge_helper(sched::worker& w, std::uint64_t ticks) noexcept {
  const visit hold{*this};
  charge_cpu(w, ticks);
}

void pool_workqueue::take_average(std::uint64_t ticks, std::uint64_t items) noexcept {
  average_ticks_ = (average_ticks_ * 3 + ticks / items) / 4;
  if (average_ticks_ < base::clock::ticks_of_ns(short_item_ns)) {
    if (!unmanaged_) short_items_.store(true, base::order::relaxed);
    base::sometimes("queue of short items");
  } else if (average_ticks_ > base::clock::ticks_of_ns(long_item_ns)) {
    short_items_.store(false, base::order::relaxed);
  }
}

// One was long, or blocked. Until the average says otherwise, each worker takes one item at a time.
void pool_workqueue::forget_short_items() noexcept {
  short_items_.store(false, base::order::relaxed);
  average_ticks_ = base::clock::ticks_of_ns(long_item_ns);
}

// WQ-26: what runs of such a queue never holds up others. True: the caller owes left_count() after the hold.
bool pool_workqueue::take_out_if_intensive(execution& x) noexcept {
  return cpu_intensive_ && pool_->mark(x.worker, sched::worker::cpu_intensive);
}

void pool_workqueue::call(item& it, item::entry_point entry) noexcept {
  try {
    entry(it, item_op::run);
  } catch (const std::exception& e) {
    on_callback_exception(e.what());
  } catch (...) {
    on_callback_exception("something that is no std::exception");
  }
}

// In the handler of an exception that a callback let out.
void pool_workqueue::on_callback_exception(const char* what) noexcept {
  if (on_exception_ == wring::on_exception::terminate) {
    std::fprintf(stderr, "wring: a callback of queue '%s' ended with an exception: %s\n", name_, what);
    std::terminate();
  }
  exceptions_.fetch_add(1, base::order::relaxed);
  if (on_error_ != nullptr) {
    on_error_(std::current_exception(), error_context_);
  } else {
    core_->report().warn("a callback of queue '" + name() + "' ended with an exception: " + what);
  }
}

// False: the callback forked and came back in the child, where the caller must touch nothing and go.
bool pool_workqueue::run(execution& x, item& it) noexcept {
  const item::entry_point entry = it.entry;
  x.worker.code.store(reinterpret_cast<const void*>(entry), base::order::relaxed);
  const auto state = state_of(it);
  const std::uint64_t seen = state.load(base::order::relaxed);
  if ((seen & item_state::one_shot) == 0) {
    // Our last write to the item (WQ-62, WQ-63). An addition, because others change `disabled` and more at the same
    // time; the bits below are ours as long as `pending` is set. acq_rel: pairs with queue(), WQ-64.
    constexpr std::uint64_t ours = item_state::pending | item_state::linked | item_state::worker_mask;
    const std::uint64_t off_queue = item_state::worker_bits(pool_->index(), x.worker.index);
    if (WRING_PLANT(pending_cleared_late)) call(it, entry);
    state.fetch_add(off_queue - (seen & ours), base::order::acq_rel);
    if (WRING_PLANT(pending_cleared_late)) return true;
  }
  call(it, entry);
  if (sched::worker::current() != &x.worker) [[unlikely]]
    return false;
  if (x.worker.described) x.worker.forget_description();
  if (x.worker.blocking_depth != 0) [[unlikely]]
    report_leaked_scope(x.worker);
  return true;
}

// WQ-68: what a callback enters it must leave. The end of the item counts the worker again.
void pool_workqueue::report_leaked_scope(sched::worker& w) noexcept {
  w.blocking_depth = 0;
  core_->report().warn("a callback of queue '" + name() + "' returned inside a blocking_scope");
}

void pool_workqueue::serve(sched::worker& w) {
  sched::worker_pool& pool = *pool_;  // outlives the queue, which may end once nothing is left to do
  execution x{w, *this};
  waiter_chain ended;
  bool offer = false;
  bool leading = false;
  bool watch = false;
  bool taken_out = false;
  item* it = nullptr;
  pool_workqueue* heir = nullptr;
  {
    const visit hold{*this};
    if (active_ >= limit_) {
      offer = settle();
    } else {
      start_serving(x);
      it = next_item(x, ended);
      if (it == nullptr) {
        stop_serving(x, ended);
        offer = settle();
        heir = take_heir();
      } else if (leads(w)) {
        leader_.store(&w, base::order::relaxed);
        leading = true;
        // What came before may get stuck behind the first item; who comes later watches (submit()).
        base::fence_light();  // pairs with look(): it sees whom we serve, or we see what came before it
        watch = !one_at_a_time() && (!run_.empty() || head_of(word_.load(base::order::seq_cst)) != nullptr);
      } else {
        taken_out = take_out_if_intensive(x);
        offer = settle();
      }
    }
  }
  if (heir != nullptr) heir->unplug();
  ended.complete_all();
  if (offer) pool.offer(*this);
  if (taken_out) pool.left_count();  // WQ-78: the next of a chain may start
  if (it == nullptr) return;
  if (leading) {
    if (watch && !pool.watched()) pool.watch();
    lead(x, it);
  } else {
    const std::uint64_t start = base::clock::ticks();
    x.began_ticks.store(start, base::order::relaxed);
    if (run(x, *it)) finish(x, start, true);
  }
}

bool pool_workqueue::turn_may_end(const execution& x, bool in_the_middle) const noexcept {
  return x.handed.empty() && (in_the_middle || run_.empty());
}

// Runs items until there are none, others wait, or somebody took the lead away.
void pool_workqueue::lead(execution& x, item* it) noexcept {
  sched::worker_pool& pool = *pool_;
  const std::uint64_t start = base::clock::ticks();
  std::uint64_t window = start;  // when the last items_per_turn items began
  std::uint64_t counted = 0;     // of the items, how many are in started_
  bool turn_due = false;
  bool quick = short_items_.load(base::order::relaxed);
  for (std::uint64_t items = 1;; ++items) {
    if (!run(x, *it)) return;
    waiter_chain ended;
    // Items that are not known to be short, as those of ordered queues may be, get a look each.
    const bool boundary = items % items_per_turn == 0;
    if (boundary && quick) {
      const std::uint64_t now = base::clock::ticks();
      quick = now - window < items_per_turn * base::clock::ticks_of_ns(long_item_ns);
      window = now;
    }
    if (boundary || !quick) {
      turn_due = pool.more() || pool.too_many_awake();
      started_.fetch_add(items - counted, base::order::relaxed);
      counted = items;
    }
    const bool in_the_middle = turn_due && (!quick || items % items_per_turn_most == 0);
    pool_workqueue* heir = nullptr;
    if (x.worker.bias.enter()) {
      it = turn_due && turn_may_end(x, in_the_middle) ? nullptr : next_item(x, ended);
      const bool offer = it == nullptr && resign(x, ended, heir, base::clock::ticks() - start, items, counted);
      x.worker.bias.leave();
      if (heir != nullptr) heir->unplug();
      ended.complete_all();
      if (offer) pool.offer(*this);
    } else {
      bool offer = false;
      {
        const visit hold{*this};
        x.worker.bias.acknowledge(x.messages);
        x.messages = 0;
        if (leader_.load(base::order::relaxed) != &x.worker) {            // taken away: one execution among others now
          started_.fetch_add(items - counted - 1, base::order::relaxed);  // finish() counts the last one
          break;
        }
        pool.join_count(x.worker);
        it = turn_due && turn_may_end(x, in_the_middle) ? nullptr : next_item(x, ended);
        offer = it == nullptr && resign(x, ended, heir, base::clock::ticks() - start, items, counted);
      }
      if (heir != nullptr) heir->unplug();
      ended.complete_all();
      if (offer) pool.offer(*this);
    }
    if (it == nullptr) return;
  }
  finish(x, start, false);
}

// The leader's last act in its section or under the lock; until then nobody else serves the queue as leader.
bool pool_workqueue::resign(execution& x, waiter_chain& ended, pool_workqueue*& heir, std::uint64_t ticks,
                            std::uint64_t items, std::uint64_t counted) noexcept {
  started_.fetch_add(items - counted, base::order::relaxed);
  ended.add_all(x.waiters);
  x.running = nullptr;
  take_average(ticks, items);
  charge_cpu(x.worker, ticks);
  stop_serving(x, ended);
  const bool offer = settle();
  heir = take_heir();
  leader_.store(nullptr, base::order::release);  // pairs with visit
  return offer;
}

// One item has ended that was not run as leader (any more). Since `start_ticks` the queue is served, and that item was
// `alone` in it.
void pool_workqueue::finish(execution& x, std::uint64_t start_ticks, bool alone) noexcept {
  sched::worker_pool& pool = *pool_;
  for (;;) {
    waiter_chain ended;
    item* it = nullptr;
    bool offer = false;
    bool taken_out = false;
    pool_workqueue* heir = nullptr;
    const std::uint64_t ticks = base::clock::ticks() - start_ticks;
    {
      const visit hold{*this};
      WRING_ASSERT(x.messages == 0, x.messages, name_);  // only leaders get any
      pool.join_count(x.worker);
      if (alone) take_average(ticks, 1);
      started_.fetch_add(1, base::order::relaxed);
      it = next_handed(x, ended);
      if (it == nullptr) {
        charge_cpu(x.worker, ticks);
        stop_serving(x, ended);
        offer = reopen();
        heir = take_heir();
      } else {
        taken_out = take_out_if_intensive(x);
      }
    }
    if (heir != nullptr) heir->unplug();
    ended.complete_all();
    if (offer) pool.offer(*this);
    if (taken_out) pool.left_count();
    if (it == nullptr) return;
    x.began_ticks.store(base::clock::ticks(), base::order::relaxed);
    if (!run(x, *it)) return;
    alone = false;
  }
}

// The leader is in a long item, or has queued what it made there: others may start what waits.
bool pool_workqueue::give_up_lead(execution& x, visit& hold) noexcept {
  hold.leave_message(x);
  leader_.store(nullptr, base::order::relaxed);
  forget_short_items();
  return settle();
}

// ---- on behalf of the pool --------------------------------------------------------------------------------

bool pool_workqueue::leave_count(sched::worker& w, std::uint8_t why, const std::uint64_t* seq) {
  sched::worker_pool* pool = nullptr;
  bool offer = false;
  bool queued_some = false;
  {
    visit hold{*this};
    if (w.serving.load(base::order::relaxed) != this) return false;
    pool = pool_;  // while the worker is in its item; once the queue is released it may end
    if (seq != nullptr && w.turns.load(base::order::relaxed) != *seq) return false;
    if (seq != nullptr && w.out_of_count.load(base::order::relaxed) != 0) return false;
    if (!pool->mark(w, why)) return false;  // it was out of the count, and keeps nothing
    auto& x = *static_cast<execution*>(w.frame);
    queued_some = !WRING_PLANT(kept_through_a_wait) && list_kept_of(w);
    hold.leave_message(x);
    // With max_active 1 nobody could start anything meanwhile, and the leader goes on leading afterwards.
    if (leader_.load(base::order::relaxed) == &w && !one_at_a_time()) {
      base::sometimes("leader blocked and gave its queue back");
      leader_.store(nullptr, base::order::relaxed);
      forget_short_items();
      if (!WRING_PLANT(batch_lost_on_block)) offer = settle();
    } else if (queued_some) {
      offer = schedule();
    }
    if (why == sched::worker::cpu_intensive) {
      ++cpu_intensive_seen_;
    } else if (offer || pool->more()) {
      ++cm_wakeups_;
    }
  }
  if (queued_some) call_back_elsewhere();
  if (offer) {
    pool->offer(*this);
  } else if (queued_some && !pool->watched()) {
    pool->watch();
  }
  pool->left_count();
  return true;
}

void pool_workqueue::join_count(sched::worker& w, std::uint8_t reasons, bool self) {
  const visit hold{*this};
  if (!self && w.serving.load(base::order::relaxed) != this) return;
  pool_->join_count(w, reasons);
}

bool pool_workqueue::look(sched::worker& w, sight& seen) {
  const visit hold{*this};
  if (w.serving.load(base::order::relaxed) != this) return false;
  const auto& x = *static_cast<execution*>(w.frame);
  seen.code = w.code.load(base::order::relaxed);
  seen.began_ticks = x.began_ticks.load(base::order::relaxed);
  return true;
}

bool pool_workqueue::relieve(sched::worker& w, std::uint64_t seq) {
  // Without the lock: most do not lead, nor keep anything; pairs with serve().
  if (leader_.load(base::order::acquire) != &w && w.kept.load(base::order::relaxed) == 0) return false;
  bool offer = false;
  bool queued_some = false;
  {
    visit hold{*this};
    if (w.serving.load(base::order::relaxed) != this || w.turns.load(base::order::relaxed) != seq) return false;
    queued_some = !WRING_PLANT(kept_children_not_relieved) && list_kept_of(w);
    if (leader_.load(base::order::relaxed) == &w && !one_at_a_time()) {
      if (run_.empty() && head_of(word_.load(base::order::seq_cst)) == nullptr) return false;  // pairs with submit()
      offer = give_up_lead(*static_cast<execution*>(w.frame), hold);
    } else if (queued_some) {
      offer = schedule();
    }
  }
  if (queued_some) call_back_elsewhere();
  if (offer) pool_->offer(*this);
  return offer || queued_some;
}

}  // namespace wring::detail
