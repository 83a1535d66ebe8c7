// SPDX-License-Identifier: Apache-2.0

#include "rcu/grace_period.h"

#include <wring/blocking.h>

#include <pthread.h>
#include <sched.h>
#include <urcu/urcu-bp.h>

namespace wring::rcu {

void start_grace_period(rcu_head& head, void (*over)(rcu_head*)) noexcept { ::urcu_bp_call_rcu(&head, over); }

bool would_wait_for_itself() noexcept {
  if (::urcu_bp_read_ongoing() != 0) return true;
  call_rcu_data* const of_thread = ::urcu_bp_get_thread_call_rcu_data();
  return of_thread != nullptr && ::pthread_equal(::urcu_bp_get_call_rcu_thread(of_thread), ::pthread_self()) != 0;
}

void wait_for_grace_periods() noexcept {
  const blocking_scope scope;
  ::urcu_bp_barrier();
}

void yield() noexcept { ::sched_yield(); }

}  // namespace wring::rcu
