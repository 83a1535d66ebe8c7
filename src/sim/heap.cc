// SPDX-License-Identifier: Apache-2.0
#include "sim/heap.h"

#include "sim/sanitizers.h"
#include "sim/simulation.h"

#include <cstddef>
#include <cstdlib>
#include <new>

#ifdef WRING_SIM_ASAN

// GCC does not install the header that declares these.
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* p);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_allocate)(const volatile void*, std::size_t),
                                                         void (*on_free)(const volatile void*));

namespace {

void on_allocate(const volatile void*, std::size_t) {}
void on_free(const volatile void* p) {
  wring::sim::simulation* s = wring::sim::simulation::current();
  if (s != nullptr && p != nullptr) {
    s->forget(const_cast<const void*>(p), __sanitizer_get_allocated_size(p));
  }
}

}  // namespace

void wring::sim::watch_heap() noexcept {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(&on_allocate, &on_free);
  static_cast<void>(installed);
}

#else

#include <malloc.h>

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) {
  void* p = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    p = std::malloc(bytes != 0 ? bytes : 1);
  } else if (::posix_memalign(&p, alignment, bytes) != 0) {
    p = nullptr;
  }
  if (p == nullptr) throw std::bad_alloc{};
  return p;
}

void release(void* p) noexcept {
  wring::sim::simulation* s = wring::sim::simulation::current();
  if (s != nullptr && p != nullptr) s->forget(p, ::malloc_usable_size(p));
  std::free(p);
}

}  // namespace

// Linking this file is enough: it replaces the operators.
void wring::sim::watch_heap() noexcept {}

// The standard library's other forms of new and delete end in these.
void* operator new(std::size_t bytes) { return allocate(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }

#endif
