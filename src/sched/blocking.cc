// SPDX-License-Identifier: Apache-2.0

#include <wring/blocking.h>

#include "base/clock.h"
#include "sched/counted_thread.h"
#include "sched/worker_pool.h"

namespace wring {

blocking_scope::blocking_scope() noexcept : worker_{nullptr}, since_ns_{0} {
  sched::worker* const w = sched::worker::current();
  if (w == nullptr) {
    if (sched::counted_thread* const t = sched::counted_thread::current()) t->enter_blocking();
    return;
  }
  if (w->blocking_depth++ != 0) return;
  if (w->pool.runs_to_completion()) [[unlikely]]
    w->pool.report_blocked_bh(*w);
  worker_ = w;
  since_ns_ = base::clock::now().ns;
  // The caller is inside an item, so it serves something, and that stays.
  w->serving.load(base::order::relaxed)->leave_count(*w, sched::worker::blocked, nullptr);
}

blocking_scope::~blocking_scope() {
  sched::worker* const w = sched::worker::current();
  if (w == nullptr) {
    if (sched::counted_thread* const t = sched::counted_thread::current()) t->leave_blocking();
    return;
  }
  // Depth 0: the scope outlived its callback, which was reported then.
  if (w->blocking_depth == 0) return;
  --w->blocking_depth;
  if (worker_ == nullptr) return;
  w->serving.load(base::order::relaxed)->join_count(*w, sched::worker::waits, true);
  // One writer: the worker itself.
  w->blocked_ns.store(w->blocked_ns.load(base::order::relaxed) + (base::clock::now().ns - since_ns_),
                      base::order::relaxed);
}

}  // namespace wring
