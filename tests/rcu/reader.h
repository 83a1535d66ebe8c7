// SPDX-License-Identifier: Apache-2.0
// reader: a thread inside of a read-side critical section of RCU, which it leaves when it is told to; and a thread of
// liburcu that is kept busy.
#pragma once

#include "support/gate.h"

#include <urcu/urcu-bp.h>

#include <atomic>
#include <thread>
#include <utility>

namespace wring::test {

// As long as one reads, no grace period that begins meanwhile ends.
class reader {
 public:
  reader()
      : thread_{[this] {
          ::urcu_bp_read_lock();
          reads_.open();
          leave_.wait();
          ::urcu_bp_read_unlock();
        }} {
    reads_.wait();
  }
  ~reader() { leave(); }
  reader(const reader&) = delete;
  reader& operator=(const reader&) = delete;
  void leave() {
    leave_.open();
    if (thread_.joinable()) thread_.join();
  }

 private:
  gate reads_;
  gate leave_;
  std::thread thread_;
};

// A callback of call_rcu() that calls body() once; the destructor waits for its end.
template <class Body>
class rcu_callback {
 public:
  explicit rcu_callback(Body body) : body_{std::move(body)} {
    given_.store(true, std::memory_order_release);  // for the thread sanitizer, which does not see into liburcu
    ::urcu_bp_call_rcu(&head_, [](rcu_head* h) {
      auto& self = *reinterpret_cast<rcu_callback*>(h);
      static_cast<void>(self.given_.load(std::memory_order_acquire));
      self.body_();
      self.over_.open();
    });
  }
  ~rcu_callback() { over_.wait(); }
  rcu_callback(const rcu_callback&) = delete;
  rcu_callback& operator=(const rcu_callback&) = delete;

 private:
  rcu_head head_{};  // first
  Body body_;
  std::atomic<bool> given_{false};
  gate over_;
};

}  // namespace wring::test
