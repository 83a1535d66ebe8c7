// SPDX-License-Identifier: Apache-2.0
// fork_real: forks of the machine.

#include "base/fork.h"

#include <pthread.h>

namespace wring::base {

constinit std::uint32_t forks = 0;

namespace {

constinit atomic<const fork_handlers*> registered{nullptr};

void call(void (*fork_handlers::*which)()) {
  if (const fork_handlers* const h = registered.load(order::acquire)) (h->*which)();  // pairs with on_fork()
}

void in_child() {
  ++forks;
  renew_thread_in_child();
  call(&fork_handlers::in_child);
}

// Before anybody's static constructors can start a worker or register a handler.
[[gnu::constructor(101)]] void register_handlers() noexcept {
  ::pthread_atfork([] { call(&fork_handlers::before); }, [] { call(&fork_handlers::in_parent); }, in_child);
}

}  // namespace

void on_fork(const fork_handlers& handlers) noexcept { registered.store(&handlers, order::release); }

}  // namespace wring::base
