// SPDX-License-Identifier: Apache-2.0
// stop_scope: the stop_source of one run, where cancellers find it.
//
// They raise a bit of the item first and look then whether the worker is `stoppable`; here that is said first, and the
// item is looked at then, all seq_cst. So one of the two sees the other.

#include "workqueue/pool_workqueue.h"

#include <wring/work.h>

namespace wring::detail {

stop_scope::stop_scope(work& runs) : frame_{frame::innermost()} {
  frame& f = *static_cast<frame*>(frame_);
  {
    const visit hold{*f.queue};
    f.stop = &source_;
  }
  item& it = item_access::of(runs);
  sched::worker::current()->stoppable.store(&it, base::order::seq_cst);
  const std::uint64_t state = state_of(it).load(base::order::seq_cst);  // pairs with cancel_sync() and disable()
  if ((state & item_state::refusing) != 0) source_.request_stop();
}

stop_scope::~stop_scope() {
  if (frame::innermost() != frame_) return;  // the callback forked, and this is the forked process
  sched::worker::current()->stoppable.store(nullptr, base::order::relaxed);
  frame& f = *static_cast<frame*>(frame_);
  const visit hold{*f.queue};
  f.stop = nullptr;
}

}  // namespace wring::detail
