// SPDX-License-Identifier: Apache-2.0
// stable_pool: type-stable memory. An object is constructed once and then only recycled, newest first, until
// the pool dies; so whoever has an outdated pointer may still lock the object and look whether it is the one
// it was (a generation in T tells).
//
// What release() leaves in the object is what the next acquire() finds.
// Threads: any. Destruction: nobody else.
#pragma once

#include "base/check.h"
#include "base/mutex.h"

#include <cstddef>
#include <type_traits>

namespace wring::base {

template <class T>
class stable_pool {
  static_assert(std::is_default_constructible_v<T> && !std::is_final_v<T>);

 public:
  stable_pool() noexcept = default;
  stable_pool(const stable_pool&) = delete;
  stable_pool& operator=(const stable_pool&) = delete;
  ~stable_pool() {
    while (all_ != nullptr) {
      cell* const c = all_;
      all_ = c->next_made;
      delete c;
    }
  }

  // Throws std::bad_alloc, or what T's constructor throws.
  [[nodiscard]] T& acquire() {
    {
      lock_guard guard{mutex_};
      if (free_ != nullptr) {
        cell& c = *free_;
        free_ = c.next_free;
        ++in_use_;
        return c;
      }
    }
    cell& made = *new cell;
    lock_guard guard{mutex_};
    made.next_made = all_;
    all_ = &made;
    ++made_;
    ++in_use_;
    return made;
  }

  void release(T& t) noexcept {
    cell& c = static_cast<cell&>(t);
    lock_guard guard{mutex_};
    WRING_CHECK(in_use_ != 0, made_, &t);
    c.next_free = free_;
    free_ = &c;
    --in_use_;
  }

  // Around a fork; objects that other threads were about to give back stay in use in the child.
  void lock_for_fork() noexcept { mutex_.lock_for_fork(); }
  // Every object, whether in use or not; between lock_for_fork() and unlock_after_fork().
  template <class F>
  void for_each(const F& call) noexcept WRING_NO_ANALYSIS {
    for (cell* c = all_; c != nullptr; c = c->next_made) call(static_cast<T&>(*c));
  }
  void unlock_after_fork() noexcept { mutex_.unlock_after_fork(); }

  [[nodiscard]] std::size_t in_use() const noexcept {
    lock_guard guard{mutex_};
    return in_use_;
  }
  void audit() const noexcept {
    lock_guard guard{mutex_};
    std::size_t made = 0;
    std::size_t idle = 0;
    for (cell* c = all_; c != nullptr; c = c->next_made) ++made;
    for (cell* c = free_; c != nullptr && idle <= made; c = c->next_free) ++idle;
    WRING_CHECK(made == made_ && idle + in_use_ == made, made, idle, made_, in_use_);
  }
  void describe(writer& w) const {
    lock_guard guard{mutex_};
    w.put("stable_pool{made=", made_, " in_use=", in_use_, "}");
  }

 private:
  struct cell final : T {
    cell* next_made = nullptr;
    cell* next_free = nullptr;
  };

  mutable mutex mutex_{rank::memory};
  cell* all_ WRING_GUARDED_BY(mutex_) = nullptr;   // every object, newest first
  cell* free_ WRING_GUARDED_BY(mutex_) = nullptr;  // the recycled ones, last released first
  std::size_t made_ WRING_GUARDED_BY(mutex_) = 0;
  std::size_t in_use_ WRING_GUARDED_BY(mutex_) = 0;
};

}  // namespace wring::base
