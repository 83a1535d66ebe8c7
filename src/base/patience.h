// SPDX-License-Identifier: Apache-2.0
// patience: for loops that wait for another thread's next few instructions, which may be off its CPU.
#pragma once

#include "base/sync.h"

namespace wring::base {

class patience {
 public:
  void pause() noexcept {
    if (tries_++ < 64) {
      cpu_relax();
    } else {
      yield();
    }
  }

 private:
  unsigned tries_ = 0;
};

}  // namespace wring::base
