// SPDX-License-Identifier: Apache-2.0
// sync_real: the door's back end for the machine itself. Include base/sync.h.
#pragma once

#include <atomic>
#include <ctime>

#define WRING_AT
#define WRING_AT1
// Hands the location on to another call of the door.
#define WRING_PASS
#define WRING_PASS1
#define WRING_PLANT(name) false

namespace wring::base {

inline constexpr bool simulated = false;

constexpr std::memory_order std_order(order o) noexcept {
  switch (o) {
    case order::relaxed: return std::memory_order_relaxed;
    case order::acquire: return std::memory_order_acquire;
    case order::release: return std::memory_order_release;
    case order::acq_rel: return std::memory_order_acq_rel;
    case order::seq_cst: break;
  }
  return std::memory_order_seq_cst;
}

template <class T>
class atomic_ref {
 public:
  using value_type = T;

  explicit atomic_ref(T& word) noexcept : word_{word} {}

  void init(T v) const noexcept { ref().store(v, std::memory_order_relaxed); }

  T load(order o) const noexcept { return ref().load(std_order(o)); }
  void store(T v, order o) const noexcept { ref().store(v, std_order(o)); }
  T exchange(T v, order o) const noexcept { return ref().exchange(v, std_order(o)); }
  T fetch_add(T v, order o) const noexcept { return ref().fetch_add(v, std_order(o)); }
  T fetch_sub(T v, order o) const noexcept { return ref().fetch_sub(v, std_order(o)); }
  T fetch_and(T v, order o) const noexcept { return ref().fetch_and(v, std_order(o)); }
  T fetch_or(T v, order o) const noexcept { return ref().fetch_or(v, std_order(o)); }
  T fetch_xor(T v, order o) const noexcept { return ref().fetch_xor(v, std_order(o)); }
  bool compare_exchange_weak(T& expected, T desired, order ok, order fail) const noexcept {
    return ref().compare_exchange_weak(expected, desired, std_order(ok), std_order(fail));
  }
  bool compare_exchange_strong(T& expected, T desired, order ok, order fail) const noexcept {
    return ref().compare_exchange_strong(expected, desired, std_order(ok), std_order(fail));
  }

  [[nodiscard]] T* address() const noexcept { return &word_; }

 private:
  [[nodiscard]] std::atomic_ref<T> ref() const noexcept { return std::atomic_ref<T>{word_}; }
  T& word_;
};

template <class T>
class atomic {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);

 public:
  using value_type = T;

  constexpr explicit atomic(T v = T{}) noexcept : value_{v} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(order o) const noexcept { return value_.load(std_order(o)); }
  void store(T v, order o) noexcept { value_.store(v, std_order(o)); }
  T exchange(T v, order o) noexcept { return value_.exchange(v, std_order(o)); }
  T fetch_add(T v, order o) noexcept { return value_.fetch_add(v, std_order(o)); }
  T fetch_sub(T v, order o) noexcept { return value_.fetch_sub(v, std_order(o)); }
  T fetch_and(T v, order o) noexcept { return value_.fetch_and(v, std_order(o)); }
  T fetch_or(T v, order o) noexcept { return value_.fetch_or(v, std_order(o)); }
  T fetch_xor(T v, order o) noexcept { return value_.fetch_xor(v, std_order(o)); }
  bool compare_exchange_weak(T& expected, T desired, order ok, order fail) noexcept {
    return value_.compare_exchange_weak(expected, desired, std_order(ok), std_order(fail));
  }
  bool compare_exchange_strong(T& expected, T desired, order ok, order fail) noexcept {
    return value_.compare_exchange_strong(expected, desired, std_order(ok), std_order(fail));
  }

  [[nodiscard]] T* address() noexcept { return reinterpret_cast<T*>(&value_); }

 private:
  std::atomic<T> value_;
};

template <class T>
class checked {
 public:
  constexpr explicit checked(T v = T{}) noexcept : value_{v} {}
  T get() const noexcept { return value_; }
  void set(T v) noexcept { value_ = v; }

 private:
  T value_;
};

// A full fence. ThreadSanitizer does not know fences, and GCC refuses to compile them beside it, so it gets the
// bare instruction; what our protocols hand over under fences is released and acquired besides (bias.h).
inline void fence_full() noexcept {
#if defined(__SANITIZE_THREAD__) && defined(__x86_64__)
  asm volatile("mfence" ::: "memory");
#elif defined(__SANITIZE_THREAD__) && defined(__aarch64__)
  asm volatile("dmb ish" ::: "memory");
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

// True where the kernel orders other threads for us (membarrier); otherwise both fences are full ones.
extern bool heavy_fence_available;  // set once, when the library is loaded
void heavy_fence_slow() noexcept;

inline void fence_light() noexcept {
  if (heavy_fence_available) [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    fence_full();
  }
}
inline void fence_heavy() noexcept { heavy_fence_slow(); }

int futex_wait_raw(const std::uint32_t* word, std::uint32_t expected, instant deadline) noexcept;
int futex_wake_raw(const std::uint32_t* word, int count) noexcept;

// `word` is an atomic<uint32_t> or an atomic_ref<uint32_t>.
template <class Word>
int futex_wait(Word&& word, std::uint32_t expected, instant deadline = never) noexcept {
  return futex_wait_raw(word.address(), expected, deadline);
}
template <class Word>
int futex_wake(Word&& word, int count) noexcept {
  return futex_wake_raw(word.address(), count);
}

inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}
void yield() noexcept;

class thread {
 public:
  thread() noexcept = default;
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;

  [[nodiscard]] bool joinable() const noexcept { return joinable_; }

 private:
  friend int thread_create(thread&, const thread_options&, void (*)(void*), void*) noexcept;
  friend void thread_join(thread&) noexcept;
  friend bool thread_try_join(thread&) noexcept;
  unsigned long handle_ = 0;  // pthread_t
  bool joinable_ = false;
};

int thread_create(thread& t, const thread_options& options, void (*entry)(void*), void* argument) noexcept;
void thread_join(thread& t) noexcept;
bool thread_try_join(thread& t) noexcept;
// The kernel's id of the calling thread.
std::uint32_t thread_id() noexcept;

template <class Tag, class T>
struct thread_slot {
  static T*& get() noexcept {
    // A few pointers fit what the dynamic linker keeps for libraries loaded later, so the fast model is safe.
    [[gnu::tls_model("initial-exec")]] static thread_local T* slot = nullptr;
    return slot;
  }
};

stack_bounds thread_stack() noexcept;

// In a forked child: the only thread there is may have been one of ours. It gets back the signal mask of the
// program's threads, and the kernel is told about the fences again.
void renew_thread_in_child() noexcept;

[[noreturn, gnu::cold]] void fail(const char* text) noexcept;
inline void sometimes(const char*) noexcept {}

}  // namespace wring::base
