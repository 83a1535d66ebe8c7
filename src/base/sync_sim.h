// SPDX-License-Identifier: Apache-2.0
// sync_sim: the door's back end for the simulator (src/sim). Include base/sync.h.
//
// Types have the size and layout they have in real builds: what the simulator knows about a word lies in
// a table of its own, keyed by address. So atomic_ref works on the plain words of public headers.
#pragma once

#include "sim/door.h"

#include <cstring>
#include <type_traits>

#define WRING_AT , ::wring::sim::here at = ::wring::sim::here::now()
#define WRING_AT1 ::wring::sim::here at = ::wring::sim::here::now()
#define WRING_PASS , at
#define WRING_PASS1 at
#define WRING_PLANT(name) ::wring::sim::door::planted(#name)

namespace wring::base {

inline constexpr bool simulated = true;

namespace sim_detail {

constexpr sim::door::memory_order to_sim(order o) noexcept { return static_cast<sim::door::memory_order>(o); }

template <class T>
std::uint64_t to_bits(T v) noexcept {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  return bits;
}

template <class T>
T from_bits(std::uint64_t bits) noexcept {
  T v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// The operations, shared by atomic and atomic_ref.
template <class T>
struct word_access {
  T* word;

  [[nodiscard]] sim::door::word w() const noexcept { return {word, sizeof(T)}; }

  T load(order o, sim::here at) const noexcept { return from_bits<T>(sim::door::load(w(), to_sim(o), at)); }
  void store(T v, order o, sim::here at) const noexcept { sim::door::store(w(), to_bits(v), to_sim(o), at); }
  T modify(sim::door::rmw op, T v, order o, sim::here at) const noexcept {
    return from_bits<T>(sim::door::modify(w(), op, to_bits(v), to_sim(o), at));
  }
  bool compare_exchange(T& expected, T desired, order ok, order fail, bool weak, sim::here at) const noexcept {
    std::uint64_t bits = to_bits(expected);
    const bool done = sim::door::compare_exchange(w(), bits, to_bits(desired), to_sim(ok), to_sim(fail), weak, at);
    if (!done) expected = from_bits<T>(bits);
    return done;
  }
};

}  // namespace sim_detail

template <class T>
class atomic_ref {
  using rmw = sim::door::rmw;

 public:
  using value_type = T;

  explicit atomic_ref(T& word) noexcept : word_{word} {}

  void init(T v) const noexcept {
    word_ = v;
    sim::door::born(&word_);
  }

  T load(order o WRING_AT) const noexcept { return access().load(o, at); }
  void store(T v, order o WRING_AT) const noexcept { access().store(v, o, at); }
  T exchange(T v, order o WRING_AT) const noexcept { return access().modify(rmw::exchange, v, o, at); }
  T fetch_add(T v, order o WRING_AT) const noexcept { return access().modify(rmw::add, v, o, at); }
  T fetch_sub(T v, order o WRING_AT) const noexcept { return access().modify(rmw::sub, v, o, at); }
  T fetch_and(T v, order o WRING_AT) const noexcept { return access().modify(rmw::bit_and, v, o, at); }
  T fetch_or(T v, order o WRING_AT) const noexcept { return access().modify(rmw::bit_or, v, o, at); }
  T fetch_xor(T v, order o WRING_AT) const noexcept { return access().modify(rmw::bit_xor, v, o, at); }
  bool compare_exchange_weak(T& expected, T desired, order ok, order fail WRING_AT) const noexcept {
    return access().compare_exchange(expected, desired, ok, fail, true, at);
  }
  bool compare_exchange_strong(T& expected, T desired, order ok, order fail WRING_AT) const noexcept {
    return access().compare_exchange(expected, desired, ok, fail, false, at);
  }

  [[nodiscard]] T* address() const noexcept { return &word_; }

 private:
  [[nodiscard]] sim_detail::word_access<T> access() const noexcept { return {&word_}; }
  T& word_;
};

template <class T>
class atomic {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  using rmw = sim::door::rmw;

 public:
  using value_type = T;

  constexpr explicit atomic(T v = T{}) noexcept : value_{v} {
    if (!std::is_constant_evaluated()) sim::door::born(&value_);
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(order o WRING_AT) const noexcept { return access().load(o, at); }
  void store(T v, order o WRING_AT) noexcept { access().store(v, o, at); }
  T exchange(T v, order o WRING_AT) noexcept { return access().modify(rmw::exchange, v, o, at); }
  T fetch_add(T v, order o WRING_AT) noexcept { return access().modify(rmw::add, v, o, at); }
  T fetch_sub(T v, order o WRING_AT) noexcept { return access().modify(rmw::sub, v, o, at); }
  T fetch_and(T v, order o WRING_AT) noexcept { return access().modify(rmw::bit_and, v, o, at); }
  T fetch_or(T v, order o WRING_AT) noexcept { return access().modify(rmw::bit_or, v, o, at); }
  T fetch_xor(T v, order o WRING_AT) noexcept { return access().modify(rmw::bit_xor, v, o, at); }
  bool compare_exchange_weak(T& expected, T desired, order ok, order fail WRING_AT) noexcept {
    return access().compare_exchange(expected, desired, ok, fail, true, at);
  }
  bool compare_exchange_strong(T& expected, T desired, order ok, order fail WRING_AT) noexcept {
    return access().compare_exchange(expected, desired, ok, fail, false, at);
  }

  [[nodiscard]] T* address() noexcept { return &value_; }

 private:
  [[nodiscard]] sim_detail::word_access<T> access() const noexcept { return {&value_}; }
  alignas(sizeof(T)) mutable T value_;
};

template <class T>
class checked {
 public:
  constexpr explicit checked(T v = T{}) noexcept : value_{v} {
    if (!std::is_constant_evaluated()) sim::door::born(&value_);
  }
  // Returns a copy, as real builds do; the check is for the moment of the call.
  T get(WRING_AT1) const noexcept {
    sim::door::plain_read(&value_, at);
    return value_;
  }
  void set(T v WRING_AT) noexcept {
    sim::door::plain_write(&value_, at);
    value_ = v;
  }

 private:
  T value_;
};

inline void fence_light(WRING_AT1) noexcept { sim::door::fence_light(at); }
inline void fence_heavy(WRING_AT1) noexcept { sim::door::fence_heavy(at); }

template <class Word>
int futex_wait(Word&& word, std::uint32_t expected, instant deadline = never WRING_AT) noexcept {
  return sim::door::futex_wait(word.address(), expected, deadline.ns, at);
}
template <class Word>
int futex_wake(Word&& word, int count WRING_AT) noexcept {
  return sim::door::futex_wake(word.address(), count, at);
}

inline void cpu_relax(WRING_AT1) noexcept { sim::door::relax(at); }
inline void yield(WRING_AT1) noexcept { sim::door::relax(at); }

// A lock that is one step to take and one to give back, for base/mutex.h; the simulator knows its owner.
class sim_lock {
 public:
  constexpr sim_lock() noexcept {
    if (!std::is_constant_evaluated()) sim::door::born(&word_);
  }
  sim_lock(const sim_lock&) = delete;
  sim_lock& operator=(const sim_lock&) = delete;

  void lock(WRING_AT1) noexcept { sim::door::lock(&word_, at); }
  bool try_lock(WRING_AT1) noexcept { return sim::door::try_lock(&word_, at); }
  void unlock(WRING_AT1) noexcept { sim::door::unlock(&word_, at); }

 private:
  std::uint32_t word_ = 0;  // 1 while locked, for debuggers
};

class thread {
 public:
  thread() noexcept = default;
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;

  [[nodiscard]] bool joinable() const noexcept { return id_ != 0; }

 private:
  friend int thread_create(thread&, const thread_options&, void (*)(void*), void*, sim::here) noexcept;
  friend void thread_join(thread&, sim::here) noexcept;
  friend bool thread_try_join(thread&, sim::here) noexcept;
  std::uint32_t id_ = 0;
};

inline int thread_create(thread& t, const thread_options& options, void (*entry)(void*),
                         void* argument WRING_AT) noexcept {
  return sim::door::thread_create(t.id_, options.name, entry, argument, at);
}
inline void thread_join(thread& t WRING_AT) noexcept {
  if (!t.joinable()) return;
  sim::door::thread_join(t.id_, at);
  t.id_ = 0;
}
inline bool thread_try_join(thread& t WRING_AT) noexcept {
  if (t.joinable() && sim::door::thread_try_join(t.id_, at)) t.id_ = 0;
  return !t.joinable();
}
inline std::uint32_t thread_id() noexcept { return sim::door::thread_id(); }

template <class Tag, class T>
struct thread_slot {
  static T*& get() noexcept {
    static const unsigned kind = sim::door::new_slot_kind();
    // A T* and a void* have one representation on every machine wring runs on.
    return reinterpret_cast<T*&>(sim::door::thread_slot(kind));
  }
};

inline stack_bounds thread_stack() noexcept {
  stack_bounds bounds{};
  sim::door::thread_stack(bounds.low, bounds.high);
  return bounds;
}

[[noreturn]] inline void fail(const char* text) noexcept { sim::fail(text); }
inline void sometimes(const char* name) noexcept { sim::door::sometimes(name); }

}  // namespace wring::base
