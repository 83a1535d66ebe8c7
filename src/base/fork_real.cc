// SPDX-License-Identifier: Apache-2.0
// fork_real: forks of the machine.

#include "base/fork.h"

#include <pthread.h>

namespace wring::base {

constinit std::uint32_t forks = 0;

namespace {

constinit atomic<const fork_handlers*> registered{nullptr};

// Those of the fork that the thread is inside of: whoever was registered before it is called after it, and nobody else,
// for a runtime may be made by another thread meanwhile. Null: none. The child's thread has a copy.
const fork_handlers*& begun() noexcept {
  [[gnu::tls_model("initial-exec")]] static thread_local const fork_handlers* handlers = nullptr;
  return handlers;
}

void before() {
  begun() = registered.load(order::acquire);  // pairs with on_fork()
  if (begun() != nullptr) begun()->before();
}

void in_parent() {
  if (begun() != nullptr) begun()->in_parent();
}

void in_child() {
  ++forks;
  renew_thread_in_child();
  if (begun() != nullptr) begun()->in_child();
}

// Before anybody's static constructors can start a worker or register a handler.
[[gnu::constructor(101)]] void register_handlers() noexcept { ::pthread_atfork(before, in_parent, in_child); }

}  // namespace

void on_fork(const fork_handlers& handlers) noexcept { registered.store(&handlers, order::release); }

}  // namespace wring::base
