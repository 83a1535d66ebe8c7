// SPDX-License-Identifier: Apache-2.0
// flush: waiting for what is in a queue, on all of its pools. As workqueue::flush and workqueue::drain.
#pragma once

namespace wring::detail {

class pool_workqueue;

// `q`: any pool_workqueue of the queue.
bool flush(pool_workqueue& q) noexcept;
bool drain(pool_workqueue& q) noexcept;
// Of a queue that is closed already, and not from its callbacks.
void flush_until_empty(pool_workqueue& q) noexcept;

}  // namespace wring::detail
