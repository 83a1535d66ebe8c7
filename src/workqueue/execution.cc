// SPDX-License-Identifier: Apache-2.0

#include "workqueue/execution.h"

#include <wring/blocking.h>

namespace wring::detail {

bool inside(const pool_workqueue& q) noexcept {
  for (const frame* f = frame::innermost(); f != nullptr; f = f->outer) {
    if (f->queue == &q) return true;
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

void wait_blocking(waiter& w) noexcept {
  if (w.done.completed()) return;
  const blocking_scope scope;
  w.done.wait();
}

}  // namespace wring::detail
