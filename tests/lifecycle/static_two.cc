// SPDX-License-Identifier: Apache-2.0
// The other of two sources whose static objects use wring; this one also has items that are ready before all code,
// and one whose delay still runs when it is destroyed.
#include "lifecycle/static_use.h"

namespace wring::test {

workqueue& common_queue() {
  static workqueue queue{{.name = "common"}};
  return queue;
}

namespace {

constinit work item{[] { hasty_runs.fetch_add(1); }};
workqueue own_queue{{.name = "two", .unmanaged = true}};

// Behind its queue: it has to be destroyed before.
constinit delayed_work never_due{[] { demand(false, "an item of which the delay was an hour ran"); }};

// Leaves work behind that nobody waits for but the queue's destructor.
struct hasty {
  hasty() {
    own_queue.queue(item);
    own_queue.queue_delayed(never_due, std::chrono::hours{1});
  }
  ~hasty() { own_queue.queue(item); }
};

const hasty before;
const static_user user{own_queue, "two"};
const hasty behind;

}  // namespace
}  // namespace wring::test
