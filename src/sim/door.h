// SPDX-License-Identifier: Apache-2.0
// door: what base/sync_sim.h asks of the simulator. Words travel as 64 bits plus their size.
//
// Every call is one atomic step of the calling virtual thread, with a point before it where another may
// go on. Outside of a run (static constructors, the test's own OS thread) each call simply acts on the
// plain word, so objects may be built before and looked at after a simulation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wring::sim {

// The caller's source line. The function's default arguments make GCC and Clang name the caller, not this file.
struct here {
  const char* file = "";
  int line = 0;

  static constexpr here now(const char* file = __builtin_FILE(), int line = __builtin_LINE()) noexcept {
    return {file, line};
  }
};

// True while a virtual thread is the caller.
bool running() noexcept;
// Ends the run as failed and never returns; aborts the process when no run is under way.
[[noreturn]] void fail(const char* what) noexcept;

namespace door {

enum class memory_order : std::uint8_t { relaxed, acquire, release, acq_rel, seq_cst };
enum class rmw : std::uint8_t { exchange, add, sub, bit_and, bit_or, bit_xor };

struct word {
  void* address;
  std::size_t size;  // 1, 2, 4 or 8
};

// What a word holds after the operation.
constexpr std::uint64_t apply(rmw op, std::uint64_t old, std::uint64_t operand, std::size_t size) noexcept {
  std::uint64_t v = operand;
  switch (op) {
    case rmw::exchange: break;
    case rmw::add: v = old + operand; break;
    case rmw::sub: v = old - operand; break;
    case rmw::bit_and: v = old & operand; break;
    case rmw::bit_or: v = old | operand; break;
    case rmw::bit_xor: v = old ^ operand; break;
  }
  return size < sizeof v ? v & ((std::uint64_t{1} << (8 * size)) - 1) : v;
}

// A new object at this address: whatever was known about its former life is forgotten.
void born(const void* address) noexcept;
std::uint64_t load(word w, memory_order o, here at) noexcept;
void store(word w, std::uint64_t value, memory_order o, here at) noexcept;
std::uint64_t modify(word w, rmw op, std::uint64_t operand, memory_order o, here at) noexcept;
bool compare_exchange(word w, std::uint64_t& expected, std::uint64_t desired, memory_order ok, memory_order fail,
                      bool weak, here at) noexcept;

// Plain data; no point, only a check that all accesses are ordered.
void plain_read(const void* address, here at) noexcept;
void plain_write(const void* address, here at) noexcept;

void fence_light(here at) noexcept;
void fence_heavy(here at) noexcept;

int futex_wait(const std::uint32_t* address, std::uint32_t expected, std::uint64_t deadline_ns, here at) noexcept;
int futex_wake(const std::uint32_t* address, int count, here at) noexcept;

void lock(std::uint32_t* address, here at) noexcept;
bool try_lock(std::uint32_t* address, here at) noexcept;
void unlock(std::uint32_t* address, here at) noexcept;

void relax(here at) noexcept;

// Returns 0 and the thread's number, or -EAGAIN.
int thread_create(std::uint32_t& id, const char* name, void (*entry)(void*), void* argument, here at) noexcept;
void thread_join(std::uint32_t id, here at) noexcept;
bool thread_try_join(std::uint32_t id, here at) noexcept;
std::uint32_t thread_id() noexcept;
void thread_stack(std::uintptr_t& low, std::uintptr_t& high) noexcept;
void thread_name(const char* name) noexcept;

// A number of its own for each kind of thread slot, given out once per process.
unsigned new_slot_kind() noexcept;
void*& thread_slot(unsigned kind) noexcept;

bool planted(const char* name) noexcept;
void sometimes(const char* name) noexcept;

}  // namespace door
}  // namespace wring::sim
