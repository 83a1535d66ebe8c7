// SPDX-License-Identifier: Apache-2.0
// stop_scope: the stop_source of one run, where cancellers find it.
//
// They raise a bit of the item first and look for the source then, holding the queue; here the source is shown first,
// holding the queue, and the item is looked at then. So one of the two sees the other.

#include "workqueue/pool_workqueue.h"

#include <wring/work.h>

namespace wring::detail {

stop_scope::stop_scope(work& runs) : frame_{frame::innermost()} {
  frame& f = *static_cast<frame*>(frame_);
  {
    const visit hold{*f.queue};
    f.stop = &source_;
  }
  const std::uint64_t state = state_of(item_access::of(runs)).load(base::order::acquire);  // pairs with cancel_sync()
  if ((state & item_state::refusing) != 0) source_.request_stop();
}

stop_scope::~stop_scope() {
  if (frame::innermost() != frame_) return;  // the callback forked, and this is the forked process
  frame& f = *static_cast<frame*>(frame_);
  const visit hold{*f.queue};
  f.stop = nullptr;
}

}  // namespace wring::detail
