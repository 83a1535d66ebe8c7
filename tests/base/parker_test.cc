// SPDX-License-Identifier: Apache-2.0
// parker and completion on real futexes. Every interleaving of them is searched in tests/sim.
#include "base/parker.h"

#include "base/crew.h"

#include <gtest/gtest.h>

#include <memory>

namespace wring::base {
namespace {

TEST(parker, an_unpark_before_park_is_remembered_once) {
  parker p;
  p.unpark();
  p.unpark();
  EXPECT_TRUE(p.park());
  EXPECT_FALSE(p.park(instant{1})) << "the second unpark() was the same token";
}

TEST(parker, a_deadline_in_the_past_returns_at_once) {
  parker p;
  EXPECT_FALSE(p.park(instant{0}));
  EXPECT_FALSE(p.park(clock::now()));
  p.unpark();
  EXPECT_TRUE(p.park(instant{0})) << "a token counts more than a deadline";
}

// Method: two threads hand a plain int to and fro. A lost wake-up hangs, a missing order is a race.
TEST(parker, ping_pong_loses_no_wake_up_and_hands_over_what_was_written) {
  constexpr int rounds = 20'000;
  parker side[2];
  int ball = 0;
  test::run_crew<2>([&](std::size_t me) {
    for (int i = 0; i < rounds; ++i) {
      if (me == 1) {
        ASSERT_TRUE(side[1].park());
      }
      ASSERT_EQ(ball, 2 * i + static_cast<int>(me));
      ++ball;
      side[1 - me].unpark();
      if (me == 0) {
        ASSERT_TRUE(side[0].park());
      }
    }
  });
  EXPECT_EQ(ball, 2 * rounds);
}

// Method: every unpark() comes within some 100 us after the sleeper's deadline, about when the kernel ends its
// sleep. One that is swallowed by a park() that says "timeout" is never repeated, so the test would hang.
TEST(parker, a_timeout_that_races_with_unpark_swallows_nothing) {
  constexpr std::uint64_t rounds = 4'000;
  parker p;
  atomic<std::uint64_t> deadline_ns{0};
  atomic<std::uint64_t> finished{0};
  test::run_crew<2>([&](std::size_t me) {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      if (me == 0) {
        instant deadline = clock::now() + std::chrono::microseconds{20};
        deadline_ns.store(deadline.ns, order::release);
        while (!p.park(deadline)) deadline = never;
        finished.store(i, order::release);
      } else {
        std::uint64_t deadline = 0;
        while ((deadline = deadline_ns.exchange(0, order::acquire)) == 0) yield();
        const instant late{deadline + i % 100 * 1'000};
        while (clock::now() < late) cpu_relax();
        p.unpark();
        while (finished.load(order::acquire) != i) yield();
      }
    }
  });
  EXPECT_FALSE(p.park(instant{0}));
}

TEST(completion, is_over_for_good_once_complete) {
  completion c;
  EXPECT_FALSE(c.completed());
  EXPECT_FALSE(c.wait(instant{0}));
  EXPECT_FALSE(c.completed());
  c.complete();
  EXPECT_TRUE(c.completed());
  EXPECT_TRUE(c.wait());
  EXPECT_TRUE(c.wait(instant{0}));
}

TEST(completion, wakes_everybody_who_waits_and_shows_what_was_written_before) {
  for (int round = 0; round < 500; ++round) {
    completion c;
    int result = 0;
    test::run_crew<4>([&](std::size_t me) {
      if (me == 0) {
        if (round % 2 == 0) yield();
        result = round;
        c.complete();
      } else {
        ASSERT_TRUE(c.wait());
        ASSERT_EQ(result, round);
      }
    });
  }
}

// Method: the waiter frees the completion the moment wait() returns; the address sanitizer sees a late touch.
TEST(completion, may_be_freed_as_soon_as_wait_returns) {
  constexpr int rounds = 5'000;
  atomic<completion*> current{nullptr};
  test::run_crew<2>([&](std::size_t me) {
    for (int i = 0; i < rounds; ++i) {
      if (me == 0) {
        const auto c = std::make_unique<completion>();
        current.store(c.get(), order::release);
        ASSERT_TRUE(c->wait());
      } else {
        completion* c = nullptr;
        while ((c = current.exchange(nullptr, order::acquire)) == nullptr) yield();
        c->complete();
      }
    }
  });
}

}  // namespace
}  // namespace wring::base
