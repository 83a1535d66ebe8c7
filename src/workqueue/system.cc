// SPDX-License-Identifier: Apache-2.0

#include <wring/system.h>

#include "workqueue/registry.h"

namespace wring {

namespace {

// How many scopes the thread is inside of, kept in the slot's pointer itself.
using slot = base::thread_slot<nonblocking_scope, char>;
std::uintptr_t depth() noexcept { return reinterpret_cast<std::uintptr_t>(slot::get()); }
void set_depth(std::uintptr_t depth) noexcept { slot::get() = reinterpret_cast<char*>(depth); }

}  // namespace

workqueue& system_queue(runtime& where) { return where.core().workqueues<detail::registry>().system_queue(); }

nonblocking_scope::nonblocking_scope() noexcept { set_depth(depth() + 1); }
nonblocking_scope::~nonblocking_scope() { set_depth(depth() - 1); }
bool nonblocking_scope::active() noexcept { return depth() != 0; }

}  // namespace wring
