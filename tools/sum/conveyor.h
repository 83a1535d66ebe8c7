// SPDX-License-Identifier: Apache-2.0
// conveyor: the batches in output order, between the walk that makes them and the printer.
//
// Batches are finished in any order and leave in the order they came. It counts the memory of all that are
// on it; when that reaches the bound, the walk stops and is started again by whoever brings it down to half.
// Threads: any; each side by one thread at a time.
// Locks:   its own, for a few instructions.
#pragma once

#include "sum/batch.h"

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

namespace wring::tools {

class conveyor {
 public:
  explicit conveyor(std::size_t bytes_max) : bytes_max_{bytes_max} {}

  // The walk: one more at the end. False: full, stop until somebody is told to start the walk.
  [[nodiscard]] bool push(std::shared_ptr<batch> made) {
    const std::lock_guard lock{mu_};
    bytes_ += made->footprint();
    waiting_.push_back(std::move(made));
    walk_stopped_ = bytes_ >= bytes_max_;
    return !walk_stopped_;
  }
  // The walk has ended.
  void close() {
    const std::lock_guard lock{mu_};
    closed_ = true;
  }

  // A worker, after it settled entries: is the printer to be started? If not now, then whoever takes the
  // batches before this one away comes to it, and sees what was settled.
  [[nodiscard]] bool is_first(const batch& worked_on) {
    const std::lock_guard lock{mu_};
    return !waiting_.empty() && waiting_.front().get() == &worked_on;
  }

  // The printer: the batch whose turn it is, or null.
  [[nodiscard]] std::shared_ptr<batch> first() {
    const std::lock_guard lock{mu_};
    return waiting_.empty() ? nullptr : waiting_.front();
  }
  // Nothing is left, and nothing will come.
  [[nodiscard]] bool ended() {
    const std::lock_guard lock{mu_};
    return closed_ && waiting_.empty();
  }
  // The first batch has been printed. True: start the walk again.
  [[nodiscard]] bool pop() {
    const std::lock_guard lock{mu_};
    bytes_ -= waiting_.front()->footprint();
    waiting_.pop_front();
    const bool start_walk = walk_stopped_ && bytes_ <= bytes_max_ / 2;
    if (start_walk) walk_stopped_ = false;
    return start_walk;
  }

 private:
  const std::size_t bytes_max_;
  std::mutex mu_;
  std::deque<std::shared_ptr<batch>> waiting_;  // the four below: guarded by mu_
  std::size_t bytes_ = 0;
  bool walk_stopped_ = false;
  bool closed_ = false;
};

}  // namespace wring::tools
