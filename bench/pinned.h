// SPDX-License-Identifier: Apache-2.0
// pinned: a fixed number of objects side by side that are never moved, each made from its index.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace bench {

template <class T>
class pinned {
 public:
  // `make(storage, i)` constructs object i there.
  template <class Make>
  pinned(std::size_t count, Make make) : objects_{std::allocator<T>{}.allocate(count)}, count_{count} {
    for (std::size_t i = 0; i < count; ++i) make(static_cast<void*>(objects_ + i), i);
  }
  ~pinned() {
    std::destroy_n(objects_, count_);
    std::allocator<T>{}.deallocate(objects_, count_);
  }
  pinned(const pinned&) = delete;
  pinned& operator=(const pinned&) = delete;

  [[nodiscard]] T& operator[](std::size_t index) noexcept { return objects_[index]; }
  [[nodiscard]] T* begin() noexcept { return objects_; }
  [[nodiscard]] T* end() noexcept { return objects_ + count_; }

 private:
  T* objects_;
  std::size_t count_;
};

}  // namespace bench
