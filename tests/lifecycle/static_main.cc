// SPDX-License-Identifier: Apache-2.0
// static program: static constructors and destructors of several sources queue work and wait for it.
//
// `static_main FIRST [exit]`: FIRST is the source that has to have been initialised first; with `exit` the program
// ends by std::exit() in a callback, on a worker, while main() waits. In both cases another callback never returns.
// The exit status says whether all was well.
#include "lifecycle/static_use.h"

#include <cstdlib>
#include <semaphore>
#include <string_view>

namespace wring::test {
namespace {

constinit std::atomic<bool> over{false};

// Registered before all others, so it runs after the last static destructor.
void last_words() {
  demand(over.load(), "the end came too early");
  demand(users_destroyed.load() == 2, "not all users were destroyed");
  demand(hasty_runs.load() >= 2, "the item that nobody waits for did not run before main() and after it");
  std::puts("1 passed, 0 failed, 0 skipped");
}
[[gnu::constructor(101)]] void register_last_words() { std::atexit(last_words); }

// Never destroyed, as a queue with a callback that does not return has to be.
workqueue& endless = *new workqueue{{.name = "endless"}};
std::binary_semaphore never{0};

void get_stuck() {
  std::binary_semaphore inside{0};
  endless.submit([&inside] {
    const blocking_scope scope;
    inside.release();
    never.acquire();
  });
  inside.acquire();
}

int run(int count, char** arguments) {
  demand(count >= 2, "usage: static_main FIRST [exit]");
  demand(users_made.load() == 2, "not all users were made");
  demand(first_initialised == std::string_view{arguments[1]}, "the sources were initialised in the other order");
  get_stuck();
  over.store(true);
  if (count > 2) {
    endless.submit([] { std::exit(0); });
    never.acquire();
  }
  return 0;
}

}  // namespace
}  // namespace wring::test

int main(int count, char** arguments) { return wring::test::run(count, arguments); }
