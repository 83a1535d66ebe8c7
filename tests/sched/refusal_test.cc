// SPDX-License-Identifier: Apache-2.0
// The system refuses threads, for real (WQ-20, WQ-102, WQ-103): the first one, and later ones.
//
// Method: as root, a child process becomes a user without other processes and lowers RLIMIT_NPROC, or the pids.max of
// its control group; else, where no sanitizer needs the address space, RLIMIT_AS leaves no room for another big stack.
#include "support/control_group.h"
#include "support/limited_process.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::allow_threads;
using test::counter;
using test::eventually;
using test::gate;
using test::in_limited_process;
using test::report_log;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

runtime_options logging(report_log& log, runtime_options o) {
  o.on_warning = [](const char* text, void* to) { static_cast<report_log*>(to)->add(text); };
  o.report_context = &log;
  return o;
}

// WQ-20: nothing remains of a runtime whose first threads cannot be made.
TEST(refusal, of_the_first_threads_is_an_error_and_leaves_nothing_behind) {
  in_limited_process([]() -> std::string {
    for (const std::size_t allowed : {0u, 1u}) {
      allow_threads(allowed);
      report_log log;
      const auto refused = runtime::create(logging(log, {.cpus = 1}));
      if (refused.has_value()) return "a runtime was made with " + std::to_string(allowed) + " threads";
      if (refused.error() != std::errc::resource_unavailable_try_again) return refused.error().message();
      runtime::configure_default(logging(log, {}));
      if (workqueue::create().error() != std::errc::resource_unavailable_try_again)
        return "the default runtime was made";
      eventually([] { return test::threads_named("wring/") == 0; });
    }
    allow_threads(100);
    report_log log;
    auto made = runtime::create(logging(log, {.cpus = 1}));
    return made.has_value() ? "" : "not even with 100 threads";
  });
}

// WQ-145: a start that is refused may be repeated, and what was queued is there. With the timekeeper alone it goes on
// by itself as soon as the system allows it.
TEST(refusal, of_threads_at_a_later_start_loses_nothing) {
  in_limited_process([]() -> std::string {
    { const runtime first{{.cpus = 1}}; }  // a sanitizer's own thread comes with the first one
    for (const std::size_t allowed : {0u, 1u, 2u}) {
      eventually([] { return test::threads_named("wring/") == 0; });
      allow_threads(100);
      report_log log;
      runtime rt{logging(log, {.cpus = 1, .creation_retry = 1ms, .start_later = true})};
      workqueue queue{rt, {.name = "early", .rescuer = true}};
      counter ran;
      for (int i = 0; i < 3; ++i) queue.submit([&ran] { ran.add(); });
      if (test::threads_named("wring/") != 0) return "a thread was made";
      allow_threads(allowed);
      try {
        rt.start();
        return "it started with " + std::to_string(allowed) + " threads";
      } catch (const std::system_error& e) {
        if (e.code() != std::errc::resource_unavailable_try_again) return e.what();
      }
      if (allowed == 0 && queue.flush()) return "it is not early any more, and nothing can run";
      allow_threads(100);
      if (allowed != 0) ran.wait_for(3);  // without a second start
      eventually([&rt] {
        try {
          rt.start();
          return true;
        } catch (const std::system_error&) {
          return false;  // a refused pool tries again after creation_retry only
        }
      });
      if (!queue.flush()) return "it has not started";
      ran.wait_for(3);
      if (test::threads_named("wring/R-early") != 1) return "the rescuer is missing";
    }
    return "";
  });
}

// WQ-20: a queue whose pool cannot get its first worker is refused, also until the next try; then it can be made.
TEST(refusal, of_a_pools_first_worker_is_an_error_of_the_queue_that_needs_it) {
  in_limited_process([]() -> std::string {
    { const runtime first{{.cpus = 1}}; }  // a sanitizer's own thread comes with it
    for (const workqueue_options& o : {workqueue_options{.unmanaged = true}, workqueue_options{.per_cpu = true}}) {
      for (const auto retry : {std::chrono::milliseconds{1h}, 1ms}) {
        report_log log;
        eventually([] { return test::threads_named("wring/") == 0; });  // those of the runtime before count so long
        allow_threads(2);
        runtime rt{logging(log, {.cpus = 1, .creation_retry = retry})};
        allow_threads(0);
        for (int tries = 0; tries < 2; ++tries) {
          if (workqueue::create(rt, o).error() != std::errc::resource_unavailable_try_again) return "a queue was made";
        }
        if (log.count("could not be created") == 0) return "nobody was told";
        allow_threads(100);
        if (retry == 1ms) eventually([&] { return workqueue::create(rt, o).has_value(); });
      }
    }
    return "";
  });
}

// WQ-103: everything runs on the workers there are; reported once; made as soon as the system allows it.
TEST(refusal, of_a_spare_worker_loses_nothing_is_reported_once_and_retried) {
  in_limited_process([]() -> std::string {
    report_log log;
    runtime rt{logging(log, {.cpus = 2, .creation_retry = 2ms, .detect = detection::announced})};  // as in rescue()
    allow_threads(0);
    workqueue queue{rt, {.name = "poor"}};
    std::atomic<int> runs{0};
    for (int i = 0; i < 1'000; ++i) queue.submit([&] { runs.fetch_add(1); });
    queue.flush();
    if (runs.load() != 1'000) return "items were lost";
    // A worker counts while its thread is being asked for.
    eventually([&] { return rt.stats().pools[0].workers == 1; });
    // Blocked items need more workers: nothing moves until the limit is raised.
    const std::uint64_t failures = rt.stats().pools[0].creation_failures;
    gate opened;
    counter entered;
    for (int i = 0; i < 10; ++i) {
      queue.submit([&] {
        const blocking_scope scope;
        entered.add();
        opened.wait();
      });
    }
    queue.submit([&] { opened.open(); });
    eventually([&] { return entered.value() == 1 && rt.stats().pools[0].creation_failures >= failures + 5; });
    const int moved = entered.value();
    const std::size_t reports = log.count("could not be created");
    allow_threads(50);
    if (reports != 1) return "not reported once, but " + std::to_string(reports);
    if (moved != 1) return "more than one item entered";
    queue.flush();
    if (entered.value() != 10) return "items were lost";
    rt.audit();
    return "";
  });
}

// WQ-103 with floor and several queues: refusals come and go while work flows.
TEST(refusal, that_comes_and_goes_keeps_everything_running) {
  in_limited_process([]() -> std::string {
    report_log log;
    runtime rt{logging(log, {.cpus = 2, .idle_timeout = 1ms, .creation_retry = 1ms, .stall_floor = 2ms})};
    workqueue one{rt, {.name = "one"}};
    workqueue two{rt, {.name = "two", .ordered = true}};
    std::atomic<int> runs{0};
    for (int round = 0; round < 30; ++round) {
      allow_threads(round % 3 == 0 ? 6 : 0);
      for (int i = 0; i < 50; ++i) {
        (i % 4 == 0 ? two : one).submit([&] {
          const blocking_scope scope;
          runs.fetch_add(1);
        });
      }
      one.flush();
      two.flush();
    }
    rt.audit();
    return runs.load() == 1'500 ? "" : "items were lost";
  });
}

// WQ-28, WQ-20: no rescuer, no queue.
TEST(refusal, of_a_rescuer_is_an_error_of_its_queue_and_leaves_nothing_behind) {
  in_limited_process([]() -> std::string {
    report_log log;
    runtime rt{logging(log, {.cpus = 1})};
    workqueue before{rt, {.name = "before"}};
    before.submit([] {});
    before.flush();
    allow_threads(0);
    for (int tries = 0; tries < 2; ++tries) {
      const auto refused = workqueue::create(rt, {.name = "vital", .rescuer = true});
      if (refused.has_value()) return "a queue was made";
      if (refused.error() != std::errc::resource_unavailable_try_again) return refused.error().message();
    }
    allow_threads(100);
    if (!workqueue::create(rt, {.name = "vital", .rescuer = true}).has_value()) return "not even with threads";
    eventually([] { return test::threads_named("wring/R-") == 0; });
    return "";
  });
}

// Items of a queue with a rescuer while the only worker waits for the last of them; none is lost. allow(n): so many
// threads more may exist. What is wrong, or "".
template <class Allow>
std::string rescue(int items, const Allow& allow) {
  report_log log;
  runtime rt{logging(log, {.cpus = 2,
                           .creation_retry = 5ms,
                           .mayday_initial = 1ms,
                           .mayday_interval = 2ms,
                           .detect = detection::announced})};  // no thread that tries the others out, and ends
  workqueue vital{rt, {.name = "vital", .rescuer = true}};
  workqueue other{rt, {.name = "other"}};
  eventually([&] { return rt.stats().pools[0].workers != 0; });
  allow(0);
  const unsigned workers = rt.stats().pools[0].workers;
  std::atomic<int> runs{0};
  gate done;
  counter waiting;
  for (unsigned i = 0; i < workers; ++i) {
    other.submit([&] {
      const blocking_scope scope;
      waiting.add();
      done.wait();
    });
  }
  waiting.wait_for(static_cast<int>(workers));
  for (int i = 0; i < items; ++i) {
    vital.submit([&] {
      if (runs.fetch_add(1) + 1 == items) done.open();
    });
  }
  vital.flush();
  const int ran = runs.load();
  done.open();
  other.flush();
  const std::uint64_t rescued = vital.stats().rescued;
  allow(100);
  rt.audit();
  if (ran != items) return std::to_string(ran) + " of " + std::to_string(items) + " have run";
  return rescued != 0 ? "" : "nobody was rescued";
}

template <class Allow>
std::string rescue_again_and_again(const Allow& allow) {
  { const runtime first{{.cpus = 1}}; }  // a sanitizer's own thread comes with it
  for (int round = 0; round < 100; ++round) {
    eventually([] { return test::threads_named("wring/") == 0; });
    allow(20);
    if (std::string wrong = rescue(1'000, allow); !wrong.empty()) return wrong;
  }
  allow(20);
  return rescue(sanitized ? 50'000 : 1'000'000, allow);
}

// WQ-112, WQ-157. Method: threads are refused for ever by RLIMIT_NPROC, a hundred times over.
TEST(refusal, for_ever_does_not_stop_a_queue_with_a_rescuer) {
  in_limited_process([] { return rescue_again_and_again(allow_threads); });
}

// WQ-112, WQ-157. Method: the same by the control group, whose file is opened before the user changes.
TEST(refusal, by_the_control_group_does_not_stop_a_queue_with_a_rescuer) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a control group";
  const test::control_group group{"pids", "pids.max"};
  if (!group.obstacle().empty()) GTEST_SKIP() << group.obstacle();
  int most = -1;
  const auto as_root = [&] {
    most = ::open((group.path() / "pids.max").c_str(), O_WRONLY | O_CLOEXEC);
    return most >= 0 && group.enter();
  };
  const auto allow = [&most](std::size_t more) {
    const std::string text = std::to_string(test::entries_of("/proc/self/task").size() + more);
    if (::pwrite(most, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) std::perror("pids.max");
  };
  in_limited_process(as_root, [&] { return rescue_again_and_again(allow); });
}

// The same without root. Method: each stack is so big that a second one does not fit.
TEST(refusal, for_lack_of_address_space_is_survived) {
  if (sanitized) GTEST_SKIP() << "sanitizers need the address space";
  report_log log;
  std::ifstream statm{"/proc/self/statm"};
  std::size_t pages = 0;
  statm >> pages;
  constexpr std::size_t stack = std::size_t{1} << 30;
  rlimit before{};
  ::getrlimit(RLIMIT_AS, &before);
  rlimit limit = before;
  // Room for the timekeeper, one worker and half of another.
  limit.rlim_cur = pages * 4'096 + 2 * stack + stack / 2;
  if (::setrlimit(RLIMIT_AS, &limit) != 0) GTEST_SKIP() << "RLIMIT_AS cannot be set";
  {
    auto rt = runtime::create(logging(log, {.cpus = 2, .stack_bytes = stack, .creation_retry = 1ms}));
    if (!rt.has_value()) {
      ::setrlimit(RLIMIT_AS, &before);
      GTEST_SKIP() << "the process is larger than thought";
    }
    workqueue queue{*rt, {.name = "cramped"}};
    std::atomic<int> runs{0};
    for (int i = 0; i < 1'000; ++i) queue.submit([&] { runs.fetch_add(1); });
    queue.flush();
    EXPECT_EQ(runs.load(), 1'000);
    EXPECT_EQ(rt->stats().pools[0].workers, 1u);
    EXPECT_EQ(log.count("could not be created"), 1u);
    ::setrlimit(RLIMIT_AS, &before);
    eventually([&] {  // the next item that starts makes the spare worker
      queue.submit([] {});
      queue.flush();
      return rt->stats().pools[0].workers >= 2;
    });
  }
}

}  // namespace
}  // namespace wring
