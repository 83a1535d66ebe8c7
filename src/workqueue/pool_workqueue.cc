// SPDX-License-Identifier: Apache-2.0

#include "workqueue/pool_workqueue.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

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

// ---- publishing -------------------------------------------------------------------------------------------

pool_workqueue::answer pool_workqueue::submit(item& it, bool runs_here) noexcept {
  sched::worker_pool* const pool = pool_;  // before the item is published: then the queue may end at any time
  place_of(it).store(item_place::make(*this), base::order::relaxed);
  std::uint64_t w = word_.load(base::order::relaxed);
  std::uint64_t desired = 0;
  do {
    if ((w & (closed | retired)) != 0) [[unlikely]] {
      if (const answer e = may_enter(it, w, runs_here); e != answer::taken) return e;
    }
    it.next = head_of(w);
    desired = reinterpret_cast<std::uintptr_t>(&it) | (w & word_flags);
    if ((w & (scheduled | full)) == 0) desired |= scheduled;
  } while (!word_.compare_exchange_weak(w, desired, base::order::seq_cst, base::order::relaxed));  // with drain_inbox()
  if ((w & (scheduled | full)) == 0) {
    pool->offer(*this);
  } else if (short_items_.load(base::order::relaxed) && !pool->watched()) {
    pool->watch();  // a leader may be stuck in an item that is not short
  }
  return answer::taken;
}

// A retired one still takes children of groups that its own callbacks wait for, so that a waiter finds them where it
// may run them itself, and items that it runs (WQ-61).
pool_workqueue::answer pool_workqueue::may_enter(const item& it, std::uint64_t word, bool runs_here) noexcept {
  if ((word & retired) != 0 && !runs_here) {
    const bool is_child = (state_of(const_cast<item&>(it)).load(base::order::relaxed) & item_state::child) != 0;
    if (!is_child || !inside(*this)) return answer::moved;
  }
  return (word & closed) == 0 || chained_or_reject() ? answer::taken : answer::refused;
}

bool pool_workqueue::chained_or_reject() noexcept {
  if (inside_queue_of(*this)) return true;
  if (core_->shutting_down() && inside(*core_)) return true;  // all queues end together, and may feed each other
  rejected_.fetch_add(1, base::order::relaxed);
  if (!rejection_reported_.exchange(true, base::order::relaxed)) {
    core_->report().warn("an item was queued on '" + name() +
                         (core_->shutting_down() ? "' after the shutdown() of its runtime"
                                                 : "' while it is being drained or destroyed") +
                         "; refused (reported once for this queue)");
  }
  return false;
}

// ---- what the holder does ---------------------------------------------------------------------------------

void pool_workqueue::drain_inbox() noexcept {
  if (head_of(word_.load(base::order::relaxed)) == nullptr) return;
  item* it = head_of(word_.fetch_and(word_flags, base::order::acq_rel));  // pairs with submit()
  if (it == nullptr) return;
  item* const last = it;  // newest first
  item* first = nullptr;
  const std::uint64_t place = item_place::make(*this, item_place::listed, tail_colour_);
  while (it != nullptr) {
    item* const older = it->next;
    it->next = first;
    if (first != nullptr) first->prev = it;
    place_of(*it).store(place, base::order::relaxed);
    first = it;
    it = older;
  }
  run_.append_chain(*first, *last);
}

// Who runs `it` on this queue at the moment, going by the worker that its state names.
execution* pool_workqueue::runs(const item& it, std::uint64_t state) noexcept {
  if ((state & item_state::worker_mask) == 0) return nullptr;
  const item_state::worker_number n = item_state::worker_of(state);
  if (n.pool != pool_->index()) return nullptr;
  sched::worker* const w = pool_->at(n.worker);
  if (w == nullptr || w->serving.load(base::order::relaxed) != this) return nullptr;
  auto* const x = static_cast<execution*>(w->frame);
  return x->running == &it ? x : nullptr;
}

// `first` followed an item that went to x: the barriers that belong to it follow.
void pool_workqueue::take_linked(item* first, item_list& from, execution& x) noexcept {
  while (first != nullptr) {
    item* const following = item_list::next(*first);
    const bool more = (state_of(*first).load(base::order::relaxed) & item_state::linked) != 0;
    from.remove(*first);
    x.handed.push_back(*first);
    if (!more) return;
    first = following;
  }
}

void pool_workqueue::begin(execution& x, item& it) noexcept {
  place_of(it).store(item_place::make(*this), base::order::relaxed);
  x.running = &it;
  x.gone = false;
  const std::uint64_t state = state_of(it).load(base::order::relaxed);
  x.one_shot = (state & item_state::one_shot) != 0;
  if ((state & item_state::child) != 0) item_access::child_leaves_queue(it);
  if (x.worker.is_rescuer && rescue != nullptr) rescue->rescued.fetch_add(1, base::order::relaxed);
  x.worker.begin_turn();
}

// The run of x has ended. What x was handed comes before all else; null: nothing.
item* pool_workqueue::next_handed(execution& x, waiter_chain& ended) noexcept {
  ended.add_all(x.waiters);
  x.running = nullptr;
  while (item* const it = x.handed.pop_front()) {
    if ((state_of(*it).load(base::order::relaxed) & item_state::barrier) != 0) {
      ended.add(static_cast<barrier_item*>(it)->end);
      continue;
    }
    // Its turn was when it was handed over; since then it is in flight in the colour of that moment.
    --in_flight_[x.colour];
    x.colour = item_place::colour_of(place_of(*it).load(base::order::relaxed));
    flush_progress(ended);
    begin(x, *it);
    return it;
  }
  return nullptr;
}

// For the owner of `scheduled`: the item that x runs next; null: none.
item* pool_workqueue::next_item(execution& x, waiter_chain& ended) noexcept {
  if (item* const it = next_handed(x, ended)) return it;
  if (active_ > limit_) return nullptr;  // lowered since x began
  for (;;) {
    item* it = run_.pop_front();
    if (it == nullptr) {
      drain_inbox();
      it = run_.pop_front();
      if (it == nullptr) return nullptr;
    }
    const std::uint64_t state = state_of(*it).load(base::order::relaxed);
    WRING_ASSERT((state & item_state::barrier) == 0, base::hex{state}, name_);  // they leave the list with their item
    if ((state & item_state::marker) != 0) [[unlikely]] {
      pass_marker(*static_cast<flusher::marker_item*>(it)->flush, ended);
      continue;
    }
    // Still running elsewhere: it goes to that worker, which runs it next (WQ-61).
    if (active_ > 1 && (state & item_state::one_shot) == 0) {
      execution* const other = runs(*it, state);
      if (other != nullptr && other != &x) {
        base::sometimes("item handed to the worker that runs it");
        item* const following = run_.front();
        place_of(*it).store(item_place::make(*this, item_place::listed | item_place::handed, colour_),
                            base::order::relaxed);
        ++in_flight_[colour_];
        if (!WRING_PLANT(handed_item_lost)) other->handed.push_back(*it);
        if ((state & item_state::linked) != 0) take_linked(following, run_, *other);
        continue;
      }
    }
    if ((state & item_state::linked) != 0) take_linked(run_.front(), run_, x);
    if (x.colour != colour_) {
      --in_flight_[x.colour];
      x.colour = colour_;
      ++in_flight_[x.colour];
      flush_progress(ended);
    }
    begin(x, *it);
    return it;
  }
}

void pool_workqueue::start_serving(execution& x) noexcept {
  ++active_;
  x.colour = colour_;
  ++in_flight_[x.colour];
  x.worker.frame = &x;
  x.worker.code.store(nullptr, base::order::relaxed);
  x.worker.serving.store(this, base::order::release);  // pairs with the timekeeper's look, and watch_run()
  if (x.worker.repatriated) [[unlikely]] {
    x.worker.repatriated = false;
    ++repatriated_;
  }
}

void pool_workqueue::stop_serving(execution& x, waiter_chain& ended) noexcept {
  --active_;
  if (active_ <= limit_) lowered_ = false;
  --in_flight_[x.colour];
  if (WRING_PLANT(flush_counted_twice) && in_flight_[x.colour] != 0) --in_flight_[x.colour];
  x.worker.serving.store(nullptr, base::order::release);
  x.worker.frame = nullptr;
  flush_progress(ended);
}

// The caller owns `scheduled` and does not serve any more. True: it must offer the queue to the pool.
bool pool_workqueue::settle() noexcept {
  if (active_ >= limit_) {
    full_ = true;
    word_.fetch_xor(scheduled | full, base::order::acq_rel);
    return false;
  }
  std::uint64_t w = word_.load(base::order::relaxed);
  for (;;) {
    if (!run_.empty() || head_of(w) != nullptr) return true;
    if (word_.compare_exchange_weak(w, w & ~scheduled, base::order::acq_rel, base::order::relaxed)) return false;
    base::cpu_relax();
  }
}

// A slot of max_active has become free, or there are more. True: the caller must offer the queue to the pool.
bool pool_workqueue::reopen() noexcept {
  if (!full_ || active_ >= limit_) return false;
  full_ = false;
  std::uint64_t w = word_.load(base::order::relaxed);
  for (;;) {
    if (!run_.empty() || head_of(w) != nullptr) {
      // It stays so, because only who holds the queue empties the inbox; a producer that never stops must not
      // keep us in this loop.
      word_.fetch_xor(full | scheduled, base::order::acq_rel);
      return true;
    }
    if (word_.compare_exchange_weak(w, w & ~full, base::order::acq_rel, base::order::relaxed)) return false;
    base::cpu_relax();
  }
}

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

bool pool_workqueue::idle() const noexcept {
  return active_ == 0 && run_.empty() && passed_ == nullptr && head_of(word_.load(base::order::acquire)) == nullptr;
}

// ---- running ----------------------------------------------------------------------------------------------

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

// ---- on behalf of the pool --------------------------------------------------------------------------------

bool pool_workqueue::leave_count(sched::worker& w, std::uint8_t why, const std::uint64_t* seq) {
  sched::worker_pool* pool = nullptr;
  bool offer = false;
  {
    visit hold{*this};
    if (w.serving.load(base::order::relaxed) != this) return false;
    pool = pool_;  // while the worker is in its item; once the queue is released it may end
    if (seq != nullptr && w.turns.load(base::order::relaxed) != *seq) return false;
    if (seq != nullptr && w.out_of_count.load(base::order::relaxed) != 0) return false;
    if (!pool->mark(w, why)) return false;
    auto& x = *static_cast<execution*>(w.frame);
    hold.leave_message(x);
    // With max_active 1 nobody could start anything meanwhile, and the leader goes on leading afterwards.
    if (leader_.load(base::order::relaxed) == &w && !one_at_a_time()) {
      base::sometimes("leader blocked and gave its queue back");
      leader_.store(nullptr, base::order::relaxed);
      forget_short_items();
      if (!WRING_PLANT(batch_lost_on_block)) offer = settle();
    }
    if (why == sched::worker::cpu_intensive) {
      ++cpu_intensive_seen_;
    } else if (offer || pool->more()) {
      ++cm_wakeups_;
    }
  }
  if (offer) pool->offer(*this);
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
  if (leader_.load(base::order::acquire) != &w) return false;  // without the lock: most do not lead; pairs with serve()
  bool offer = false;
  {
    visit hold{*this};
    if (w.serving.load(base::order::relaxed) != this || w.turns.load(base::order::relaxed) != seq) return false;
    if (leader_.load(base::order::relaxed) != &w || one_at_a_time()) return false;
    if (run_.empty() && head_of(word_.load(base::order::seq_cst)) == nullptr) return false;  // pairs with submit()
    hold.leave_message(*static_cast<execution*>(w.frame));
    leader_.store(nullptr, base::order::relaxed);
    forget_short_items();
    offer = settle();
  }
  if (offer) pool_->offer(*this);
  return offer;
}

// ---- one life ---------------------------------------------------------------------------------------------

void pool_workqueue::open(core& where, const workqueue_options& options, sched::worker_pool& its_pool,
                          unsigned its_max_active, pool_workqueue* its_first) {
  const std::uint64_t average = base::clock::ticks_of_ns(long_item_ns);
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
  average_ticks_ = average;
  short_items_.store(false, base::order::relaxed);
  rejection_reported_.store(false, base::order::relaxed);
  started_.store(0, base::order::relaxed);
  exceptions_.store(0, base::order::relaxed);
  rejected_.store(0, base::order::relaxed);
  cpu_intensive_seen_ = cm_wakeups_ = repatriated_ = 0;
  cpu_ns_ = 0;
  generation_.fetch_add(1, base::order::acq_rel);
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
    word_.fetch_or(closed, base::order::acq_rel);
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
  generation_.fetch_add(1, base::order::acq_rel);
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
  cpu_ns_ = 0;
  word_.store((destroying_ ? closed : 0) | (word_.load(base::order::relaxed) & retired), base::order::release);
}

std::string pool_workqueue::name() const {
  const base::lock_guard lock{mu_};  // a stale pointer may find the next life beginning
  return name_;
}

void pool_workqueue::misuse(const char* what, const std::string& with) {
  core_->report().misuse(std::string{what} + " (queue '" + name() + "'" + (with.empty() ? "" : ", " + with) + ")");
}

workqueue_stats pool_workqueue::stats() {
  const visit hold{*this};
  const std::uint64_t completed = started_.load(base::order::relaxed);
  std::int64_t cpu_ns = cpu_ns_;
  if (active_ != 0) {
    pool_->for_each_worker([&](const sched::worker& w) {
      if (w.serving.load(base::order::relaxed) == this)
        cpu_ns += w.cpu.to_be_charged(base::cpu_time_of(w.thread_id.load(base::order::relaxed)));
      return false;
    });
  }
  return {.name = name_,
          .max_active = max_active_.load(base::order::relaxed),
          .active = active_,
          .congested = active_ >= limit_ && (!run_.empty() || head_of(word_.load(base::order::relaxed)) != nullptr),
          .items_started = completed + active_,
          .items_completed = completed,
          .cpu_time = std::chrono::nanoseconds{cpu_ns},
          .cpu_intensive = cpu_intensive_seen_,
          .repatriated = repatriated_,
          .cm_wakeups = cm_wakeups_,
          .exceptions = exceptions_.load(base::order::relaxed),
          .rejected = rejected_.load(base::order::relaxed),
          .maydays = rescue != nullptr ? rescue->maydays.load(base::order::relaxed) : 0,
          .rescued = rescue != nullptr ? rescue->rescued.load(base::order::relaxed) : 0};
}

std::size_t pool_workqueue::waiting() noexcept {
  const visit hold{*this};
  drain_inbox();
  std::size_t n = 0;
  for (item* it = run_.front(); it != nullptr; it = item_list::next(*it)) {
    const std::uint64_t state = state_of(*it).load(base::order::relaxed);
    if ((state & (item_state::marker | item_state::barrier)) == 0) ++n;
  }
  return n;
}

}  // namespace wring::detail
