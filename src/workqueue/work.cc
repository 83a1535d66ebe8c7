// SPDX-License-Identifier: Apache-2.0
// work: the public face of items.

#include <wring/work.h>

#include "workqueue/cancel.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/revive.h"

namespace wring {

namespace {

using detail::item;
using detail::item_access;

// Waiting for an item from its own callback would never end (WQ-86). True: misuse, reported.
bool from_its_own_callback(item& it, const char* call) noexcept {
  if (!detail::inside(it)) return false;
  detail::item_place::queue_of(detail::place_of(it).load(base::order::relaxed))
      ->misuse("an item was waited for from its own callback, which would never end", std::string{"call: "} + call);
  return true;
}

bool cancel_and_wait(item& it, base::timer* t) noexcept {
  return !from_its_own_callback(it, "cancel_sync()") && detail::cancel_sync(it, t);
}

bool flush_and_wait(item& it, base::timer* t) noexcept {
  return !from_its_own_callback(it, "flush()") && detail::flush(it, t) == detail::flush_result::waited;
}

// A destructor: nobody else uses the item any more.
void retire(item& it, base::timer* t) noexcept {
  if (detail::state_of(it).load(base::order::acquire) == 0) return;  // never queued
  if (detail::inside(it)) {
    detail::cancel(it, t);  // its own callback destroys it: that is fine, it must just not run again
    detail::note_gone(it);
  } else {
    detail::cancel_sync(it, t);
  }
}

bool is_pending(item& it) noexcept {
  const std::uint64_t state = detail::state_of(it).load(base::order::relaxed);
  return (state & detail::item_state::pending) != 0 && detail::is_of_this_process(state);
}

}  // namespace

void work::quiesce() noexcept { retire(item_access::of(*this), nullptr); }
bool work::cancel() noexcept { return detail::cancel(item_access::of(*this), nullptr); }
bool work::cancel_sync() noexcept { return cancel_and_wait(item_access::of(*this), nullptr); }
bool work::flush() noexcept { return flush_and_wait(item_access::of(*this), nullptr); }
bool work::pending() const noexcept { return is_pending(item_access::of(*this)); }
bool work::running() const noexcept { return detail::is_running(item_access::of(*this)); }

void delayed_work::quiesce() noexcept { retire(item_access::of(*this), &item_access::timer_of(*this)); }
bool delayed_work::cancel() noexcept { return detail::cancel(item_access::of(*this), &item_access::timer_of(*this)); }
bool delayed_work::cancel_sync() noexcept {
  return cancel_and_wait(item_access::of(*this), &item_access::timer_of(*this));
}
bool delayed_work::flush() noexcept { return flush_and_wait(item_access::of(*this), &item_access::timer_of(*this)); }

work* current_work() noexcept {
  const detail::frame* const f = detail::frame::innermost();
  if (f == nullptr || f->running == nullptr) return nullptr;
  // A closure is recognised by its frame: its storage may be gone by now (WQ-63).
  return f->one_shot || f->gone ? nullptr : &item_access::work_of(*f->running);
}

void set_worker_description(const char* text) noexcept {
  if (sched::worker* const w = sched::worker::current(); w != nullptr && text != nullptr) w->describe(text);
}

}  // namespace wring
