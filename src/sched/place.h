// SPDX-License-Identifier: Apache-2.0
// place: where a thread runs, and with which priority. A new thread inherits that from the thread that makes it, which
// may be a worker bound to one CPU; so threads of a runtime go where the program's own threads are.
#pragma once

#include "base/syscall.h"

#include <vector>

namespace wring::sched {

struct place {
  std::vector<unsigned> cpus;
  int nice = 0;

  // Of the calling thread.
  static place here();
  // The same, but a worker answers with the place of the thread that made its runtime.
  static place of_program();

  // The calling thread goes there. What the system refuses stays as it is: 0 or -errno of each part.
  [[nodiscard]] int take_cpus() const noexcept;
  [[nodiscard]] int take_nice() const noexcept { return take_nice(nice); }
  [[nodiscard]] static int take_nice(int nice) noexcept;
};

}  // namespace wring::sched
