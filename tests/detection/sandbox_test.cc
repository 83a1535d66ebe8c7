// SPDX-License-Identifier: Apache-2.0
// Where the system denies something, the best of what is left is chosen, says why, and works (WQ-U1, WQ-73).
//
// Method: forked children to which perf_event_open, /proc, CPU clocks, locked memory or their privileges are denied.
// What is left is found out there without the library. The stall floor is off, so only what is seen lets work go on.
#include "support/sandbox.h"
#include "detection/kinds.h"
#include "detection/tiers.h"
#include "support/forked.h"
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <latch>
#include <memory>
#include <string>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::claims;
using test::in_sandbox;
using test::sandbox;
using test::sandboxed;

void a_read_is_seen(runtime& rt, claims& c) {
  std::array<int, 2> pipe{};
  c.check(::pipe(pipe.data()) == 0, "there is a pipe");
  workqueue queue{rt, {.name = "read"}};
  queue.submit([&] {
    char byte = 0;
    c.check(::read(pipe[0], &byte, 1) == 1, "the reader gets its byte");
  });
  queue.submit([&] { c.check(::write(pipe[1], "x", 1) == 1, "the byte is written"); });
  queue.flush();
  for (const int end : pipe) ::close(end);
}

void sixty_four_do_not_stop_the_65th(runtime& rt, claims& c) {
  for (const bool opener_first : {true, false}) {
    std::latch opened{1};
    std::atomic<int> done{0};
    workqueue queue{rt, {.name = "sixty-five"}};
    if (opener_first) queue.submit([&] { opened.count_down(); });
    for (int i = 0; i < 64; ++i) {
      queue.submit([&] {
        opened.wait();
        done.fetch_add(1);
      });
    }
    if (!opener_first) queue.submit([&] { opened.count_down(); });
    queue.flush();
    c.check(done.load() == 64, "all sixty-four have run");
  }
}

detection best_left() {
  if (test::why_not(detection::perf).empty()) return detection::perf;
  return test::why_not(detection::stat).empty() ? detection::stat : detection::cpu_clock;
}

// The default but for the floor, and for the CPU clocks of callbacks, which must not help either.
void works_at_its_best(claims& c, detection best, const std::string& reason) {
  runtime rt{{.cpus = 1, .stall_floor = 0ms, .cpu_intensive_threshold = 0us}};
  a_read_is_seen(rt, c);
  sixty_four_do_not_stop_the_65th(rt, c);
  const runtime_stats stats = rt.stats();
  const std::string chosen = stats.detection + " because: " + stats.detection_why;
  c.check(stats.detection == test::name_of(best), ("the best is chosen, not " + chosen).c_str());
  c.check(stats.detection_why.find(reason) != std::string::npos,
          ("it says why, with " + reason + ": " + chosen).c_str());
  c.check(stats.pools[0].stalls == 0, "the floor does not help");
  rt.audit();
}

struct denial {
  const char* name;
  sandbox kind;
  bool rings_denied;
  const char* reason;  // what the choice must name; "" if nothing is missing
};

class sandboxes : public ::testing::TestWithParam<denial> {
 protected:
  void SetUp() override { test::forget_environment(); }
};

TEST_P(sandboxes, get_the_best_that_is_left_and_nothing_gets_stuck) {
  const denial& d = GetParam();
  const sandboxed s = in_sandbox(d.kind, [&d](claims& c) {
    const detection best = best_left();
    c.check(!d.rings_denied || best != detection::perf, "the sandbox denies what it should");
    works_at_its_best(c, best, d.reason);
  });
  if (!s.entered) GTEST_SKIP() << s.why;
  EXPECT_EQ(s.status, 0);
}

INSTANTIATE_TEST_SUITE_P(all, sandboxes,
                         ::testing::Values(denial{"other_uid", sandbox::other_uid, false, ""},
                                           denial{"perf_eperm", sandbox::perf_eperm, true, "Operation not permitted"},
                                           denial{"perf_enosys", sandbox::perf_enosys, true,
                                                  "Function not implemented"},
                                           denial{"no_proc", sandbox::no_proc, false, "no thread states"},
                                           denial{"hidepid", sandbox::hidepid, false, ""},
                                           denial{"no_memlock", sandbox::no_memlock, true, "no memory may be locked"}),
                         [](const auto& c) { return std::string{c.param.name}; });

// Method: a sandbox inside of another one. Only CPU clocks are left.
TEST(sandbox_in_a_sandbox, without_proc_and_context_switches_leaves_cpu_clocks) {
  test::forget_environment();
  const sandboxed outer = in_sandbox(sandbox::no_proc, [](claims& c) {
    const sandboxed s = in_sandbox(sandbox::perf_eperm, [](claims& inside) {
      inside.check(best_left() == detection::cpu_clock, "the sandbox denies what it should");
      works_at_its_best(inside, detection::cpu_clock, "no thread states");
    });
    c.check(s.entered && s.status == 0, "the inner sandbox works");
  });
  if (!outer.entered) GTEST_SKIP() << outer.why;
  EXPECT_EQ(outer.status, 0);
}

// ---- one source alone: where no other one is left, it cannot be replaced by a lower one without anybody's notice ----

bool cpu_clocks_are_refused() {
  clockid_t own{};
  timespec used{};
  return ::pthread_getcpuclockid(::pthread_self(), &own) == 0 && ::clock_gettime(own, &used) != 0;
}

// As asked for, without help by floor or CPU clocks.
void works_with(claims& c, detection tier) {
  c.check(cpu_clocks_are_refused(), "the sandbox denies what it should");
  runtime rt{{.cpus = 1, .stall_floor = 0ms, .detect = tier}};
  a_read_is_seen(rt, c);
  sixty_four_do_not_stop_the_65th(rt, c);
  c.check(rt.stats().detection == test::name_of(tier), "what was asked for is used");
  test::eventually([&] { return rt.stats().pools[0].blocks_seen >= 64; });  // who is seen is replaced first
  rt.audit();
}

TEST(one_source, thread_states_need_no_cpu_clocks) {
  test::forget_environment();
  if (const std::string why = test::why_not(detection::stat); !why.empty()) GTEST_SKIP() << why;
  const sandboxed s = in_sandbox(sandbox::no_clocks, [](claims& c) { works_with(c, detection::stat); });
  if (!s.entered) GTEST_SKIP() << s.why;
  EXPECT_EQ(s.status, 0);
}

TEST(one_source, context_switches_with_thread_states_need_no_cpu_clocks) {
  test::forget_environment();
  if (const std::string why = test::why_not(detection::perf); !why.empty()) GTEST_SKIP() << why;
  const sandboxed s = in_sandbox(sandbox::no_clocks, [](claims& c) { works_with(c, detection::perf); });
  if (!s.entered) GTEST_SKIP() << s.why;
  EXPECT_EQ(s.status, 0);
}

// Method: a worker's first wait was going on before its switches were looked at, so the floor has to help; its later
// ones are seen, or this never ends.
TEST(one_source, context_switches_alone_show_all_waits_but_the_first) {
  test::forget_environment();
  if (const std::string why = test::why_not(detection::perf); !why.empty()) GTEST_SKIP() << why;
  const sandboxed outer = in_sandbox(sandbox::no_proc, [](claims& c) {
    const sandboxed s = in_sandbox(sandbox::no_clocks, [](claims& inside) {
      inside.check(cpu_clocks_are_refused(), "the sandbox denies what it should");
      runtime rt{{.cpus = 1, .stall_floor = 20ms, .cpu_intensive_threshold = 0us}};
      while (rt.stats().pools[0].blocks_seen < 20) a_read_is_seen(rt, inside);
      inside.check(rt.stats().detection == "perf", "it is the best there is");
      rt.audit();
    });
    c.check(s.entered && s.status == 0, "the inner sandbox works");
  });
  if (!outer.entered) GTEST_SKIP() << outer.why;
  EXPECT_EQ(outer.status, 0);
}

// ---- a filter that kills ----------------------------------------------------------------------------------------

// As in kinds_test.cc.
void no_kind_of_blocking_keeps_the_next_item_from_starting(runtime& rt, claims& c) {
  for (const auto& makers : {test::kinds_of_threads(), test::kinds_of_files(), test::kinds_of_slow_files()}) {
    for (const test::kind_maker& maker : makers) {
      std::string why_not;
      const std::unique_ptr<test::kind> way = maker.make(why_not);
      if (way == nullptr) continue;
      workqueue queue{rt, {.name = "kinds"}};
      test::gate entered;
      queue.submit([&] {
        entered.open();
        way->wait();
      });
      entered.wait();
      queue.submit([&] { way->open(); });
      queue.flush();
      c.check(!::testing::Test::HasFailure(), maker.name.c_str());
    }
  }
}

// Method: WRING_DETECT asks for less than would kill, and the program for more. Who is alive has not asked for a ring;
// a program whose environment says nothing dies, so the filter is there.
TEST(a_filter_that_kills_whoever_asks_for_context_switches, is_not_met_where_less_is_asked_for) {
  test::forget_environment();
  if (const std::string why = test::why_not(detection::stat); !why.empty()) GTEST_SKIP() << why;
  const auto body = [](claims& c) {
    runtime rt{{.cpus = 1, .stall_floor = 0ms, .detect = detection::perf, .cpu_intensive_threshold = 0us}};
    a_read_is_seen(rt, c);
    sixty_four_do_not_stop_the_65th(rt, c);
    no_kind_of_blocking_keeps_the_next_item_from_starting(rt, c);
    const runtime_stats stats = rt.stats();
    c.check(stats.detection == "stat", stats.detection_why.c_str());
    c.check(stats.pools[0].stalls == 0, "the floor does not help");
    rt.audit();
  };
  const sandboxed silent = in_sandbox(sandbox::perf_kills, body);
  if (!silent.entered) GTEST_SKIP() << silent.why;
  EXPECT_EQ(silent.status, 1000 + SIGSYS);
  ::setenv("WRING_DETECT", "stat", 1);
  const sandboxed s = in_sandbox(sandbox::perf_kills, body);
  test::forget_environment();
  EXPECT_EQ(s.status, 0);
}

// Method: for each kind; what the machine has not got is replaced by a lower kind, and said.
TEST(environment, overrules_what_the_program_asks_for) {
  for (const detection wanted : test::all_tiers) {
    ::setenv("WRING_DETECT", test::name_of(wanted).c_str(), 1);
    const runtime rt{{.cpus = 1, .detect = detection::stat}};
    test::forget_environment();
    const runtime_stats stats = rt.stats();
    EXPECT_NE(stats.detection_why.find("WRING_DETECT asks for " + test::name_of(wanted)), std::string::npos)
        << stats.detection_why;
    if (test::why_not(wanted).empty()) {
      EXPECT_EQ(stats.detection, test::name_of(wanted));
    }
  }
}

TEST(environment, that_asks_for_no_kind_is_warned_about_and_ignored) {
  ::setenv("WRING_DETECT", "telepathy", 1);
  test::test_runtime rt{{.cpus = 1, .detect = detection::announced}};
  test::forget_environment();
  EXPECT_EQ(rt->stats().detection, "announced");
  const auto warnings = rt.warnings.take();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("WRING_DETECT is 'telepathy'"), std::string::npos) << warnings[0];
}

}  // namespace
}  // namespace wring
