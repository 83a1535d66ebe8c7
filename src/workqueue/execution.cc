// SPDX-License-Identifier: Apache-2.0

#include "workqueue/execution.h"

#include "workqueue/pool_workqueue.h"

#include <wring/blocking.h>

#include <algorithm>

namespace wring::detail {

bool inside(const pool_workqueue& q) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue == &q) return true;
  }
  return false;
}

bool inside_queue_of(const pool_workqueue& q) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue != nullptr && f->queue->queue_id() == q.queue_id()) return true;
  }
  return false;
}

bool inside(const core& c) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue != nullptr && &f->queue->home() == &c) return true;
  }
  return false;
}

bool inside(const item& it) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->running == &it && !f->gone) return true;
  }
  return false;
}

void note_gone(const item& it) noexcept {
  for (frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->running == &it) f->gone = true;
  }
}

const sched::source* told_of(const pool_workqueue& q) noexcept {
  const sched::worker* const w = sched::worker::current();
  return w != nullptr && &w->pool.home() == &q.pool().home() ? &q : nullptr;
}

bool wait_blocking(waiter& w, const char* what, const pool_workqueue& of, base::instant deadline) noexcept {
  if (w.done.completed()) return true;
  const blocking_scope scope;
  const sched::wait_note note{what, told_of(of)};
  core& where = of.home();
  // In a forked child that could not get its first thread somebody has to try again.
  while (!where.time().has_thread() && !where.shutting_down()) {
    const base::instant now = base::clock::now();
    if (now >= deadline) return w.done.completed();
    if (w.done.wait(std::min(deadline, now + where.options().creation_retry))) return true;
    where.time().kick();
  }
  return w.done.wait(deadline);
}

}  // namespace wring::detail
