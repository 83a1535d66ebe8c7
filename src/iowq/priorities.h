// SPDX-License-Identifier: Apache-2.0
// priorities: those of a thread for input and output, and for CPU time (IOWQ-U10).
//
// The one for input and output may always come back; a nice value may not, so that is asked first.
// Threads: changed_priorities belong to the thread that they are of.
#pragma once

#include "iowq/identity.h"

namespace wring::detail {

// As io_priority() tells it, in one way only: some kernels tell of "none" a level that they do not take.
int plain_io_priority(int value) noexcept;

class changed_priorities {
 public:
  // Asks what is the thread's own, before a change to the first identity that has one of `parts`.
  void learn(identity_part parts) noexcept;
  // To what `next` has; what it leaves out, of `touched`, becomes the thread's own. False: something was refused.
  bool change(identity_part touched, const identity_data* next) noexcept;
  // The same as a question.
  [[nodiscard]] bool are(identity_part touched, const identity_data* next) const noexcept;

 private:
  [[nodiscard]] bool may_come_back() const noexcept;

  int io_ = 0;
  int nice_ = 0;
};

}  // namespace wring::detail
