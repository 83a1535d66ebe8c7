// SPDX-License-Identifier: Apache-2.0
// cancel: what can be done to one item from any thread, whatever it is doing at the moment.
//
// `t` is the item's timer if it is a delayed_work, else null.
#pragma once

#include "base/timer_wheel.h"
#include "sched/worker.h"
#include "workqueue/item.h"

namespace wring::detail {

// Takes the pending item out of its queue or timer; the caller owns `pending` then. False: not pending.
bool steal(item& it, base::timer* t) noexcept;
// Takes it and makes it idle. False: it was not pending.
bool cancel(item& it, base::timer* t) noexcept;
// As cancel(), with all queue calls refused until the item does not run any more.
bool cancel_sync(item& it, base::timer* t) noexcept;
// Waits while the worker that ran it last runs it. True if that took a wait.
bool wait_for_run(item& it) noexcept;

// The queue that w serves at the moment, or null; it may be outdated, not wrong, for queues are type-stable.
pool_workqueue* served_by(sched::worker& w) noexcept;
// Advisory.
bool is_running(item& it) noexcept;

enum class flush_result { idle, waited, refused };
// Waits for the last run asked for; a delay is cut short.
flush_result flush(item& it, base::timer* t) noexcept;

}  // namespace wring::detail
