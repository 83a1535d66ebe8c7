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
  watchdog w;
  w.progress(begin);
  EXPECT_FALSE(w.no_progress(begin + 29'999ms, 30s));
  EXPECT_EQ(w.no_progress(begin + 30s, 30s), 30s);
  EXPECT_FALSE(w.no_progress(begin + 31s, 30s)) << "it has just been said";
  EXPECT_FALSE(w.no_progress(begin + 59s, 30s));
  EXPECT_EQ(w.no_progress(begin + 61s, 30s), 61s) << "since the last progress, not the last report";
  EXPECT_EQ(w.reports(), 2u);
}

// WQ-135.
TEST(watchdog, begins_anew_with_progress) {
  watchdog w;
  w.progress(begin);
  EXPECT_TRUE(w.no_progress(begin + 40s, 30s));
  w.progress(begin + 41s);
  EXPECT_FALSE(w.no_progress(begin + 70s, 30s));
  EXPECT_EQ(w.no_progress(begin + 72s, 30s), 31s);
}

// WQ-135: a touch defers it, once.
TEST(watchdog, begins_anew_when_it_is_touched) {
  watchdog w;
  w.progress(begin);
  w.touch();
  EXPECT_FALSE(w.no_progress(begin + 35s, 30s));
  EXPECT_FALSE(w.no_progress(begin + 60s, 30s));
  EXPECT_EQ(w.no_progress(begin + 66s, 30s), 31s);
}

// WQ-135.
TEST(watchdog, of_a_threshold_of_0_is_off) {
  watchdog w;
  w.progress(begin);
  EXPECT_FALSE(w.no_progress(begin + 1'000'000s, 0s));
  EXPECT_EQ(w.reports(), 0u);
}

// WQ-135: the threshold may change between two looks.
TEST(watchdog, follows_a_threshold_that_changes) {
  watchdog w;
  w.progress(begin);
  EXPECT_FALSE(w.no_progress(begin + 20s, 30s));
  EXPECT_EQ(w.no_progress(begin + 20s, 15s), 20s) << "lowered";
  EXPECT_FALSE(w.no_progress(begin + 40s, 30s)) << "raised: 20 s since the last report";
  EXPECT_EQ(w.no_progress(begin + 50s, 30s), 50s);
}

}  // namespace
}  // namespace wring::sched
