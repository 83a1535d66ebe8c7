// SPDX-License-Identifier: Apache-2.0
// bias: one owner against two visitors on real threads. That each fence is needed is shown in tests/sim; that the
// pair orders anything on this machine, in shell_test.cc.
#include "base/bias.h"

#include "base/crew.h"
#include "base/mutex.h"

#include <gtest/gtest.h>

namespace wring::base {
namespace {

// What the protocol guards. The flag finds two at once, the plain counter lost updates (and, for the thread
// sanitizer, a missing order). The section is as short as real ones, but now and then its thread loses the CPU.
struct guarded {
  atomic<int> busy{0};
  int touched = 0;

  void touch() {
    EXPECT_EQ(busy.exchange(1, order::relaxed), 0);
    if (++touched % 256 == 0) yield();
    busy.store(0, order::relaxed);
  }
};

TEST(bias, owner_and_visitors_are_never_inside_together) {
  constexpr int visits = 10'000;
  mutex m{rank::queue};
  bias b;
  guarded data;
  atomic<int> visitors_left{2};
  int owner_rounds = 0;
  int owner_slow = 0;
  test::run_crew<3>([&](std::size_t me) {
    if (me == 0) {
      for (; visitors_left.load(order::relaxed) != 0 || owner_rounds < 10'000; ++owner_rounds) {
        if (b.enter()) {
          data.touch();
          b.leave();
        } else {
          lock_guard guard{m};
          data.touch();
          ++owner_slow;
        }
      }
      return;
    }
    for (int i = 0; i < visits; ++i) {
      lock_guard guard{m};
      b.exclude();
      data.touch();
      b.readmit();
    }
    visitors_left.fetch_sub(1, order::relaxed);
  });
  EXPECT_EQ(data.touched, owner_rounds + 2 * visits);
  EXPECT_EQ(b.visitors(), 0u);
  EXPECT_LE(owner_slow, owner_rounds);
}

TEST(bias, a_message_keeps_the_owner_out_until_it_is_acknowledged) {
  bias b;
  ASSERT_TRUE(b.enter());
  b.leave();
  b.exclude();
  b.exclude();
  b.readmit();
  EXPECT_FALSE(b.enter());
  EXPECT_EQ(b.visitors(), 1u);
  b.acknowledge(1);
  EXPECT_TRUE(b.enter());
  b.leave();
}

// Method: visitors leave a message and go; only the owner, with the mutex, may take it. None may be lost.
TEST(bias, every_message_reaches_the_owner) {
  constexpr int visits = 1'000;
  mutex m{rank::queue};
  bias b;
  std::uint32_t messages = 0;  // guarded by m
  std::uint32_t received = 0;
  test::run_crew<3>([&](std::size_t me) {
    if (me != 0) {
      for (int i = 0; i < visits; ++i) {
        lock_guard guard{m};
        b.exclude();
        ++messages;
      }
      return;
    }
    while (received < 2 * visits) {
      if (b.enter()) {
        b.leave();
        yield();
        continue;
      }
      lock_guard guard{m};
      received += messages;
      b.acknowledge(messages);
      messages = 0;
    }
  });
  EXPECT_EQ(received, 2u * visits);
  EXPECT_EQ(b.visitors(), 0u);
  EXPECT_TRUE(b.enter());
}

}  // namespace
}  // namespace wring::base
