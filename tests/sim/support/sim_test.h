// SPDX-License-Identifier: Apache-2.0
// sim_test: how GoogleTest speaks about simulations. For tests only.
//
//   TEST(inbox, an_item_pushed_is_popped) {
//     EXPECT_SIM_OK(sim::explore({.seeds = 2000}, [] { ... sim::check(...); }));
//   }
#pragma once

#include "sim/sim.h"

#include <gtest/gtest.h>

namespace wring::sim::test {

// Holds if no schedule failed; prints the failing one.
testing::AssertionResult passed(const report& r);
// Holds if a schedule failed, with this text in its first line. Says what it is that was not found.
testing::AssertionResult found(const report& r, const char* what);
// Holds if the event happened in at least this share of the seeds.
testing::AssertionResult happened(const report& r, const char* event, double least_share);

}  // namespace wring::sim::test

#define EXPECT_SIM_OK(report) EXPECT_TRUE(::wring::sim::test::passed(report))
#define EXPECT_SIM_FINDS(report, what) EXPECT_TRUE(::wring::sim::test::found(report, what))
#define EXPECT_SIM_EVENT(report, event, least_share) \
  EXPECT_TRUE(::wring::sim::test::happened(report, event, least_share))
