// SPDX-License-Identifier: Apache-2.0
// counted_thread: a thread that a layer above counts while it runs, and that is no worker of a pool here. What it
// announces by a blocking_scope goes to who counts it.
#pragma once

#include "base/sync.h"

namespace wring::sched {

class counted_thread {
 public:
  counted_thread() = default;
  counted_thread(const counted_thread&) = delete;
  counted_thread& operator=(const counted_thread&) = delete;

  // The calling thread is it; null: none any more.
  static void set_current(counted_thread* t) noexcept { slot::get() = t; }
  [[nodiscard]] static counted_thread* current() noexcept { return slot::get(); }

  // Around what blocks, by the thread itself; they nest.
  virtual void enter_blocking() noexcept = 0;
  virtual void leave_blocking() noexcept = 0;

 protected:
  virtual ~counted_thread() = default;

 private:
  using slot = base::thread_slot<counted_thread, counted_thread>;
};

}  // namespace wring::sched
