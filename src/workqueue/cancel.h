// SPDX-License-Identifier: Apache-2.0
// cancel: what can be done to one item from any thread, whatever it is doing at the moment.
//
// `t` is the item's timer if it is a delayed_work, else null; `call` is that of the user who waits.
#pragma once

#include "base/timer_wheel.h"
#include "sched/worker.h"
#include "workqueue/item.h"
#include "workqueue/wait_graph.h"

#include <wring/stats.h>

#include <optional>

namespace wring::detail {

// Takes the pending item out of its queue or timer; the caller owns `pending` then. False: not pending.
bool steal(item& it, base::timer* t) noexcept;
// Takes it and makes it idle, and asks its callback to stop if that can be asked. False: it was not pending.
bool cancel(item& it, base::timer* t) noexcept;
// As cancel(), with all queue calls refused until the item does not run any more, or the deadline has passed.
struct cancelled {
  bool was_pending;
  bool ended;  // it does not run
};
cancelled cancel_sync(item& it, base::timer* t, const wait_call& call, base::instant deadline = base::never) noexcept;
// One more disable() to be undone; false: there are 65,535 already. One less; false: there is none.
bool disable(item& it) noexcept;
enum class enabling { still_disabled, enabled, was_enabled };
enabling enable(item& it) noexcept;
// Waits while the worker that ran it last runs it.
enum class run_wait { idle, waited, late };  // late: the deadline has passed first
run_wait wait_for_run(item& it, const wait_call& call, base::instant deadline = base::never) noexcept;
// Who runs it, for people.
std::optional<stuck_callback> find_run(item& it);

// The queue that w serves at the moment, or null; it may be outdated, not wrong, for queues are type-stable.
pool_workqueue* served_by(sched::worker& w) noexcept;
// Advisory.
bool is_running(item& it) noexcept;

enum class flush_result { idle, waited, refused };
// Waits for the last run asked for; a delay is cut short.
flush_result flush(item& it, base::timer* t, const wait_call& call) noexcept;

}  // namespace wring::detail
