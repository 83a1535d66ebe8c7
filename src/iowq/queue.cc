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

queue::queue(pool& home, bool bounded, unsigned limit) noexcept : pool_{home}, bounded_{bounded}, limit_{limit} {}

// ---- enqueue (README.md, 4) ----

queue::entry queue::enqueue(io_work& it) noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    if (pool_.exiting() || has(it, item_word::cancelled)) return entry::refused;
    insert(it);
    // H5: it goes with its chain, of whose release this queue will be told.
    const bool is_stalled_too =
        stalled_ && has(it, item_word::hashed) && (mask.load(base::order::relaxed) >> bucket_of(it) & 1) != 0;
    if (is_stalled_too) return entry::taken;
    stalled_ = false;
    wants_.store(true, base::order::seq_cst);  // pairs with left_count()
    o = decide(has(it, item_word::concurrent), trigger::enqueue);
  }
  return pay(o) ? entry::taken : entry::failed;
}

void queue::insert(io_work& it) noexcept {
  ++queued_;
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
  --queued_;
}

void queue::unlink_all(work_list& out) noexcept {
  out.append(waiting_);
  tail_.fill(nullptr);
  queued_ = 0;
  stalled_ = false;
  wants_.store(false, base::order::relaxed);
}

// ---- take (README.md, 5) ----

bool queue::take(worker& w) noexcept {
  for (io_work* it = waiting_.front(); it != nullptr;) {
    if (!has(*it, item_word::hashed)) {
      unlink(*it);
      work_list none;
      w.take(*it, none, worker::no_bucket);
      if (waiting_.empty()) wants_.store(false, base::order::relaxed);
      return true;
    }
    const unsigned bucket = bucket_of(*it);
    if (pool_.domain().acquire(bucket, *this)) {
      take_chain(w, *it, bucket);
      if (waiting_.empty()) wants_.store(false, base::order::relaxed);
      return true;
    }
    it = work_list::next(*tail_[bucket]);
  }
  if (!waiting_.empty()) {
    base::sometimes("a queue is stalled");
    stalled_ = true;
  }
  wants_.store(false, base::order::relaxed);
  return false;
}

// From `first` up to the tail of its bucket.
void queue::take_chain(worker& w, io_work& first, unsigned bucket) noexcept {
  io_work* const last = tail_[bucket];
  work_list rest;
  for (io_work* it = &first;;) {
    io_work* const after = work_list::next(*it);
    waiting_.remove(*it);
    --queued_;
    if (it != &first) rest.push_back(*it);
    if (it == last) break;
    it = after;
  }
  tail_[bucket] = nullptr;
  w.take(first, rest, bucket);
}

void queue::bucket_released() noexcept {
  owed o;
  {
    const base::lock_guard lock{mu_};
    if (waiting_.empty()) return;
    stalled_ = false;
    wants_.store(true, base::order::seq_cst);  // pairs with left_count()
    o = decide(false, trigger::note);
  }
  pay(o);
}

// ---- park and leave ----

void queue::left_count() noexcept {
  const std::uint32_t others = running_.fetch_sub(1, base::order::seq_cst) - 1;  // D1; pairs with decide()
  // D2; pairs with enqueue(), bucket_released().
  if (!wants_.load(base::order::seq_cst)) return;
  if (others != 0 && !(others < pool_.enough() && has_free_.load(base::order::seq_cst)))
    return;  // leave_free(), next()
  owed o;
  {
    const base::lock_guard lock{mu_};
    o = decide(false, trigger::note);
  }
  pay(o);
}

queue::turn queue::next(worker& w) noexcept {
  turn what{};
  worker* follower = nullptr;
  {
    const base::lock_guard lock{mu_};
    what = choose(w);
    // Who was stalled at the end of the pool learns that there is nothing left, and tells the next one.
    if (what == turn::leave && pool_.exiting() && waiting_.empty() && free_count_ != 0) follower = &wake_free();
  }
  if (follower != nullptr) follower->wake();
  return what;
}

queue::turn queue::choose(worker& w) noexcept {
  if (take(w)) return turn::run;
  if (w.wears_something()) return turn::undress;
  running_.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
  const idleness now{.timed_out = false,
                     .last_one = workers_ == 1,
                     .outside = false,
                     .exit_on_idle = pool_.exits_on_idle(),
                     .exiting = pool_.exiting(),
                     .waits = !waiting_.empty()};
  if (leaves(now)) {
    leave(w);
    return turn::leave;
  }
  w.is_free = true;
  free_.push_front(w);
  ++free_count_;
  has_free_.store(true, base::order::seq_cst);  // pairs with left_count()
  return turn::park;
}

queue::turn queue::timed_out(worker& w) noexcept {
  const base::lock_guard lock{mu_};
  if (!w.is_free) return turn::run;
  const idleness now{.timed_out = true,
                     .last_one = workers_ == 1,
                     .outside = !pool_.may_use(w.last_cpu()),
                     .exit_on_idle = pool_.exits_on_idle(),
                     .exiting = pool_.exiting(),
                     .waits = !waiting_.empty()};
  if (!leaves(now)) return turn::park;
  leave_free(w);
  leave(w);
  return turn::leave;
}

void queue::leave_free(worker& w) noexcept {
  w.is_free = false;
  free_.remove(w);
  if (--free_count_ == 0) has_free_.store(false, base::order::seq_cst);  // pairs with left_count()
}

worker& queue::wake_free() noexcept {
  worker& w = *free_.front();
  leave_free(w);
  running_.fetch_add(1, base::order::seq_cst);  // pairs with left_count()
  return w;
}

void queue::leave(worker& w) noexcept {
  all_.remove(w);
  --workers_;
}

void queue::give_back(worker& w) noexcept {
  work_list back;
  work_list failing;
  unsigned bucket = worker::no_bucket;
  owed o;
  {
    const base::lock_guard lock{mu_};
    const worker::unbegun its = w.put_back(back);
    bucket = its.bucket;
    if (has_stopped()) failing.append(back);
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
      ++queued_;
      if (bucket != worker::no_bucket && tail_[bucket] == nullptr) tail_[bucket] = last;
    }
    leave(w);
    if (its.counted) running_.fetch_sub(1, base::order::seq_cst);  // pairs with decide()
    if (!waiting_.empty()) {
      stalled_ = false;
      wants_.store(true, base::order::seq_cst);  // pairs with left_count()
      o = decide(false, trigger::note);
    }
  }
  if (bucket != worker::no_bucket) pool_.domain().release(bucket, nullptr);
  pay(o);
  pool_.fail_all(failing);
}

account queue::numbers() const noexcept {
  // Pairs with left_count() and joined_count().
  return {free_count_, running_.load(base::order::seq_cst), pool_.enough(), workers_, limit_};
}

}  // namespace wring::iowq
