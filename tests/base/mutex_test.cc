// SPDX-License-Identifier: Apache-2.0
// mutex: exclusion under real threads, and the order of ranks.
#include "base/mutex.h"

#include "base/crew.h"

#include <gtest/gtest.h>

#include <csignal>

namespace wring::base {
namespace {

// Method: a plain counter; a lost update or a race that the thread sanitizer sees is the failure. The yield
// inside makes the others sleep on the futex.
TEST(mutex, one_thread_at_a_time) {
  constexpr int rounds = 5'000;
  mutex m{rank::queue};
  int counter = 0;
  test::run_crew<4>([&](std::size_t) {
    for (int i = 0; i < rounds; ++i) {
      lock_guard guard{m};
      const int seen = counter;
      if (i % 64 == 0) yield();
      counter = seen + 1;
    }
  });
  EXPECT_EQ(counter, 4 * rounds);
}

TEST(mutex, try_lock_fails_while_another_thread_holds_it) {
  constexpr int rounds = 5'000;
  mutex m{rank::queue};
  int counter = 0;
  atomic<int> failures{0};
  test::run_crew<2>([&](std::size_t) WRING_NO_ANALYSIS {
    for (int i = 0; i < rounds; ++i) {
      while (!m.try_lock()) {
        failures.fetch_add(1, order::relaxed);
        yield();
      }
      ++counter;
      if (i % 16 == 0) yield();
      m.unlock();
    }
  });
  EXPECT_EQ(counter, 2 * rounds);
}

// Method: the holder lets go only after the other thread's try_lock() has failed.
TEST(mutex, a_held_lock_is_not_given_twice) {
  mutex m{rank::queue};
  atomic<int> step{0};
  bool got = true;
  test::run_crew<2>([&](std::size_t me) WRING_NO_ANALYSIS {
    if (me == 0) {
      m.lock();
      step.store(1, order::release);
      while (step.load(order::acquire) != 2) yield();
      m.unlock();
    } else {
      while (step.load(order::acquire) != 1) yield();
      got = m.try_lock();
      if (got) m.unlock();
      step.store(2, order::release);
    }
  });
  EXPECT_FALSE(got);
}

TEST(mutex, ranks_may_be_taken_from_the_outside_to_the_inside_again_and_again) {
  mutex outer{rank::queue};
  mutex inner{rank::idle};
  for (int i = 0; i < 3; ++i) {
    lock_guard first{outer};
    lock_guard second{inner};
  }
  lock_guard alone{inner};
}

#ifdef WRING_RANK_CHECKS

void take(mutex& first, mutex& second) WRING_NO_ANALYSIS {
  first.lock();
  second.lock();
}

TEST(mutex_death, an_outer_rank_after_an_inner_one_is_refused) {
  mutex outer{rank::queue};
  mutex inner{rank::idle};
  EXPECT_EXIT(take(inner, outer), testing::KilledBySignal(SIGABRT), "check failed");
}

TEST(mutex_death, two_locks_of_one_rank_are_refused) {
  mutex one{rank::queue};
  mutex other{rank::queue};
  EXPECT_EXIT(take(one, other), testing::KilledBySignal(SIGABRT), "check failed");
}

TEST(mutex_death, a_lock_taken_by_trying_counts_as_held) {
  mutex outer{rank::queue};
  mutex inner{rank::idle};
  const auto tries = [&]() WRING_NO_ANALYSIS {
    if (inner.try_lock()) outer.lock();
  };
  EXPECT_EXIT(tries(), testing::KilledBySignal(SIGABRT), "check failed");
}

#endif

}  // namespace
}  // namespace wring::base
