// SPDX-License-Identifier: Apache-2.0
// watchdog: when a pool that starts nothing is reported (WQ-135). Time is stepped by hand.
#include "sched/watchdog.h"

#include <gtest/gtest.h>

#include <chrono>

namespace wring::sched {
namespace {

using namespace std::chrono_literals;

constexpr base::instant begin{1'000'000'000};

// WQ-135.
TEST(watchdog, reports_once_the_threshold_has_passed_and_again_each_time) {
  watchdog w{30s};
  w.progress(begin);
  EXPECT_FALSE(w.no_progress(begin + 29'999ms));
  EXPECT_EQ(w.no_progress(begin + 30s), 30s);
  EXPECT_FALSE(w.no_progress(begin + 31s)) << "it has just been said";
  EXPECT_FALSE(w.no_progress(begin + 59s));
  EXPECT_EQ(w.no_progress(begin + 61s), 61s) << "since the last progress, not the last report";
  EXPECT_EQ(w.reports(), 2u);
}

// WQ-135.
TEST(watchdog, begins_anew_with_progress) {
  watchdog w{30s};
  w.progress(begin);
  EXPECT_TRUE(w.no_progress(begin + 40s));
  w.progress(begin + 41s);
  EXPECT_FALSE(w.no_progress(begin + 70s));
  EXPECT_EQ(w.no_progress(begin + 72s), 31s);
}

// WQ-135: a touch defers it, once.
TEST(watchdog, begins_anew_when_it_is_touched) {
  watchdog w{30s};
  w.progress(begin);
  w.touch();
  EXPECT_FALSE(w.no_progress(begin + 35s));
  EXPECT_FALSE(w.no_progress(begin + 60s));
  EXPECT_EQ(w.no_progress(begin + 66s), 31s);
}

// WQ-135.
TEST(watchdog, of_a_threshold_of_0_is_off) {
  watchdog w{0s};
  w.progress(begin);
  EXPECT_FALSE(w.no_progress(begin + 1'000'000s));
  EXPECT_EQ(w.reports(), 0u);
}

}  // namespace
}  // namespace wring::sched
