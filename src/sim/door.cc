// SPDX-License-Identifier: Apache-2.0
#include "sim/door.h"

#include "sim/simulation.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wring::sim {

namespace {

// The host is one thread and never waits; its words are plain ones.
simulation* sim() noexcept { return simulation::current(); }

std::uint64_t get(door::word w) noexcept {
  std::uint64_t v = 0;
  std::memcpy(&v, w.address, w.size);
  return v;
}
void put(door::word w, std::uint64_t v) noexcept { std::memcpy(w.address, &v, w.size); }

[[noreturn]] void host_cannot(const char* what) noexcept {
  std::fprintf(stderr, "wring simulator: %s outside of a run\n", what);
  std::abort();
}

constexpr std::uint32_t host_thread_id = 1'000'000;
constexpr unsigned host_slot_kinds = 16;

}  // namespace

bool running() noexcept { return sim() != nullptr; }

void fail(const char* what) noexcept {
  if (sim() != nullptr) sim()->fail(failure_kind::check, what);
  host_cannot(what);
}

namespace door {

void born(const void* address) noexcept {
  if (sim() != nullptr) sim()->born(address);
}

std::uint64_t load(word w, memory_order o, here at) noexcept {
  return sim() != nullptr ? sim()->load(w, o, at) : get(w);
}

void store(word w, std::uint64_t value, memory_order o, here at) noexcept {
  if (sim() != nullptr) {
    sim()->store(w, value, o, at);
  } else {
    put(w, value);
  }
}

std::uint64_t modify(word w, rmw op, std::uint64_t operand, memory_order o, here at) noexcept {
  if (sim() != nullptr) return sim()->modify(w, op, operand, o, at);
  const std::uint64_t old = get(w);
  put(w, apply(op, old, operand, w.size));
  return old;
}

bool compare_exchange(word w, std::uint64_t& expected, std::uint64_t desired, memory_order ok, memory_order fail,
                      bool weak, here at) noexcept {
  if (sim() != nullptr) return sim()->compare_exchange(w, expected, desired, ok, fail, weak, at);
  const std::uint64_t old = get(w);
  if (old == expected) {
    put(w, desired);
    return true;
  }
  expected = old;
  return false;
}

void plain_read(const void* address, here at) noexcept {
  if (sim() != nullptr) sim()->plain_read(address, at);
}
void plain_write(const void* address, here at) noexcept {
  if (sim() != nullptr) sim()->plain_write(address, at);
}
void fence_light(here at) noexcept {
  if (sim() != nullptr) sim()->fence_light(at);
}
void fence_heavy(here at) noexcept {
  if (sim() != nullptr) sim()->fence_heavy(at);
}

int futex_wait(const std::uint32_t* address, std::uint32_t expected, std::uint64_t deadline_ns, here at) noexcept {
  if (sim() != nullptr) return sim()->futex_wait(address, expected, deadline_ns, at);
  if (*address != expected) return -EAGAIN;
  host_cannot("a wait that nobody can end");
}

int futex_wake(const std::uint32_t* address, int count, here at) noexcept {
  return sim() != nullptr ? sim()->futex_wake(address, count, at) : 0;
}

void lock(std::uint32_t* address, here at) noexcept {
  if (sim() != nullptr) {
    sim()->lock(address, at);
  } else {
    if (*address != 0) host_cannot("a lock that is held");
    *address = 1;
  }
}

bool try_lock(std::uint32_t* address, here at) noexcept {
  if (sim() != nullptr) return sim()->try_lock(address, at);
  if (*address != 0) return false;
  *address = 1;
  return true;
}

void unlock(std::uint32_t* address, here at) noexcept {
  if (sim() != nullptr) {
    sim()->unlock(address, at);
  } else {
    *address = 0;
  }
}

void relax(here at) noexcept {
  if (sim() != nullptr) sim()->relax(at);
}

int thread_create(std::uint32_t& id, const char* name, void (*entry)(void*), void* argument, here at) noexcept {
  if (sim() == nullptr) return -EAGAIN;
  return sim()->thread_create(id, name, entry, argument, true, at);
}

void thread_join(std::uint32_t id, here at) noexcept {
  if (sim() == nullptr) host_cannot("join of a thread");
  sim()->thread_join(id, at);
}

bool thread_try_join(std::uint32_t id, here at) noexcept {
  if (sim() == nullptr) host_cannot("join of a thread");
  return sim()->thread_try_join(id, at);
}

std::uint32_t thread_id() noexcept { return sim() != nullptr ? sim()->thread_id() : host_thread_id; }

void thread_stack(std::uintptr_t& low, std::uintptr_t& high) noexcept {
  if (sim() != nullptr) {
    sim()->thread_stack(low, high);
  } else {
    // Nobody asks on the host except to see how much is left; the answer is "about this much, half used".
    constexpr std::uintptr_t some = std::uintptr_t{256} * 1024;
    const auto present = reinterpret_cast<std::uintptr_t>(&low);
    low = present - some;
    high = present + some;
  }
}

void thread_name(const char* name) noexcept {
  if (sim() != nullptr) sim()->thread_name(name);
}

unsigned new_slot_kind() noexcept {
  static unsigned next = 0;  // tells kinds apart and nothing else: no run depends on its value
  return next++;
}

void*& thread_slot(unsigned kind) noexcept {
  static std::array<void*, host_slot_kinds> host_slots{};
  if (sim() != nullptr) return sim()->thread_slot(kind);
  if (kind >= host_slot_kinds) host_cannot("too many kinds of thread slots");
  return host_slots[kind];
}

bool planted(const char* name) noexcept { return sim() != nullptr && sim()->planted(name); }

void sometimes(const char* name) noexcept {
  if (sim() != nullptr) sim()->count(name, 1);
}

}  // namespace door
}  // namespace wring::sim
