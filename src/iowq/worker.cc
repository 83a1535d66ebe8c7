// SPDX-License-Identifier: Apache-2.0

#include "iowq/worker.h"

#include "base/syscall.h"
#include "iowq/hash_domain.h"
#include "iowq/pool.h"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

namespace wring::iowq {

worker::worker() noexcept {
  repeat_.fire = repeat;
  repeat_.cookie = reinterpret_cast<std::uintptr_t>(this);
}

void worker::begin_life(queue& home, account_kind of) noexcept {
  home_ = &home;
  kind = of;
  is_fixed = false;
  holders_.store(2, base::order::relaxed);
  std::snprintf(name_, sizeof name_, "io-wrk-%u", home.home().owner_thread());
}

int worker::start() noexcept {
  return base::thread_create(thread_, {.name = name_, .stack_bytes = home_->home().home().options().stack_bytes}, main,
                             this);
}

void worker::main(void* self) {
  worker& w = *static_cast<worker*>(self);
  slot::get() = &w;
  sched::counted_thread::set_current(&w);
  w.run();
}

void worker::take_place() noexcept {
  tid_.store(base::thread_id(), base::order::relaxed);
  interruptee_.accept();
  take_cpus();
  static_cast<void>(sched::place::take_nice(home_->home().nice_of_workers()));
}

// What is refused, memory for the list too, stays as it is.
void worker::take_cpus() noexcept {
  moved_ = home_->home().moves();
  try {
    static_cast<void>(home_->home().place_of(*home_).take_cpus());
  } catch (const std::bad_alloc&) {
    base::sometimes("an I/O worker stays where it was made");
  }
}

void worker::run() noexcept {
  detail::wardrobe clothes;
  wardrobe_ = &clothes;
  take_place();
  home_->has_begun();
  bool goes_on = true;
  while (goes_on) {
    switch (home_->next(*this)) {
      case queue::turn::run:
        if (home_->home().is_of_nodes() && moved_ != home_->home().moves()) take_cpus();  // IOWQ-102
        goes_on = run_chain();
        break;
      case queue::turn::park: goes_on = park(); break;
      case queue::turn::leave: goes_on = false; break;
      case queue::turn::undress:
        goes_on = clothes.take_off() == detail::dressing::ok;
        if (!goes_on) home_->give_back(*this);
        break;
    }
  }
  await_repeat();
  wardrobe_ = nullptr;
  forget_thread();
  let_go();
}

// The last touch; the pool joins the thread before it ends.
void worker::let_go() noexcept {
  pool& its_pool = home_->home();
  if (holders_.fetch_sub(1, base::order::acq_rel) == 1) its_pool.has_left(*this);  // with itself: what start() wrote
}

// P3 to P5. False: it has left.
bool worker::park() noexcept {
  last_cpu_ = static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0));
  for (;;) {
    if (parker_.park(base::clock::now() + home_->home().idle_timeout())) return true;
    switch (home_->timed_out(*this)) {
      case queue::turn::run: parker_.park(); return true;
      case queue::turn::leave: return false;
      default: break;
    }
  }
}

void worker::forget_thread() noexcept {
  sched::counted_thread::set_current(nullptr);
  slot::get() = nullptr;
}

// ---- items ----

// Under the lock of the queue.
void worker::take(io_work& first, work_list& rest, unsigned bucket) noexcept {
  const base::lock_guard lock{mu_};
  current_ = &first;
  held_.append(rest);
  bucket_ = bucket;
  began_ = base::clock::now();
}

// Its turn ends as in end_item(), without an end of the item: who was told of it is told with the item.
worker::unbegun worker::put_back(work_list& out) noexcept {
  const base::lock_guard lock{mu_};
  const std::uint64_t turn = word_.load(base::order::relaxed) >> turn_shift;
  const std::uint64_t before = word_.exchange((turn + 1) << turn_shift, base::order::acq_rel);  // tell(), look()
  if (current_ != nullptr) {  // else it was about to park
    if ((before & cancelled) != 0) access::word(*current_) |= item_word::cancelled;
    out.push_back(*current_);
  }
  current_ = nullptr;
  out.append(held_);
  return {.bucket = std::exchange(bucket_, no_bucket), .counted = is_counted(before)};
}

void worker::publish(io_work& it) noexcept {
  const base::lock_guard lock{mu_};
  current_ = &it;
  began_ = base::clock::now();
}

io_work* worker::next_held() noexcept {
  const base::lock_guard lock{mu_};
  current_ = held_.pop_front();
  began_ = base::clock::now();
  return current_;
}

unsigned worker::held() const noexcept {
  const base::lock_guard lock{mu_};
  unsigned n = 0;
  for (io_work* it = held_.front(); it != nullptr; it = work_list::next(*it)) ++n;
  return n;
}

bool worker::run_chain() noexcept {
  pool& its_pool = home_->home();
  io_work* it = nullptr;
  {
    const base::lock_guard lock{mu_};
    it = current_;
  }
  while (it != nullptr) {
    int refusal = 0;
    if (!dress_for(*it, refusal)) {
      home_->give_back(*this);
      return false;
    }
    io_work* const follower = run_item(*it, refusal);
    it = bucket_ != no_bucket ? next_held() : nullptr;
    // IOWQ-61
    const bool goes_on_with_it = follower != nullptr && it == nullptr && !has(*follower, item_word::hashed) &&
                                 home_->serves(account_of(*follower)) && account_of(*follower) == kind;
    if (it == nullptr && bucket_ != no_bucket) {
      // Else it looks there itself, and soon; but not for items of a kind that it may not change to.
      its_pool.domain().release(bucket_, goes_on_with_it || its_pool.is_of_nodes() ? nullptr : home_);
      bucket_ = no_bucket;
    }
    if (goes_on_with_it) {
      publish(*follower);
      it = follower;
    } else if (follower != nullptr) {
      its_pool.enqueue(*follower);
    }
  }
  return true;
}

// IOWQ-60: what the item is to find, before it is begun. False: the worker cannot give its identity.
bool worker::dress_for(io_work& it, int& refusal) noexcept {
  if (has(it, item_word::cancelled) || home_->home().is_over_for(account_of(it))) {
    refusal = -ECANCELED;
    return true;
  }
  const detail::identity_data* const wanted = detail::identity_data::of(access::as(it));
  if (wanted != wardrobe_->worn()) {
    home_->counted(kind).identity_changes.fetch_add(1, base::order::relaxed);
    switch (wardrobe_->put_on(wanted)) {
      case detail::dressing::ok: break;
      case detail::dressing::refused:
        home_->counted(kind).refused_identities.fetch_add(1, base::order::relaxed);
        refusal = -EPERM;
        break;
      case detail::dressing::tainted: return false;
    }
  }
  if (is_cancelled()) refusal = -ECANCELED;  // it was told before it began
  return true;
}

// What depends on it, and is to run now.
io_work* worker::run_item(io_work& it, int refusal) noexcept {
  const bool inside = refusal == 0 && has(it, item_word::interruptible);
  if (inside && !enter(open)) refusal = -ECANCELED;
  home_->counted(kind).started.fetch_add(1, base::order::relaxed);
  if (refusal != 0) home_->counted(kind).only_failed.fetch_add(1, base::order::relaxed);
  pool& its_pool = home_->home();
  its_pool.do_work(it, this, refusal);
  if (current() != this) std::exit(EXIT_SUCCESS);  // the callable forked, and this is the forked process (IOWQ-U16)
  if (inside) leave(open);
  end_item();
  return its_pool.free_work(it, refusal);
}

void worker::end_item() noexcept {
  std::uint64_t before = 0;
  {
    const base::lock_guard lock{mu_};
    current_ = nullptr;
    before = word_.load(base::order::relaxed);
    before = word_.exchange(((before >> turn_shift) + 1) << turn_shift, base::order::acq_rel);  // tell(), look()
  }
  blocking_depth_ = open_depth_ = 0;  // a scope that outlived its item
  if (!is_counted(before)) home_->joined_count(kind);
}

}  // namespace wring::iowq
