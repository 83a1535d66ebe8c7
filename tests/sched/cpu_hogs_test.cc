// SPDX-License-Identifier: Apache-2.0
// cpu_hogs: how often people are told of callbacks that use the CPU for long (WQ-80).
#include "sched/cpu_hogs.h"

#include "support/test_runtime.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace wring::sched {
namespace {

using namespace std::chrono_literals;

// A reporter that keeps its lines.
class hogs_of_a_test {
 public:
  explicit hogs_of_a_test(unsigned threshold)
      : limits_{{.cpu_intensive_warning_threshold = threshold}}, hogs_{limits_, report_} {}
  void note(const void* code, int times = 1) {
    for (int i = 0; i < times; ++i) hogs_.note(code, "numbers", 10'000us);
  }
  std::vector<std::string> lines() { return log_.take(); }

 private:
  test::report_log log_;
  reporter report_{{.on_warning = [](const char* text, void* log) { static_cast<test::report_log*>(log)->add(text); },
                    .report_context = &log_}};
  thresholds limits_;
  cpu_hogs hogs_;
};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// WQ-80.
TEST(cpu_hogs, are_told_of_from_the_threshold_on_each_time_their_number_doubles) {
  hogs_of_a_test h{3};
  int callback = 0;
  h.note(&callback, 20);
  const auto lines = h.lines();
  ASSERT_EQ(lines.size(), 5u);
  for (const std::string& line : lines)
    EXPECT_TRUE(holds(line, "of queue 'numbers'") && holds(line, "10000 us")) << line;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const int times = std::array{3, 4, 6, 10, 18}[i];
    EXPECT_TRUE(holds(lines[i], ", " + std::to_string(times) + " times so far")) << lines[i];
  }
}

TEST(cpu_hogs, are_counted_one_by_one) {
  hogs_of_a_test h{2};
  std::array<char, 2> callbacks{};
  for (const char& c : callbacks) h.note(&c);
  EXPECT_TRUE(h.lines().empty());
  for (const char& c : callbacks) h.note(&c);
  EXPECT_EQ(h.lines().size(), 2u);
}

// WQ-80.
TEST(cpu_hogs, beyond_128_are_left_out) {
  hogs_of_a_test h{1};
  std::array<char, 129> callbacks{};
  for (const char& c : callbacks) h.note(&c);
  EXPECT_EQ(h.lines().size(), 128u);
  h.note(&callbacks.front());
  EXPECT_EQ(h.lines().size(), 1u) << "who is in goes on being counted";
}

// WQ-80.
TEST(cpu_hogs, are_not_told_of_with_a_threshold_of_0) {
  hogs_of_a_test h{0};
  int callback = 0;
  h.note(&callback, 20);
  EXPECT_TRUE(h.lines().empty());
}

}  // namespace
}  // namespace wring::sched
