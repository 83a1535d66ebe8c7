// SPDX-License-Identifier: Apache-2.0
// stable_pool: recycling, and outdated pointers that are still safe to lock.
#include "base/stable_pool.h"

#include "base/crew.h"

#include <gtest/gtest.h>

#include <array>
#include <new>
#include <set>
#include <vector>

namespace wring::base {
namespace {

struct counted {
  static inline int alive = 0;
  static inline int made = 0;
  static inline bool refuse = false;
  int value = 0;

  counted() {
    if (refuse) throw std::bad_alloc{};
    ++alive;
    ++made;
  }
  ~counted() { --alive; }
};

TEST(stable_pool, the_last_one_released_is_the_next_one_acquired) {
  stable_pool<counted> pool;
  counted& a = pool.acquire();
  counted& b = pool.acquire();
  EXPECT_NE(&a, &b);
  pool.release(a);
  pool.release(b);
  EXPECT_EQ(&pool.acquire(), &b);
  EXPECT_EQ(&pool.acquire(), &a);
  EXPECT_EQ(pool.in_use(), 2u);
  pool.audit();
}

TEST(stable_pool, objects_are_constructed_once_keep_their_content_and_die_with_the_pool) {
  counted::made = 0;
  {
    stable_pool<counted> pool;
    pool.acquire().value = 42;
    counted& other = pool.acquire();
    pool.release(other);
    EXPECT_EQ(counted::made, 2);
    for (int i = 0; i < 100; ++i) pool.release(pool.acquire());
    EXPECT_EQ(counted::made, 2);
    EXPECT_EQ(counted::alive, 2) << "a release destroys nothing";
    other.value = 7;
    EXPECT_EQ(pool.acquire().value, 7);
    writer w;
    pool.describe(w);
    EXPECT_EQ(w.text(), "stable_pool{made=2 in_use=2}");
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(stable_pool, an_acquire_that_fails_changes_nothing) {
  stable_pool<counted> pool;
  pool.release(pool.acquire());
  counted& only = pool.acquire();
  counted::refuse = true;
  EXPECT_THROW(static_cast<void>(pool.acquire()), std::bad_alloc);
  counted::refuse = false;
  EXPECT_EQ(pool.in_use(), 1u);
  pool.release(only);
  pool.audit();
}

struct alignas(128) wide {
  mutex lock{rank::queue};
  std::uint64_t generation = 0;  // guarded by lock
  bool owned = false;            // guarded by lock
};

TEST(stable_pool, over_aligned_objects_are_aligned) {
  stable_pool<wide> pool;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&pool.acquire()) % 128, 0u);
}

// Method: every thread acquires, marks, unmarks and releases, and all the time locks a pointer it got long
// ago. Nobody may get an object that somebody has; the sanitizers see memory that went away.
TEST(stable_pool, nobody_shares_an_object_and_outdated_pointers_can_be_locked) {
  stable_pool<wide> pool;
  test::run_crew<3>([&](std::size_t) {
    wide* outdated = nullptr;
    for (int i = 0; i < 5'000; ++i) {
      wide& mine = pool.acquire();
      {
        lock_guard guard{mine.lock};
        ASSERT_FALSE(mine.owned);
        mine.owned = true;
        ++mine.generation;
      }
      if (outdated != nullptr) {
        lock_guard guard{outdated->lock};
        ASSERT_GT(outdated->generation, 0u);
      }
      if (i % 100 == 0) outdated = &mine;
      {
        lock_guard guard{mine.lock};
        mine.owned = false;
      }
      pool.release(mine);
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  pool.audit();
}

}  // namespace
}  // namespace wring::base
