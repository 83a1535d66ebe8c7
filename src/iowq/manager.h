// SPDX-License-Identifier: Apache-2.0
// manager: the thread that makes the workers of a pool of profile node: the first ones, then where one is needed, and
// once a second while something waits (IOWQ-11, IOWQ-40). It sleeps while nothing does.
//
// Threads: as said. Locks: none.
#pragma once

#include "base/parker.h"

namespace wring::iowq {

class pool;

class manager {
 public:
  explicit manager(pool& home) noexcept : pool_{home} {}
  manager(const manager&) = delete;
  manager& operator=(const manager&) = delete;

  // By who makes the pool or starts its runtime, of whom the first one waits until each queue has its first worker, and
  // the other is told 0, as who comes after the end. 0, or -errno: not all have, whose first worker stays when it
  // comes; or there is no thread, and it may be called again. -EPERM: the caller wears an identity.
  [[nodiscard]] int start() noexcept;
  [[nodiscard]] bool is_up() const noexcept { return is_up_.load(base::order::relaxed); }

  // Any thread, in the pool.
  void wake() noexcept { parker_.unpark(); }
  // Something is left to wait: it looks within a second.
  void expect() noexcept;

  // After the pool has ended: its thread has left, or never was.
  void join() noexcept;

 private:
  [[nodiscard]] int make_thread() noexcept;
  static void main(void* self);
  void run() noexcept;
  [[nodiscard]] bool anything_waits() noexcept;

  pool& pool_;
  char name_[16] = {};
  base::thread thread_;
  base::parker parker_;
  base::atomic<bool> has_begun_{false};  // somebody makes its thread, or has made it
  base::atomic<bool> is_up_{false};
  base::atomic<bool> has_thread_{false};
  base::atomic<bool> rests_{false};  // it sleeps without a limit
  base::completion* ready_ = nullptr;
  int error_ = 0;  // of the first workers; then `ready_` is complete
};

}  // namespace wring::iowq
