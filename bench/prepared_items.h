// SPDX-License-Identifier: Apache-2.0
// prepared_items: numbered no-ops that the caller owns and has made before the clock starts.
//
// A pool that has such a form (`item<F>` and post(item)) gets it. For the others the nearest is a function
// object that holds nothing but a pointer to the caller's item.
#pragma once

#include "pinned.h"
#include "tally.h"

#include <cstdint>
#include <new>

namespace bench {

struct numbered_hit {
  std::uint64_t number;
  void operator()() const noexcept { tally::hit(number); }
};

template <class Pool>
class prepared_items {
 public:
  prepared_items(Pool& pool, std::uint64_t count)
      : pool_{pool}, items_{count, [](void* storage, std::uint64_t i) { ::new (storage) numbered_hit{i}; }} {}
  void post(std::uint64_t index) {
    pool_.submit([item = &items_[index]] { (*item)(); });
  }

 private:
  Pool& pool_;
  pinned<numbered_hit> items_;
};

template <class Pool>
  requires requires { typename Pool::template item<numbered_hit>; }
class prepared_items<Pool> {
  using item = typename Pool::template item<numbered_hit>;

 public:
  prepared_items(Pool& pool, std::uint64_t count)
      : pool_{pool}, items_{count, [](void* storage, std::uint64_t i) { ::new (storage) item{numbered_hit{i}}; }} {}
  ~prepared_items() {
    if constexpr (requires { pool_.settle(); }) pool_.settle();
  }
  prepared_items(const prepared_items&) = delete;
  prepared_items& operator=(const prepared_items&) = delete;

  void post(std::uint64_t index) { pool_.post(items_[index]); }

 private:
  Pool& pool_;
  pinned<item> items_;
};

}  // namespace bench
