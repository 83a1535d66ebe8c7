// SPDX-License-Identifier: Apache-2.0
// check: what the writer writes, and when and how a failed check ends the process.
#include "base/check.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace wring::base {
namespace {

enum class colour : std::uint8_t { red = 7 };

struct point {
  int x = 1;
  int y = -2;
  void describe(writer& w) const { w.put("point{", x, ",", y, "}"); }
};

template <class... Values>
std::string written(const Values&... values) {
  writer w;
  w.put(values...);
  return std::move(w).take();
}

TEST(writer, integers_are_written_to_their_last_digit) {
  EXPECT_EQ(written(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(written(std::uint8_t{200}, " ", std::int16_t{-5}, " ", 0), "200 -5 0");
}

TEST(writer, hex_and_pointers_have_a_prefix) {
  EXPECT_EQ(written(hex{0}), "0x0");
  EXPECT_EQ(written(hex{std::numeric_limits<std::uint64_t>::max()}), "0xffffffffffffffff");
  EXPECT_EQ(written(nullptr), "0x0");
  const int* const nowhere = nullptr;
  EXPECT_EQ(written(nowhere), "0x0");
}

TEST(writer, text_of_every_kind_is_copied) {
  char buffer[] = "buffer";
  const char* const none = nullptr;
  EXPECT_EQ(written("a ", std::string{"b"}, std::string_view{" c "}, 'd', ' ', &buffer[0], " ", none),
            "a b c d buffer (null)");
}

TEST(writer, bools_enums_and_describable_things_are_values) {
  EXPECT_EQ(written(true, " ", false, " ", colour::red, " ", point{}), "true false 7 point{1,-2}");
}

TEST(writer, appends_until_it_is_taken) {
  writer w;
  w.put("one").put(", ", 2);
  EXPECT_EQ(w.text(), "one, 2");
}

TEST(check, a_condition_that_holds_evaluates_no_values) {
  int evaluated = 0;
  const auto value = [&] { return ++evaluated; };
  WRING_CHECK(1 + 1 == 2, value());
  WRING_ASSERT(1 + 1 == 2, value());
  EXPECT_EQ(evaluated, 0);
}

TEST(check_death, prints_expression_place_names_and_values_and_aborts) {
  const point p;
  const int limit = 3;
  EXPECT_EXIT(WRING_CHECK(p.x > limit, limit, p), testing::KilledBySignal(SIGABRT),
              "check failed: p.x > limit at .*check_test.cc:[0-9]+\n.*limit, p = 3, point\\{1,-2\\}");
}

TEST(check_death, needs_no_values) {
  EXPECT_EXIT(WRING_CHECK(false), testing::KilledBySignal(SIGABRT), "check failed: false at ");
}

// Method: the condition has an effect, so that its evaluation can be seen.
TEST(check_death, an_assertion_is_a_check_only_without_ndebug) {
#ifdef NDEBUG
  bool evaluated = false;
  WRING_ASSERT((evaluated = true, false));
  EXPECT_FALSE(evaluated);
#else
  EXPECT_EXIT(WRING_ASSERT(false, 1), testing::KilledBySignal(SIGABRT), "check failed: false");
#endif
}

}  // namespace
}  // namespace wring::base
