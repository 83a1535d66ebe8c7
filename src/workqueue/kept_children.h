// SPDX-License-Identifier: Apache-2.0
// kept_children: children of task groups that have not been queued: the worker that made them keeps them to itself, and
// runs them when it waits, newest first, until others want some.
//
// So fork and join cost no read-modify-write where nobody else has time to help. A child is kept only if its group lies
// on the stack of the callback that made it: then that callback cannot end before it, nor the item, and nothing that
// waits for the item has to know of it. What others want is queued, oldest first. README.md, 6.
// Locks: the worker's own bias, whose mutex is the queue's: the owner inside its bias, or holding the queue; others
// hold the queue and exclude the owner.
#pragma once

#include "base/bias.h"
#include "workqueue/item.h"

namespace wring::detail {

struct kept_children {
  base::bias bias;
  item_list newest_first;
};

}  // namespace wring::detail
