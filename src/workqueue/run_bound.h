// SPDX-License-Identifier: Apache-2.0
// run_bound: runs a function in workers of certain CPUs and waits for it (WQ-47, WQ-49).
#pragma once

namespace wring::detail {

class pool_workqueue;

// call(context, number of the CPU) once in a worker of `*cpu`, or, if that is null, of each CPU of the queue, at the
// same time; returns when all calls have. They must not throw. Throws std::system_error: ENODEV, this is no queue per
// CPU, or that is no CPU of it; EDEADLK, with a report of misuse, the caller is inside the only callback that may run
// there; ECANCELED, the queue refused a call, and some may have run.
void run_bound(pool_workqueue& q, const unsigned* cpu, void (*call)(void* context, unsigned cpu), void* context);

}  // namespace wring::detail
