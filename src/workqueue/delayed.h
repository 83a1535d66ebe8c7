// SPDX-License-Identifier: Apache-2.0
// delayed: items that reach their queue after a delay (WQ-50..53). While only the timer is armed the item is
// pending, and its queue knows nothing of it (WQ-3, WQ-92).
//
// The timer's `cookie` is the queue, and the upper bits of its `tag` that queue's generation, both written by
// who owns the item's `pending`.
#pragma once

#include "base/timer_wheel.h"
#include "workqueue/item.h"

#include <chrono>

namespace wring::detail {

// The queue that the timer was armed for last, or null.
pool_workqueue* delay_target(base::timer& t) noexcept;
// It still is the one that the delay was for, and not another queue that got its memory.
bool delay_is_of(pool_workqueue& q, base::timer& t) noexcept;

// As workqueue::queue_delayed and workqueue::modify.
bool queue_delayed(pool_workqueue& q, delayed_work& d, std::chrono::nanoseconds delay) noexcept;
bool modify(pool_workqueue& q, delayed_work& d, std::chrono::nanoseconds delay) noexcept;

}  // namespace wring::detail
