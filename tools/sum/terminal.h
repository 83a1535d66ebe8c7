// SPDX-License-Identifier: Apache-2.0
// terminal: everything that goes to standard output and standard error, with the progress line kept apart.
//
// The progress line exists only on a terminal and is taken away before anything else is written there.
// Threads: any. A write to a terminal that has been stopped (Ctrl-S) may hold the lock for long, so drawing
//          and erasing give up rather than wait for it.
#pragma once

#include "sum/tally.h"

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace wring::tools {

class terminal {
 public:
  // `wanted`: draw progress if standard error is a terminal that can.
  terminal(const tally& counters, bool wanted);

  [[nodiscard]] bool shows_progress() const noexcept { return shows_progress_; }
  // Draws the progress line anew.
  void draw();
  void erase();

  // One line to standard error, without its newline.
  void message(std::string_view text);
  // To standard output; 0 or -errno.
  [[nodiscard]] int output(std::string_view text);

  [[nodiscard]] std::chrono::duration<double> elapsed() const noexcept {
    return std::chrono::steady_clock::now() - started_;
  }

 private:
  [[nodiscard]] std::string progress() const;
  void erase_locked();

  const tally& tally_;
  const bool shows_progress_;
  const bool output_is_terminal_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::mutex mu_;
  bool drawn_ = false;  // guarded by mu_
};

}  // namespace wring::tools
