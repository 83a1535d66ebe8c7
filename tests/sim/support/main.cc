// SPDX-License-Identifier: Apache-2.0
// main of the simulations: tells the simulator how to run a test again, and prints what all runs did.
#include "support/sim_test.h"

#include <cerrno>
#include <cstdio>
#include <string>

namespace wring::sim::test {

testing::AssertionResult passed(const report& r) {
  if (r.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '\n' << r.failure;
}

testing::AssertionResult found(const report& r, const char* what) {
  if (r.failed && r.what.find(what) != std::string::npos) return testing::AssertionSuccess();
  if (!r.failed) {
    return testing::AssertionFailure() << "the simulator did not find \"" << what << "\" in " << r.seeds << " runs";
  }
  return testing::AssertionFailure() << "expected \"" << what << "\", found:\n" << r.failure;
}

testing::AssertionResult happened(const report& r, const char* event, double least_share) {
  if (r.share(event) >= least_share) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << event << "\" happened in " << r.event(event).seeds << " of " << r.seeds
                                     << " seeds, expected a share of at least " << least_share;
}

namespace {

std::string command() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string text = program_invocation_short_name;
  if (info != nullptr) text += std::string{" --gtest_filter="} + info->test_suite_name() + '.' + info->name();
  return text;
}

totals& all() {
  static totals t;
  return t;
}

class print_totals : public testing::Environment {
 public:
  void TearDown() override {
    const totals& t = all();
    const auto line = [](const char* what, std::uint64_t n) {
      std::printf("  %-24s %14llu\n", what, static_cast<unsigned long long>(n));
    };
    std::puts("simulated in all:");
    line("runs", t.seeds);
    line("steps", t.steps);
    line("switches", t.switches);
    line("threads", t.threads);
    line("creations refused", t.creations_refused);
    line("stale loads", t.stale_loads);
    line("futex waits", t.futex_waits);
    line("spurious wakes, EINTR", t.spurious_wakes);
    line("timeouts", t.timeouts);
    line("unannounced blocks", t.unannounced_blocks);
    for (const auto& [name, e] : t.events) line(name.c_str(), e.times);
  }
};

}  // namespace
}  // namespace wring::sim::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new wring::sim::test::print_totals);
  wring::sim::set_frame({.command = &wring::sim::test::command,
                         .finished = [](const wring::sim::report& r) { wring::sim::test::all().add(r); }});
  return RUN_ALL_TESTS();
}
