// SPDX-License-Identifier: Apache-2.0
// Workers of an io_pool: who makes them, what they are when they begin, and who they are when they are idle.
#include "iowq/facts.h"
#include "support/gate.h"
#include "support/temporary_folder.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::is_root;
using test::test_runtime;

// Nobody is looked at: who announces nothing counts as running.
runtime_options announced() { return {.cpus = 4, .detect = detection::announced}; }

std::vector<unsigned> usable_cpus() {
  cpu_set_t mask;
  EXPECT_EQ(::sched_getaffinity(0, sizeof mask, &mask), 0);
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

void bind_to(unsigned cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
}

// An item that waits, announced, until it is let go; and whose worker it has.
class occupant {
 public:
  explicit occupant(io_pool& pool, const io_item_options& options = {}) {
    pool.submit(options, [its = state_] {
      its->thread = ::gettid();
      const blocking_scope scope;
      its->inside.open();
      its->end.wait();
    });
    state_->inside.wait();
  }
  void let_go() { state_->end.open(); }
  [[nodiscard]] pid_t thread() const { return state_->thread; }

 private:
  struct state {
    gate inside;
    gate end;
    std::atomic<pid_t> thread{0};
  };
  std::shared_ptr<state> state_ = std::make_shared<state>();  // also the item's, which may end later
};

// IOWQ-7: who went idle last is woken first; the one that has been idle for longest is left alone for longest.
TEST(io_supply, wakes_the_worker_that_went_idle_last) {
  test_runtime rt{announced()};
  io_pool pool{rt, {.name = "p", .bounded = 4, .idle_timeout = 1h}};
  std::vector<occupant> all;
  for (int i = 0; i < 4; ++i) all.emplace_back(pool);
  std::vector<pid_t> idle;  // in the order in which they became it
  for (const std::size_t i : {2U, 0U, 3U, 1U}) {
    all[i].let_go();
    idle.push_back(all[i].thread());
    eventually([&] { return pool.stats().bounded.free == idle.size(); });
  }
  for (int i = 0; i < 3; ++i) {
    occupant only{pool};
    EXPECT_EQ(only.thread(), idle.back()) << "again and again";
    only.let_go();
    eventually([&] { return pool.stats().bounded.free == 4; });
  }
  std::vector<occupant> again;
  std::vector<pid_t> woken;
  for (int i = 0; i < 4; ++i) {
    again.emplace_back(pool);
    woken.insert(woken.begin(), again.back().thread());
  }
  EXPECT_EQ(woken, idle) << "the last one first";
  for (occupant& o : again) o.let_go();
}

// IOWQ-42: it is on the CPUs of the pool, whoever makes it, takes no signal but that which interrupts, and those that
// its item itself causes, and says whose it is.
TEST(io_supply, makes_workers_with_a_name_cpus_and_signals_of_their_own) {
  const std::vector<unsigned> all = usable_cpus();
  test_runtime rt{{}};
  io_pool pool{rt, {.name = "p"}};
  struct {
    std::string name;
    std::vector<unsigned> cpus;
    std::vector<int> open;
  } seen;
  std::thread{[&] {
    bind_to(all.back());  // from here on the maker of the worker has another place than the owner
    pool.submit_for_result([&] {
          seen.name = test::own_name();
          seen.cpus = usable_cpus();
          sigset_t blocked;
          EXPECT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked), 0);
          for (int signal = 1; signal <= SIGRTMAX; ++signal) {
            const bool is_the_systems = signal == SIGKILL || signal == SIGSTOP || (signal > 31 && signal < SIGRTMIN);
            if (!is_the_systems && sigismember(&blocked, signal) == 0) seen.open.push_back(signal);
          }
        })
        .get();
  }}.join();
  EXPECT_EQ(seen.name, "io-wrk-" + std::to_string(::gettid()));
  EXPECT_EQ(seen.cpus, all);
  EXPECT_EQ(seen.open, (std::vector<int>{SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGRTMAX - 3}));
}

// IOWQ-42: a pool whose owner is bound has its workers there, whoever makes them.
TEST(io_supply, makes_workers_where_the_owner_is_bound) {
  const std::vector<unsigned> all = usable_cpus();
  test_runtime rt{{}};
  std::thread{[&] {
    bind_to(all.back());
    io_pool pool{rt, {.name = "p"}};
    std::thread{[&] {
      cpu_set_t everywhere;
      CPU_ZERO(&everywhere);
      for (const unsigned cpu : all) CPU_SET(cpu, &everywhere);
      EXPECT_EQ(::sched_setaffinity(0, sizeof everywhere, &everywhere), 0);
      EXPECT_EQ(pool.submit_for_result([] { return usable_cpus(); }).get(), std::vector<unsigned>{all.back()});
    }}.join();
  }}.join();
}

// IOWQ-41: of an owner that makes its workers nobody else makes one: not who enqueues, nor who blocks.
// He does when he enqueues, sets limits, or is asked to.
TEST(io_supply, leaves_the_making_to_the_owner_who_wants_it) {
  test_runtime rt;
  io_pool pool{rt, {.name = "p", .bounded = 10, .idle_timeout = 1h, .creation = io_creation::by_owner}};
  std::vector<std::unique_ptr<occupant>> inside;
  const auto by_another = [&](const auto& f) { std::thread{f}.join(); };
  const auto occupy_by_another = [&] {
    return std::thread{[&] { inside.push_back(std::make_unique<occupant>(pool)); }};
  };

  std::thread first = occupy_by_another();
  eventually([&] { return pool.stats().bounded.queued == 1; });
  by_another([&] { EXPECT_EQ(pool.run_notes(), 0U) << "it is the owner's"; });
  EXPECT_EQ(pool.stats().bounded.workers, 0U);
  EXPECT_EQ(pool.run_notes(), 1U);
  first.join();
  EXPECT_EQ(pool.stats().bounded.created.note, 1U);
  eventually([&] { return pool.stats().bounded.blocked == 1; });
  EXPECT_EQ(pool.run_notes(), 0U) << "nothing waits";

  // One that waits behind a worker that blocks.
  std::thread second = occupy_by_another();
  eventually([&] { return pool.stats().bounded.queued == 1; });
  by_another([&] { pool.max_workers({.bounded = 9}); });
  EXPECT_EQ(pool.stats().bounded.workers, 1U) << "by another one neither limits nor notes make somebody";
  pool.max_workers({.bounded = 8});
  second.join();
  EXPECT_EQ(pool.stats().bounded.workers, 2U);

  std::thread third = occupy_by_another();
  eventually([&] { return pool.stats().bounded.queued == 1; });
  pool.submit([] {});  // sees to the one before
  third.join();
  while (pool.stats().bounded.queued != 0) pool.run_notes();
  eventually([&] { return pool.stats().bounded.free + pool.stats().bounded.blocked == pool.stats().bounded.workers; });
  EXPECT_EQ(pool.stats().bounded.created.retry + pool.stats().bounded.created.manager, 0U);
  for (const auto& o : inside) o->let_go();
}

// IOWQ-41: where workers make each other run_notes() has nothing to do.
TEST(io_supply, owes_nothing_to_an_owner_who_does_not_make_it) {
  test_runtime rt{announced()};
  io_pool pool{rt, {.name = "p"}};
  occupant first{pool};
  EXPECT_EQ(pool.run_notes(), 0U);
  occupant second{pool};
  EXPECT_EQ(pool.stats().bounded.created.enqueue + pool.stats().bounded.created.note, 2U);
  first.let_go();
  second.let_go();
}

// What belongs to a thread, as /proc and the system tell others.
std::string as_others_see(pid_t thread) {
  std::array<char, 4096> folder{};
  static_cast<void>(::readlink(test::proc_of(thread, "cwd").c_str(), folder.data(), folder.size() - 1));
  std::string text = std::string{"cwd "} + folder.data() + "\n";
  const std::string status = test::contents(test::proc_of(thread, "status"));
  for (const char* line : {"\nUmask:", "\nUid:", "\nGid:", "\nGroups:", "\nCapEff:"}) {
    const std::size_t at = status.find(line);
    if (at != std::string::npos) text += status.substr(at + 1, status.find('\n', at + 1) - at);
  }
  text += "nice " + std::to_string(::getpriority(PRIO_PROCESS, static_cast<id_t>(thread))) + "\n";
  return text + "io " + std::to_string(test::raw(SYS_ioprio_get, 1, thread)) + "\n";
}

// IOWQ-70: who has nothing to do is who it was before its item, seen from outside.
TEST(io_supply, keeps_no_identity_on_an_idle_worker) {
  WRING_NEEDS_ROOT();
  test_runtime rt{announced()};
  test::temporary_folder folder;
  ASSERT_EQ(::chmod(folder.path("").c_str(), 0777), 0);
  const int place = ::open(folder.path("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(place, 0);
  std::vector<identity> strangers;
  for (const bool effective : {false, true}) {
    result<identity> made = identity::make({.user = test::stranger,
                                            .group = test::strange_group,
                                            .groups = {test::other_group},
                                            .effective = effective,
                                            .folder = place,
                                            .umask = 0123,
                                            .io_priority = 3 << 13});
    ASSERT_TRUE(made.has_value()) << made.error().message();
    strangers.push_back(*made);
  }
  ::close(place);
  io_pool pool{rt, {.name = "p", .bounded = 1, .idle_timeout = 1h}};
  const pid_t worker = pool.submit_for_result([] { return ::gettid(); }).get();
  eventually([&] { return pool.stats().bounded.free == 1; });
  const std::string own = as_others_see(worker);
  for (const identity& stranger : strangers) {
    occupant dressed{pool, {.as = stranger}};
    EXPECT_EQ(dressed.thread(), worker);
    EXPECT_NE(as_others_see(worker), own);
    dressed.let_go();
    eventually([&] { return pool.stats().bounded.free == 1; });
    EXPECT_EQ(as_others_see(worker), own);
  }
  EXPECT_EQ(pool.stats().bounded.refused, 0U);
}

}  // namespace
}  // namespace wring
