// SPDX-License-Identifier: Apache-2.0

#include "iowq/queue.h"

#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/worker.h"

namespace wring::iowq {

worker*& queue::all_links::next(worker& w) noexcept { return w.next_all; }
worker*& queue::all_links::prev(worker& w) noexcept { return w.prev_all; }
worker*& queue::free_links::next(worker& w) noexcept { return w.next_free; }
worker*& queue::free_links::prev(worker& w) noexcept { return w.prev_free; }

queue::queue(pool& home, account_kind kind, unsigned limit) noexcept
    : pool_{home}, of_both_{false}, kind_{kind}, node_{0} {
  of(kind).limit = limit;
}
queue::queue(pool& home, unsigned node, const io_limits& limits) noexcept
    : pool_{home}, of_both_{true}, kind_{account_kind::bounded}, node_{node} {
  of(account_kind::bounded).limit = limits.bounded;
  of(account_kind::unbounded).limit = limits.unbounded;
}

// ---- enqueue (README.md, 4) ----

queue::entry queue::enqueue(io_work& it) noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    const account_kind k = account_of(it);
    if (pool_.refuses() || has(it, item_word::cancelled) || !admits(k)) return entry::refused;
    insert(it);
    // H5: it goes with its chain, of whose release this queue will be told.
    const bool is_stalled_too =
        stalled_ && has(it, item_word::hashed) && (mask.load(base::order::relaxed) >> bucket_of(it) & 1) != 0;
    if (is_stalled_too) return entry::taken;
    stalled_ = false;
    of(k).wants.store(true, base::order::seq_cst);  // pairs with left_count()
    o = decide(k, has(it, item_word::concurrent), trigger::enqueue);
  }
  return pay(o) ? entry::taken : entry::failed;
}

// IOWQ-24
bool queue::admits(account_kind k) const noexcept {
  if (!of_both_ || k == account_kind::bounded) return true;
  const account now = numbers(k);
  return pool_.admits_unbounded(now.running, now.free);
}

void queue::insert(io_work& it) noexcept {
  ++of(account_of(it)).queued;
  if (!has(it, item_word::hashed)) {
    waiting_.push_back(it);
    return;
  }
  io_work*& last = tail_[bucket_of(it)];
  if (last != nullptr) {
    waiting_.insert_after(*last, it);
  } else {
    waiting_.push_back(it);
  }
  last = &it;
}

void queue::unlink(io_work& it) noexcept {
  if (has(it, item_word::hashed) && tail_[bucket_of(it)] == &it) {
    io_work* const before = work_list::prev(it);
    tail_[bucket_of(it)] = is_of_bucket(before, bucket_of(it)) ? before : nullptr;
  }
  waiting_.remove(it);
  --of(account_of(it)).queued;
}

void queue::unlink_all(account_kind k, work_list& out) noexcept {
  for (io_work* it = waiting_.front(); it != nullptr;) {
    io_work* const after = work_list::next(*it);
    if (account_of(*it) == k) {
      unlink(*it);
      out.push_back(*it);
    }
    it = after;
  }
  forget_wishes();
}

// Of what is not there any more.
void queue::forget_wishes() noexcept {
  for (ledger& l : ledgers_) {
    if (l.queued == 0) l.wants.store(false, base::order::relaxed);
  }
  if (waiting_.empty()) stalled_ = false;
}

// Something has changed for what waits.
void queue::wish_again() noexcept {
  stalled_ = false;
  for (ledger& l : ledgers_) {
    if (l.queued != 0) l.wants.store(true, base::order::seq_cst);  // pairs with left_count()
  }
}

// ---- take (README.md, 5) ----

bool queue::take(worker& w) noexcept {
  std::array<bool, 2> left_to_others{};  // at their limit, those of that kind will come by
  for (io_work* it = waiting_.front(); it != nullptr;) {
    const account_kind k = account_of(*it);
    const bool hashed = has(*it, item_word::hashed);
    const unsigned bucket = hashed ? bucket_of(*it) : worker::no_bucket;
    if (!may_run(w, k)) {
      left_to_others.at(static_cast<std::size_t>(k)) = true;
      if (hashed) left_to_others.fill(true);  // what is behind it in its chain may be of either kind
    } else if (!hashed || pool_.domain().acquire(bucket, *this)) {
      if (k != w.kind) change_kind(w, k);
      if (hashed) {
        take_chain(w, *it, bucket);
      } else {
        unlink(*it);
        work_list none;
        w.take(*it, none, bucket);
      }
      forget_wishes();
      return true;
    }
    it = work_list::next(hashed ? *tail_[bucket] : *it);
  }
  bool all_stalled = !waiting_.empty();
  for (const account_kind k : both_kinds) {
    const bool is_left = left_to_others.at(static_cast<std::size_t>(k));
    if (!is_left) of(k).wants.store(false, base::order::relaxed);
    all_stalled = all_stalled && !is_left;
  }
  stalled_ = all_stalled;
  if (stalled_) base::sometimes("a queue is stalled");
  return false;
}

bool queue::may_run(const worker& w, account_kind k) const noexcept {
  return k == w.kind || (of_both_ && of(k).workers < of(k).limit);
}

// IOWQ-22; it counts as running.
void queue::change_kind(worker& w, account_kind k) noexcept {
  base::sometimes("an I/O worker changes its kind");
  ledger& before = of(w.kind);
  ledger& after = of(k);
  ++after.workers;
  --before.workers;
  after.most = std::max(after.most, after.workers);
  after.running.fetch_add(1, base::order::seq_cst);   // pairs with left_count()
  before.running.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
  if (!WRING_PLANT(kind_without_charge)) {
    pool_.charge(k, 1);
    pool_.charge(w.kind, -1);
  }
  w.kind = k;
}

// From `first` up to the tail of its bucket, or to where the kind changes.
void queue::take_chain(worker& w, io_work& first, unsigned bucket) noexcept {
  io_work* const last = tail_[bucket];
  work_list rest;
  for (io_work* it = &first;;) {
    io_work* const after = work_list::next(*it);
    waiting_.remove(*it);
    --of(w.kind).queued;
    if (it != &first) rest.push_back(*it);
    if (it == last) tail_[bucket] = nullptr;
    if (it == last || account_of(*after) != w.kind) break;
    it = after;
  }
  w.take(first, rest, bucket);
}

void queue::bucket_released() noexcept {
  {
    const base::lock_guard lock{mu_};
    if (waiting_.empty()) return;
    wish_again();
  }
  see_to_all(trigger::note);
}

// ---- park and leave ----

void queue::left_count(account_kind k) noexcept {
  ledger& l = of(k);
  const std::uint32_t others = l.running.fetch_sub(1, base::order::seq_cst) - 1;  // D1; pairs with decide()
  if (!l.wants.load(base::order::seq_cst)) return;  // D2; pairs with enqueue(), wish_again()
  if (others != 0 && !(others < pool_.enough() && l.has_free.load(base::order::seq_cst))) return;  // choose()
  owed o;
  {
    const base::lock_guard lock{mu_};
    o = decide(k, false, trigger::note);
  }
  pay(o);
}

queue::turn queue::next(worker& w) noexcept {
  turn what{};
  worker* follower = nullptr;
  owed o;
  {
    const base::lock_guard lock{mu_};
    const account_kind before = w.kind;
    what = choose(w);
    // Who was stalled at the end of the pool learns that there is nothing left, and tells the next one.
    if (what == turn::leave && pool_.exiting() && waiting_.empty()) follower = any_free();
    if (what == turn::run && w.kind != before) o = decide(before, false, trigger::note);
  }
  if (follower != nullptr) follower->wake();
  pay(o);
  return what;
}

queue::turn queue::choose(worker& w) noexcept {
  if (take(w)) return turn::run;
  if (w.wears_something()) return turn::undress;
  ledger& l = of(w.kind);
  l.running.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
  if (leaves(idleness_of(w, false))) {
    leave(w);
    return turn::leave;
  }
  w.is_free = true;
  l.free.push_front(w);
  ++l.free_count;
  l.has_free.store(true, base::order::seq_cst);  // pairs with left_count()
  return turn::park;
}

idleness queue::idleness_of(const worker& w, bool timed_out) const noexcept {
  return {.timed_out = timed_out,
          .last_one = !of_both_ && of(w.kind).workers == 1,
          .fixed = w.is_fixed,
          .outside = timed_out && !pool_.may_use(w.last_cpu()),
          .exit_on_idle = pool_.exits_on_idle(),
          .exiting = pool_.exiting(),
          .waits = !waiting_.empty()};
}

queue::turn queue::timed_out(worker& w) noexcept {
  const base::lock_guard lock{mu_};
  if (!w.is_free) return turn::run;
  if (!leaves(idleness_of(w, true))) return turn::park;
  leave_free(w);
  leave(w);
  return turn::leave;
}

void queue::leave_free(worker& w) noexcept {
  ledger& l = of(w.kind);
  w.is_free = false;
  l.free.remove(w);
  if (--l.free_count == 0) l.has_free.store(false, base::order::seq_cst);  // pairs with left_count()
}

// Counted from here on; a token is owed.
worker& queue::take_off_free(worker& w) noexcept {
  leave_free(w);
  joined_count(w.kind);
  return w;
}

// One that may run an item of that kind, of which numbers() has told. It is of that kind from here on: who counts as
// running in a kind looks for it again before it leaves the count.
worker& queue::wake_free(account_kind k) noexcept {
  worker& w = take_off_free(of(k).free_count != 0 ? *of(k).free.front() : *of(other_than(k)).free.front());
  if (w.kind != k && !WRING_PLANT(woken_in_its_own_kind)) change_kind(w, k);
  return w;
}

worker* queue::any_free() noexcept {
  for (const ledger& l : ledgers_) {
    if (l.free_count != 0) return &take_off_free(*l.free.front());
  }
  return nullptr;
}

void queue::leave(worker& w) noexcept {
  all_.remove(w);
  --of(w.kind).workers;
  if (w.is_fixed) has_fixed_ = false;
  pool_.charge(w.kind, -1);
}

unsigned queue::all_workers() const noexcept {
  return of(account_kind::bounded).workers + of(account_kind::unbounded).workers;
}

void queue::give_back(worker& w) noexcept {
  work_list back;
  work_list failing;
  unsigned bucket = worker::no_bucket;
  {
    const base::lock_guard lock{mu_};
    const worker::unbegun its = w.put_back(back);
    bucket = its.bucket;
    for (io_work* it = back.front(); it != nullptr;) {
      io_work* const after = work_list::next(*it);
      if (has_stopped(account_of(*it))) {
        back.remove(*it);
        failing.push_back(*it);
      }
      it = after;
    }
    io_work* const last = back.back();
    for (io_work* it = back.pop_back(); it != nullptr; it = back.pop_back()) {
      // In front of its bucket, which is to stay in one piece.
      io_work* before = nullptr;
      if (bucket != worker::no_bucket && tail_[bucket] != nullptr) {
        before = tail_[bucket];
        while (is_of_bucket(before, bucket)) before = work_list::prev(*before);
      }
      if (before != nullptr) {
        waiting_.insert_after(*before, *it);
      } else {
        waiting_.push_front(*it);
      }
      ++of(account_of(*it)).queued;
      if (bucket != worker::no_bucket && tail_[bucket] == nullptr) tail_[bucket] = last;
    }
    leave(w);
    if (its.counted) of(w.kind).running.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
    wish_again();
  }
  if (bucket != worker::no_bucket) pool_.domain().release(bucket, nullptr);
  see_to_all(trigger::note);
  pool_.fail_all(failing);
}

account queue::numbers(account_kind k) const noexcept {
  const ledger& l = of(k);
  const bool others_may = of_both_ && l.workers < l.limit;
  return {.free = l.free_count + (others_may ? of(other_than(k)).free_count : 0),
          .running = l.running.load(base::order::seq_cst),  // pairs with left_count() and joined_count()
          .enough = pool_.enough(),
          .workers = l.workers,
          .limit = l.limit};
}

}  // namespace wring::iowq
