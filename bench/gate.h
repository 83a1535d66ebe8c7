// SPDX-License-Identifier: Apache-2.0
// gate: items wait at it, asleep in the kernel, until somebody opens it. No pool is told.
//
// Threads: any. The opener may outlive nobody: who owns the gate waits for all who passed it.
#pragma once

#include <condition_variable>
#include <mutex>

namespace bench {

class gate {
 public:
  void wait() {
    std::unique_lock lock{mu_};
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock{mu_};
    open_ = true;
    changed_.notify_all();
  }
  // Waits until so many have come.
  void await_waiting(unsigned count) {
    std::unique_lock lock{mu_};
    changed_.wait(lock, [this, count] { return waiting_ >= count; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  unsigned waiting_ = 0;
  bool open_ = false;
};

}  // namespace bench
