// SPDX-License-Identifier: Apache-2.0
// guard: around a call that blocks: the worker's word, and the signal that is repeated until it has gone home
// (README.md, 6).

#include "base/patience.h"
#include "iowq/pool.h"
#include "iowq/worker.h"

#include <algorithm>

namespace wring::iowq {

namespace {
constexpr unsigned repeat_most_ms = 64;
}

// G1
bool worker::enter(std::uint64_t bits) noexcept {
  if ((bits & blocked) != 0 && blocking_depth_++ != 0) bits &= ~blocked;
  if ((bits & open) != 0 && open_depth_++ != 0) bits &= ~open;
  const std::uint64_t before = bits != 0 ? word_.fetch_or(bits, base::order::acq_rel)  // pairs with tell()
                                         : word_.load(base::order::acquire);
  if (is_counted(before) && (bits & blocked) != 0) home_->left_count(kind);
  return (before & cancelled) == 0;
}

// G3
void worker::leave(std::uint64_t bits) noexcept {
  if ((bits & blocked) != 0 && (blocking_depth_ == 0 || --blocking_depth_ != 0)) bits &= ~blocked;
  if ((bits & open) != 0 && --open_depth_ != 0) bits &= ~open;
  if (bits == 0) return;
  const std::uint64_t gone = bits | seen_waiting;
  const std::uint64_t before = word_.fetch_and(~gone, base::order::acq_rel);  // pairs with tell(), look()
  if (!is_counted(before) && is_counted(before & ~gone)) home_->joined_count(kind);
  if ((before & cancelled) != 0 && (bits & open) != 0) take_interrupts();
}

// G4
void worker::take_interrupts() noexcept {
  {
    const base::lock_guard lock{mu_};
    if (repeat_armed_ && home_->home().home().time().disarm(repeat_)) repeat_armed_ = false;
  }
  interruptee_.take_interrupts();
}

bool worker::tell_if(const matcher& match) noexcept {
  const base::lock_guard lock{mu_};
  if (current_ == nullptr || !match(*current_)) return false;
  tell();
  return true;
}

// X2, X3
void worker::tell() noexcept {
  if ((word_.fetch_or(cancelled, base::order::acq_rel) & open) == 0) return;  // pairs with enter(), leave()
  base::sometimes("a running call is interrupted");
  home_->counted(kind).interrupts.fetch_add(1, base::order::relaxed);
  static_cast<void>(interruptee_.interrupt());  // refused: the repeat tries again
  repeat_ms_ = 1;
  if (repeat_armed_) return;  // it fires just now, or is about to, and finds this
  repeat_armed_ = true;
  home_->home().home().time().arm(repeat_, base::clock::now() + std::chrono::milliseconds{repeat_ms_});
}

// F1
void worker::repeat(base::timer& t) {
  worker& w = *reinterpret_cast<worker*>(t.cookie);
  const base::lock_guard lock{w.mu_};
  constexpr std::uint64_t both = open | cancelled;
  if ((w.word_.load(base::order::acquire) & both) != both) {  // pairs with leave(), end_item()
    w.repeat_armed_ = false;
    return;
  }
  base::sometimes("an interrupt is repeated");
  w.home_->counted(w.kind).interrupts.fetch_add(1, base::order::relaxed);
  static_cast<void>(w.interruptee_.interrupt());
  w.repeat_ms_ = std::min(2 * w.repeat_ms_, repeat_most_ms);
  w.home_->home().home().time().arm(t, base::clock::now() + std::chrono::milliseconds{w.repeat_ms_});
}

// Before its end: nobody comes to it any more.
void worker::await_repeat() noexcept {
  for (base::patience p;; p.pause()) {
    const base::lock_guard lock{mu_};
    if (!repeat_armed_) return;
    if (home_->home().home().time().disarm(repeat_)) {
      repeat_armed_ = false;
      return;
    }
  }
}

void worker::unlink_held(const matcher& match, io_which which, work_list& out) noexcept {
  const base::lock_guard lock{mu_};
  for (io_work* it = held_.front(); it != nullptr;) {
    io_work* const after = work_list::next(*it);
    if (match(*it)) {
      held_.remove(*it);
      out.push_back(*it);
      if (which == io_which::first) return;
    }
    it = after;
  }
}

}  // namespace wring::iowq
