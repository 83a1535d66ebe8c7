// SPDX-License-Identifier: Apache-2.0
// grace_period: the one door to liburcu, flavour bp.
//
// Threads: any; none has to be registered.
#pragma once

struct rcu_head;

namespace wring::rcu {

// Calls over(head) in a thread of liburcu's after a grace period that begins now. It owns the head until then.
void start_grace_period(rcu_head& head, void (*over)(rcu_head*)) noexcept;

// Whether the caller would hold up what it waits for: it is a reader, or in a callback of call_rcu().
bool would_wait_for_itself() noexcept;
// Until all callbacks of grace periods that began before have returned.
void wait_for_grace_periods() noexcept;

// Gives the CPU to a thread whose next few instructions are waited for.
void yield() noexcept;

}  // namespace wring::rcu
