// SPDX-License-Identifier: Apache-2.0
// timer_wheel: against a multimap, and the edges one by one. WQ-53.
#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <random>
#include <vector>

namespace wring::base {
namespace {

using namespace std::chrono_literals;

constexpr instant start{123'456'789'012'345};
constexpr std::uint64_t tick = timer_wheel::tick_ns;

std::vector<timer*> chain(timer* first) {
  std::vector<timer*> all;
  for (; first != nullptr; first = first->next) all.push_back(first);
  return all;
}

using timers = std::vector<timer*>;

TEST(timer_wheel, zeroed_words_are_a_timer_that_is_not_armed) {
  const std::array<std::uint64_t, 6> words{};
  const auto t = std::bit_cast<timer>(words);
  EXPECT_FALSE(t.armed());
  timer_wheel wheel{start};
  timer copy = t;
  EXPECT_FALSE(wheel.disarm(copy));
}

TEST(timer_wheel, an_empty_wheel_has_no_next_expiry) {
  timer_wheel wheel{start};
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_expiry(), never);
  EXPECT_EQ(wheel.collect(start + 100h), nullptr);
  EXPECT_EQ(wheel.next_expiry(), never);
  wheel.audit();
}

// WQ-53. Method: every offset inside a tick, and the wheel asked as early as it itself proposes.
TEST(timer_wheel, a_timer_never_fires_early_and_less_than_a_tick_late) {
  for (std::uint64_t offset = 0; offset < 2 * tick; offset += 62'473) {
    timer_wheel wheel{start};
    timer t;
    const instant deadline{start.ns + offset};
    wheel.arm(t, deadline);
    for (;;) {
      const instant now = wheel.next_expiry();
      ASSERT_NE(now, never);
      if (wheel.collect(now) != nullptr) {
        EXPECT_GE(std::max(now, start), deadline);
        EXPECT_LT(now.ns, deadline.ns + tick);
        break;
      }
    }
    EXPECT_FALSE(t.armed());
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(timer_wheel, a_deadline_that_has_passed_fires_at_the_next_collect) {
  timer_wheel wheel{start};
  EXPECT_EQ(wheel.collect(start + 5s), nullptr);
  timer past;
  timer earlier;
  wheel.arm(past, start + 1s);
  wheel.arm(earlier, instant{0});
  EXPECT_LE(wheel.next_expiry(), start + 5s);
  wheel.audit();
  EXPECT_EQ(chain(wheel.collect(start + 5s)), (timers{&past, &earlier}));
}

TEST(timer_wheel, a_clock_that_goes_back_fires_nothing_early) {
  timer_wheel wheel{start + 10s};
  timer t;
  wheel.arm(t, start + 20s);
  EXPECT_EQ(wheel.collect(start), nullptr);
  EXPECT_EQ(wheel.collect(start + 19s), nullptr);
  EXPECT_EQ(wheel.collect(start + 21s), &t);
}

TEST(timer_wheel, timers_of_one_tick_keep_the_order_in_which_they_were_armed) {
  timer_wheel wheel{start};
  const instant deadline = start + 90min;
  std::vector<timer> all(200);
  timers expected;
  for (timer& t : all) {
    wheel.arm(t, deadline);
    expected.push_back(&t);
    // On the way there, so that older ones have cascaded and newer ones are armed on another level.
    if (expected.size() % 10 == 0) {
      const auto passed = 90min * static_cast<long>(expected.size()) / 201;
      ASSERT_EQ(wheel.collect(start + passed), nullptr);
      wheel.audit();
    }
  }
  EXPECT_EQ(chain(wheel.collect(deadline + 1ms)), expected);
}

TEST(timer_wheel, disarming_the_first_a_middle_and_the_last_of_a_slot_leaves_the_rest) {
  timer_wheel wheel{start};
  std::vector<timer> all(4);
  for (timer& t : all) wheel.arm(t, start + 10ms);
  EXPECT_TRUE(wheel.disarm(all[0]));
  wheel.audit();
  EXPECT_TRUE(wheel.disarm(all[2]));
  wheel.audit();
  EXPECT_FALSE(wheel.disarm(all[2]));
  EXPECT_TRUE(wheel.disarm(all[3]));
  wheel.audit();
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_EQ(chain(wheel.collect(start + 20ms)), (timers{&all[1]}));
  EXPECT_FALSE(wheel.disarm(all[1]));
}

// Method: were the gap walked tick by tick, this would be 10^13 steps.
TEST(timer_wheel, any_64_bit_deadline_is_reached_without_walking_the_gap) {
  for (const instant deadline : {start + 24h, start + 24h * 365 * 100, instant{never.ns - 3 * tick}}) {
    timer_wheel wheel{start};
    timer t;
    timer sooner;
    wheel.arm(t, deadline);
    wheel.arm(sooner, start + 1h);
    wheel.audit();
    EXPECT_EQ(wheel.collect(instant{deadline.ns - 1 - tick}), &sooner);
    wheel.audit();
    EXPECT_EQ(wheel.collect(instant{deadline.ns + tick}), &t);
  }
}

TEST(timer_wheel, never_is_a_deadline_that_does_not_come) {
  timer_wheel wheel{start};
  timer t;
  wheel.arm(t, never);
  EXPECT_EQ(wheel.next_expiry(), never);
  EXPECT_EQ(wheel.collect(never), nullptr);
  wheel.audit();
  EXPECT_TRUE(wheel.disarm(t));
  EXPECT_TRUE(wheel.empty());
}

// An idle process is woken once for its one timer, however far away it is.
TEST(timer_wheel, a_lone_timer_needs_one_wake_up) {
  for (const auto delay :
       {std::chrono::nanoseconds{3s}, std::chrono::nanoseconds{300s}, std::chrono::nanoseconds{70h}}) {
    timer_wheel wheel{start};
    timer t;
    wheel.arm(t, start + delay);
    const instant next = wheel.next_expiry();
    EXPECT_GE(next, start + delay);
    EXPECT_EQ(wheel.collect(next), &t);
  }
}

TEST(timer_wheel, describes_itself) {
  timer_wheel wheel{instant{5 * tick}};
  timer t;
  wheel.arm(t, instant{7 * tick});
  writer w;
  wheel.describe(w);
  EXPECT_EQ(w.text(), "timer_wheel{size=1 tick=5 next_expiry_ns=7000000}");
}

#ifndef NDEBUG
TEST(timer_wheel_death, arming_twice_is_a_bug) {
  timer_wheel wheel{start};
  timer t;
  wheel.arm(t, start + 1s);
  EXPECT_DEATH(wheel.arm(t, start + 2s), "check failed");
}
#endif

// The wheel and, beside it, what it should be: deadlines in a multimap, which keeps equal keys in the order
// of insertion.
class pair_of_wheels {
 public:
  explicit pair_of_wheels(unsigned seed) : random_{seed}, all_(2'000) {}

  void step() {
    const auto dice = random_() % 100;
    if (dice < 45) {
      arm(pick());
    } else if (dice < 75) {
      disarm(pick());
    } else if (dice < 95) {
      collect(instant{now_.ns + random_delay(random_() % 2'000 == 0 ? 50 : 26)});
    } else {
      check_next();
    }
  }

  void audit() const {
    wheel_.audit();
    ASSERT_EQ(wheel_.size(), model_.size());
    ASSERT_EQ(wheel_.empty(), model_.empty());
  }
  // Everything that is armed fires in the end.
  void drain() {
    while (!model_.empty()) check_next();
    audit();
  }
  [[nodiscard]] std::size_t fired() const { return fired_; }
  [[nodiscard]] std::size_t disarmed() const { return disarmed_; }

 private:
  timer& pick() { return all_[random_() % all_.size()]; }

  // Below 2^bits_max ns, every magnitude as often as any other.
  std::uint64_t random_delay(unsigned bits_max) {
    const std::uint64_t random = std::uint64_t{random_()} << 32 | random_();
    return random & ((std::uint64_t{1} << random_() % bits_max) - 1);
  }

  void arm(timer& t) {
    if (t.armed()) return;
    const bool past = random_() % 20 == 0;
    const instant deadline{past ? now_.ns - random_delay(40) : now_.ns + random_delay(random_() % 4 == 0 ? 62 : 34)};
    wheel_.arm(t, deadline);
    const std::uint64_t due = deadline.ns / tick + (deadline.ns % tick != 0);
    where_[&t] = model_.emplace(std::max(due, now_.ns / tick), &t);
  }

  void disarm(timer& t) {
    const auto found = where_.find(&t);
    ASSERT_EQ(wheel_.disarm(t), found != where_.end());
    if (found == where_.end()) return;
    model_.erase(found->second);
    where_.erase(found);
    ++disarmed_;
  }

  void collect(instant now) {
    now_ = now;
    timer* t = wheel_.collect(now);
    while (!model_.empty() && model_.begin()->first <= now.ns / tick) {
      ASSERT_EQ(t, model_.begin()->second) << "fired " << fired_;
      ASSERT_LE(t->expiry_ns, now.ns);
      ASSERT_FALSE(t->armed());
      where_.erase(t);
      model_.erase(model_.begin());
      t = t->next;
      ++fired_;
    }
    ASSERT_EQ(t, nullptr);
  }

  // The proposed moment is not too late, and following the proposals gets somewhere: one per level at most.
  void check_next() {
    const std::size_t before = fired_;
    for (int proposals = 0; proposals < 7; ++proposals) {
      const instant next = wheel_.next_expiry();
      if (model_.empty()) {
        ASSERT_EQ(next, never);
        return;
      }
      ASSERT_LE(next.ns, model_.begin()->first * tick);
      collect(std::max(next, now_));
      if (fired_ != before) return;
    }
    FAIL() << "no progress";
  }

  std::mt19937 random_;
  instant now_ = start;
  timer_wheel wheel_{start};
  std::vector<timer> all_;
  std::multimap<std::uint64_t, timer*> model_;
  std::map<timer*, std::multimap<std::uint64_t, timer*>::iterator> where_;
  std::size_t fired_ = 0;
  std::size_t disarmed_ = 0;
};

// WQ-53. Method: a million random steps over four seeds, delays of all magnitudes up to 70 years, past
// deadlines, and a clock that walks by up to 60 ms and sometimes jumps by days; the firing order must be the
// model's, timer by timer.
TEST(timer_wheel, does_what_a_sorted_multimap_does) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    pair_of_wheels both{seed};
    for (int i = 0; i < 250'000; ++i) {
      both.step();
      if (i % 5'000 == 0) both.audit();
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
    both.drain();
    EXPECT_GT(both.fired(), 10'000u);
    EXPECT_GT(both.disarmed(), 10'000u);
  }
}

}  // namespace
}  // namespace wring::base
