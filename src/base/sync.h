// SPDX-License-Identifier: Apache-2.0
// sync: the one door to atomics, fences, futexes and threads. Nothing above base names std::atomic,
// std::thread, futexes or thread_local.
//
// Two back ends with one interface: sync_real.h (the machine) and sync_sim.h (the deterministic
// simulator of src/sim, chosen by WRING_SIM). Every operation names its order; every order above
// `relaxed` has a partner named in a comment where it stands.
//
// In the simulator every call below is a point where another virtual thread may go on, and takes the
// caller's source line (WRING_AT) for its trace.
//
// The interface (both back ends):
//   atomic<T>              load store exchange fetch_add/sub/and/or/xor compare_exchange_weak/strong
//   atomic_ref<T>          the same on a plain aligned word of a public header; init(T) starts its life
//   checked<T>             plain data handed over by a protocol: get/set; the simulator checks for races
//   fence_light/heavy()    the asymmetric barrier: what a thread did before fence_light() and another
//                          before fence_heavy() is ordered as if both had been full fences
//   futex_wait/wake        0 (maybe spurious) | -EAGAIN | -EINTR | -ETIMEDOUT; number woken
//   cpu_relax()            mandatory in every retry loop: "I cannot go on until another thread moves"
//   yield()                as cpu_relax, and gives the CPU away
//   thread_create/join     0 | -errno, never throws
//   thread_try_join        false: the thread has not ended yet, destructors of its own variables included
//   thread_slot<Tag, T>    instead of thread_local: a T* per thread and tag, null at first
//   thread_stack()         bounds of the calling thread's stack
//   fail(text)             prints and aborts; in the simulator it ends the run as failed
//   simulated              true in simulations; bounded spins are kept short there, each look being a step
//   WRING_PLANT(name)      false; in simulations a planted fault that a test has switched on
//   sometimes(name)        marks a state that simulations must reach
#pragma once

#include "base/clock.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace wring::base {

enum class order : std::uint8_t { relaxed, acquire, release, acq_rel, seq_cst };

struct thread_options {
  const char* name = "wring";   // the first 15 characters are shown by ps and top
  std::size_t stack_bytes = 0;  // 0: the system's default
};

struct stack_bounds {
  std::uintptr_t low;   // lowest usable address
  std::uintptr_t high;  // one past the highest
  [[nodiscard]] constexpr std::uintptr_t half() const noexcept { return low + (high - low) / 2; }
};

inline constexpr std::size_t cache_line = 64;

}  // namespace wring::base

#ifdef WRING_SIM
#include "base/sync_sim.h"
#else
#include "base/sync_real.h"
#endif
