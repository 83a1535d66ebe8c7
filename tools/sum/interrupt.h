// SPDX-License-Identifier: Apache-2.0
// interrupt: what the main thread waits for while workers work: the end, Ctrl-C, or time to draw.
//
// SIGINT and SIGTERM are blocked and read from a descriptor, so they arrive here whatever the workers wait
// for. A signal that was ignored when the program started stays ignored. SIGPIPE is ignored, so that a
// closed pipe is an error of the write.
// Threads: notify() any; the others the main thread.
#pragma once

#include "sum/file.h"

#include <chrono>

namespace wring::tools {

class interrupt {
 public:
  enum class event { done, signal, tick };

  // Before any other thread is started. Throws std::system_error.
  interrupt();

  void notify() noexcept;
  // Negative: no ticks.
  [[nodiscard]] event wait(std::chrono::milliseconds tick);
  // The signal that came, or 0.
  [[nodiscard]] int signal() const noexcept { return signal_; }

  // Ends the process as a closed pipe ends one that does nothing about it.
  [[noreturn]] static void end_by_closed_pipe();

 private:
  file_descriptor signals_;
  file_descriptor done_;
  int signal_ = 0;
};

}  // namespace wring::tools
