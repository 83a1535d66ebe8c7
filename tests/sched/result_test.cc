// SPDX-License-Identifier: Apache-2.0
// result: a value or an error code, and what value() does with either.
#include <wring/result.h>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace wring {
namespace {

TEST(result, holds_a_value_or_an_error) {
  result<std::string> good{std::string{"yes"}};
  EXPECT_TRUE(good.has_value());
  EXPECT_TRUE(static_cast<bool>(good));
  EXPECT_EQ(good.error(), std::error_code{});
  EXPECT_EQ(*good, "yes");
  EXPECT_EQ(good->size(), 3u);
  EXPECT_EQ(good.value(), "yes");

  result<std::string> bad{std::make_error_code(std::errc::invalid_argument)};
  EXPECT_FALSE(bad.has_value());
  EXPECT_FALSE(static_cast<bool>(bad));
  EXPECT_EQ(bad.error(), std::errc::invalid_argument);
}

TEST(result, the_value_of_an_error_throws_that_error) {
  result<int> bad{std::make_error_code(std::errc::resource_unavailable_try_again)};
  try {
    static_cast<void>(bad.value());
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::resource_unavailable_try_again);
  }
}

TEST(result, moves_move_only_values_out) {
  result<std::unique_ptr<int>> owner{std::make_unique<int>(5)};
  const std::unique_ptr<int> taken = std::move(owner).value();
  EXPECT_EQ(*taken, 5);
}

}  // namespace
}  // namespace wring
