// SPDX-License-Identifier: Apache-2.0
// work: the public face of items.

#include <wring/work.h>

#include "workqueue/cancel.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/revive.h"

#include <wring/stats.h>

#include <algorithm>

namespace wring {

namespace {

using detail::item;
using detail::item_access;
using detail::wait_call;
using namespace std::chrono_literals;

// Waiting for an item from its own callback would never end (WQ-86). True: misuse, reported.
bool from_its_own_callback(item& it, const wait_call& call) noexcept {
  if (!detail::inside(it)) return false;
  detail::item_place::queue_of(detail::place_of(it).load(base::order::relaxed))
      ->misuse("an item was waited for from its own callback, which would never end",
               std::string{"call: "} + call.name);
  return true;
}

bool cancel_and_wait(item& it, base::timer* t, const void* caller) noexcept {
  const wait_call call{"cancel_sync()", caller, true};
  return !from_its_own_callback(it, call) && detail::cancel_sync(it, t, call).was_pending;
}

cancel_result cancel_and_wait_for(item& it, base::timer* t, std::chrono::nanoseconds limit,
                                  const void* caller) noexcept {
  const wait_call call{"cancel_sync_for()", caller, true};
  if (from_its_own_callback(it, call)) return {.was_pending = false, .ended = false};
  const detail::cancelled c = detail::cancel_sync(it, t, call, base::clock::deadline_after(limit));
  return {.was_pending = c.was_pending, .ended = c.ended};
}

// To the runtime that the item was queued in last, if any.
void warn(item& it, const char* what) {
  if (detail::pool_workqueue* const q = detail::item_place::queue_of(detail::place_of(it).load(base::order::relaxed))) {
    q->home().report().warn(std::string{what} + " (it was queued on '" + q->name() + "' last)");
  } else {
    sched::reporter{runtime_options{}}.warn(what);
  }
}

bool disable_item(item& it, base::timer* t) noexcept {
  if (!detail::disable(it))
    warn(it, "an item has been disabled 65,535 times without enable(); this time does not count");
  return detail::cancel(it, t);
}

bool disable_and_wait(item& it, base::timer* t, const void* caller) noexcept {
  const wait_call call{"disable_sync()", caller, true};
  if (from_its_own_callback(it, call)) return false;
  const bool was_pending = disable_item(it, t);
  detail::wait_for_run(it, call);
  return was_pending;
}

bool flush_and_wait(item& it, base::timer* t, const void* caller) noexcept {
  const wait_call call{"flush()", caller};
  return !from_its_own_callback(it, call) && detail::flush(it, t, call) == detail::flush_result::waited;
}

// A destructor: nobody else uses the item any more.
void retire(item& it, base::timer* t, const void* caller) noexcept {
  if (detail::state_of(it).load(base::order::acquire) == 0) return;  // never queued
  if (detail::inside(it)) {
    detail::cancel(it, t);  // its own callback destroys it: that is fine, it must just not run again
    detail::note_gone(it);
  } else {
    detail::cancel_sync(it, t, {"the destructor", caller, true});
  }
}

bool is_pending(item& it) noexcept {
  const std::uint64_t state = detail::state_of(it).load(base::order::relaxed);
  return (state & detail::item_state::pending) != 0 && detail::is_of_this_process(state);
}

}  // namespace

void work::quiesce() noexcept { retire(item_access::of(*this), nullptr, __builtin_return_address(0)); }
bool work::cancel() noexcept { return detail::cancel(item_access::of(*this), nullptr); }
bool work::cancel_sync() noexcept {
  return cancel_and_wait(item_access::of(*this), nullptr, __builtin_return_address(0));
}
cancel_result work::cancel_sync_for(std::chrono::nanoseconds limit) noexcept {
  return cancel_and_wait_for(item_access::of(*this), nullptr, limit, __builtin_return_address(0));
}
bool work::disable() noexcept { return disable_item(item_access::of(*this), nullptr); }
bool work::disable_sync() noexcept {
  return disable_and_wait(item_access::of(*this), nullptr, __builtin_return_address(0));
}
bool work::enable() noexcept {
  item& it = item_access::of(*this);
  const detail::enabling now = detail::enable(it);
  if (now == detail::enabling::was_enabled) warn(it, "enable() of an item that is not disabled");
  return now == detail::enabling::enabled;
}
bool work::disabled() const noexcept {
  const std::uint64_t now = detail::state_of(item_access::of(*this)).load(base::order::relaxed);
  return (now & detail::item_state::disabled_mask) != 0;
}
std::optional<stuck_callback> work::find_run() const {
  item& it = item_access::of(*this);
  return detail::is_of_this_process(detail::state_of(it).load(base::order::relaxed)) ? detail::find_run(it)
                                                                                     : std::nullopt;
}
bool work::flush() noexcept { return flush_and_wait(item_access::of(*this), nullptr, __builtin_return_address(0)); }
bool work::pending() const noexcept { return is_pending(item_access::of(*this)); }
bool work::running() const noexcept { return detail::is_running(item_access::of(*this)); }

void delayed_work::quiesce() noexcept {
  retire(item_access::of(*this), &item_access::timer_of(*this), __builtin_return_address(0));
}
bool delayed_work::cancel() noexcept { return detail::cancel(item_access::of(*this), &item_access::timer_of(*this)); }
bool delayed_work::cancel_sync() noexcept {
  return cancel_and_wait(item_access::of(*this), &item_access::timer_of(*this), __builtin_return_address(0));
}
cancel_result delayed_work::cancel_sync_for(std::chrono::nanoseconds limit) noexcept {
  return cancel_and_wait_for(item_access::of(*this), &item_access::timer_of(*this), limit, __builtin_return_address(0));
}
bool delayed_work::disable() noexcept { return disable_item(item_access::of(*this), &item_access::timer_of(*this)); }
bool delayed_work::disable_sync() noexcept {
  return disable_and_wait(item_access::of(*this), &item_access::timer_of(*this), __builtin_return_address(0));
}
std::optional<stuck_callback> delayed_work::find_run() const { return work_.find_run(); }
bool delayed_work::flush() noexcept {
  return flush_and_wait(item_access::of(*this), &item_access::timer_of(*this), __builtin_return_address(0));
}

work* current_work() noexcept {
  const detail::frame* const f = detail::frame::innermost();
  if (f == nullptr || f->running == nullptr) return nullptr;
  // A closure is recognised by its frame: its storage may be gone by now (WQ-63).
  return f->one_shot || f->gone ? nullptr : &item_access::work_of(*f->running);
}

bool current_is_rescuer() noexcept {
  const sched::worker* const w = sched::worker::current();
  return w != nullptr && w->is_rescuer;
}

void set_worker_description(const char* text) noexcept {
  if (sched::worker* const w = sched::worker::current(); w != nullptr && text != nullptr) w->describe(text);
}

}  // namespace wring
