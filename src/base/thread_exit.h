// SPDX-License-Identifier: Apache-2.0
// thread_exit: a call when the calling thread ends, among the destructors of its thread-local variables: newest first,
// so what the thread had before the first call of at_thread_exit() is still there.
#pragma once

namespace wring::base {

// `call(argument)` will be made by the calling thread, once; the last one that was asked for first. It may make and
// join threads. Throws std::bad_alloc. In a forked child, the thread that forked still makes its calls. Virtual threads
// of simulations have no such end.
void at_thread_exit(void (*call)(void*), void* argument);

}  // namespace wring::base
