// SPDX-License-Identifier: Apache-2.0
// thread_exit_real: the destructor of a thread-local variable makes the calls.

#include "base/thread_exit.h"

#include <utility>
#include <vector>

namespace wring::base {

void at_thread_exit(void (*call)(void*), void* argument) {
  struct calls {
    calls() = default;
    calls(const calls&) = delete;
    calls& operator=(const calls&) = delete;
    ~calls() {
      while (!owed.empty()) {
        const auto [f, a] = owed.back();
        owed.pop_back();
        f(a);
      }
    }
    std::vector<std::pair<void (*)(void*), void*>> owed;
  };
  static thread_local calls of_this_thread;
  of_this_thread.owed.emplace_back(call, argument);
}

}  // namespace wring::base
