// SPDX-License-Identifier: Apache-2.0
// rcu: a program that uses the component wring::rcu, and liburcu besides.
#include <wring/rcu.h>

#include <urcu/urcu-bp.h>

int main() {
  int runs = 0;
  wring::workqueue queue;
  wring::rcu_work item{[&runs] { ++runs; }};
  urcu_bp_read_lock();
  const bool queued = wring::queue_rcu(queue, item);
  urcu_bp_read_unlock();
  return queued && item.flush() && runs == 1 ? 0 : 1;
}
