// SPDX-License-Identifier: Apache-2.0
// naive_timekeeper: the timers everybody writes first: a thread asleep until the first entry of a sorted map is due.
//
// Threads: any may arm and cancel. Alarms go off on the timekeeper's own thread, outside of its lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace bench {

class naive_timekeeper {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  class alarm;

  naive_timekeeper() : thread_{[this] { serve(); }} {}
  ~naive_timekeeper() {
    {
      const std::lock_guard lock{mu_};
      closing_ = true;
    }
    earlier_.notify_all();
    thread_.join();
  }
  naive_timekeeper(const naive_timekeeper&) = delete;
  naive_timekeeper& operator=(const naive_timekeeper&) = delete;

  void arm(alarm& which, time_point due);
  // True: it was armed and will not go off.
  bool cancel(alarm& which);

 private:
  void serve();

  std::mutex mu_;
  std::condition_variable earlier_;
  std::multimap<time_point, alarm*> armed_;
  bool closing_ = false;
  std::thread thread_;
};

class naive_timekeeper::alarm {
 public:
  explicit alarm(std::function<void()> ring) : ring_{std::move(ring)} {}

 private:
  friend class naive_timekeeper;
  std::function<void()> ring_;
  std::multimap<time_point, alarm*>::iterator place_;
  bool armed_ = false;  // and then place_ is valid
};

inline void naive_timekeeper::arm(alarm& which, time_point due) {
  bool first = false;
  {
    const std::lock_guard lock{mu_};
    which.place_ = armed_.emplace(due, &which);
    which.armed_ = true;
    first = which.place_ == armed_.begin();
  }
  if (first) earlier_.notify_one();
}

inline bool naive_timekeeper::cancel(alarm& which) {
  const std::lock_guard lock{mu_};
  if (!std::exchange(which.armed_, false)) return false;
  armed_.erase(which.place_);
  return true;
}

inline void naive_timekeeper::serve() {
  std::unique_lock lock{mu_};
  while (!closing_) {
    if (armed_.empty()) {
      earlier_.wait(lock);
      continue;
    }
    const auto first = armed_.begin();
    const time_point due = first->first;
    if (std::chrono::steady_clock::now() < due) {
      earlier_.wait_until(lock, due);
      continue;
    }
    alarm& which = *first->second;
    which.armed_ = false;
    armed_.erase(first);
    lock.unlock();
    which.ring_();
    lock.lock();
  }
}

}  // namespace bench
