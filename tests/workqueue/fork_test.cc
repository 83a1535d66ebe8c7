// SPDX-License-Identifier: Apache-2.0
// Forks of processes that use wring (WQ-U12): in the child every queue is valid and empty, the parent's items are idle,
// nothing of the parent runs there, and the parent does not notice.
#include "base/thread_state.h"
#include "support/forked.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <gtest/gtest.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using wring::test::claims;
using wring::test::eventually;
using wring::test::gate;
using wring::test::in_forked_child;
using wring::test::plug;
using wring::test::status_of;
using wring::test::test_runtime;

class fork : public testing::Test {
 protected:
  void SetUp() override {
    if (!wring::test::can_fork_beside_threads) GTEST_SKIP() << wring::test::cannot_fork;
  }
};

// One queue of each kind.
struct all_queues {
  explicit all_queues(wring::runtime& where)
      : list{wring::workqueue{where, {.name = "plain"}},
             wring::workqueue{where, {.name = "narrow", .max_active = 1}},
             wring::workqueue{where, {.name = "ordered", .ordered = true}},
             wring::workqueue{where, {.name = "unmanaged", .unmanaged = true}},
             wring::workqueue{where, {.name = "percpu", .per_cpu = true}},
             wring::workqueue{
                 where, {.name = "pernode", .attributes = {.scope = wring::affinity_scope::numa, .strict = true}}},
             wring::workqueue{where, {.name = "high", .high_priority = true}}} {}
  std::array<wring::workqueue, 7> list;
};

// Everything a queue can do, in the child.
void use(wring::workqueue& q, claims& c) {
  std::atomic<int> ran{0};
  wring::work item{[&] { ran.fetch_add(1); }};
  c.check(q.queue(item), "an item is accepted");
  c.check(q.submit([&] { ran.fetch_add(1); }), "a closure is accepted");
  c.check(q.flush(), "a flush returns");
  c.check(ran.load() == 2, "both have run");
  wring::delayed_work later{[&] { ran.fetch_add(1); }};
  c.check(q.queue_delayed(later, 1h), "a delayed item is accepted");
  c.check(later.flush(), "and can be waited for");
  wring::task_group group{q};
  for (int i = 0; i < 4; ++i) group.run([&] { ran.fetch_add(1); });
  group.wait();
  c.check(q.submit_for_result([] { return 7; }).get() == 7, "a result comes back");
  c.check(q.drain(), "a drain returns");
  c.check(ran.load() == 7, "everything has run once");
}

// The runtime has running, waiting, delayed and handed-over items on every queue when it forks. Method: plugs keep
// them there.
TEST_F(fork, the_child_finds_every_queue_empty_and_every_item_idle) {
  test_runtime rt{{.cpus = 2}};
  std::atomic<int> runs_in_parent{0};
  const pid_t parent = ::getpid();
  std::atomic<bool> ran_in_child{false};
  const auto count = [&] {
    if (::getpid() != parent) ran_in_child.store(true);
    runs_in_parent.fetch_add(1);
  };
  {
    all_queues queues{rt};
    std::deque<wring::work> items;
    std::deque<wring::delayed_work> delayed;
    std::deque<plug> plugs;
    for (wring::workqueue& q : queues.list) {
      plugs.emplace_back(q);
      q.queue(items.emplace_back(count));
      q.queue_delayed(delayed.emplace_back(count), 1h);
      q.submit(count);
    }
    const int status = in_forked_child([&](claims& c) {
      for (wring::work& item : items) c.check(!item.pending() && !item.running(), "the parent's item is idle");
      for (wring::delayed_work& item : delayed) c.check(!item.pending(), "so is its delayed one");
      for (wring::workqueue& q : queues.list) use(q, c);
      c.check(!ran_in_child.load(), "nothing of the parent has run");
      std::size_t i = 0;
      for (wring::workqueue& q : queues.list) {
        c.check(q.queue(items[i]), "the parent's item can be queued in the child");
        c.check(q.queue_delayed(delayed[i], 0ns), "so can the delayed one");
        c.check(q.flush() && !items[i].pending() && !delayed[i].pending(), "and they run there");
        ++i;
      }
      rt->audit();
    });
    EXPECT_EQ(status, 0);
    plugs.clear();
    for (wring::workqueue& q : queues.list) q.flush();
    EXPECT_EQ(runs_in_parent.load(), 14) << "the parent's own items ran once each";
    for (wring::delayed_work& item : delayed) EXPECT_TRUE(item.cancel()) << "the parent's timers still run";
  }
}

// WQ-98: that an item is disabled is its user's decision, and holds in the child; that somebody is cancelling it at the
// moment does not.
TEST_F(fork, a_disabled_item_is_disabled_in_the_child_and_one_that_is_being_cancelled_is_not) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue queue{rt, {.name = "disabled"}};
  wring::work disabled{[] {}};
  disabled.disable();
  gate entered;
  gate release;
  wring::work cancelled{[&] {
    entered.open();
    release.wait();
  }};
  queue.queue(cancelled);
  entered.wait();
  std::thread canceller{[&] { cancelled.cancel_sync(); }};
  eventually([&] { return !queue.queue(cancelled) && !cancelled.pending(); });
  const int status = in_forked_child([&](claims& c) {
    c.check(!queue.queue(disabled), "it is refused");
    c.check(disabled.enable(), "until it is enabled");
    c.check(queue.queue(disabled), "and then not");
    c.check(queue.queue(cancelled), "nobody cancels here");
    release.open();
    queue.flush();
  });
  EXPECT_EQ(status, 0);
  release.open();
  canceller.join();
}

// Objects that the parent made can be destroyed in the child, the runtime too. Method: the child does so and ends.
TEST_F(fork, the_child_may_destroy_queues_items_and_the_runtime) {
  auto rt = std::make_unique<wring::runtime>(wring::runtime_options{.cpus = 2});
  auto queues = std::make_unique<all_queues>(*rt);
  auto plugged = std::make_unique<plug>(queues->list[1]);
  auto item = std::make_unique<wring::work>([] {});
  auto later = std::make_unique<wring::delayed_work>([] {});
  queues->list[1].queue(*item);
  queues->list[1].queue_delayed(*later, 1h);
  for (const bool used : {false, true}) {
    EXPECT_EQ(in_forked_child([&](claims& c) {
                if (used) use(queues->list[1], c);
                later.reset();
                item.reset();
                queues.reset();
                rt.reset();
              }),
              0);
  }
  plugged.reset();
  queues->list[1].flush();
  later.reset();
}

// A future, and a group, whose closures were left in the parent end in the child.
TEST_F(fork, waits_for_what_only_the_parent_has_return_in_the_child) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "waits", .max_active = 1}};
  plug stopper{q};
  auto answer = q.submit_for_result([] { return 1; });
  wring::task_group group{q};
  group.run([] {});
  EXPECT_EQ(in_forked_child([&](claims& c) {
              c.check(!answer.wait_for(1h), "it will not be ready");
              try {
                answer.get();
                c.check(false, "get() throws");
              } catch (const std::future_error& e) {
                c.check(e.code() == std::future_errc::broken_promise, "the promise is broken");
              }
              group.wait();
              bool ran = false;
              group.run([&] { ran = true; });
              group.wait();
              c.check(ran, "the group can be used again");
            }),
            0);
  stopper.pull();
  EXPECT_EQ(answer.get(), 1);
  group.wait();
}

// A callback forks. In the child it is outside of everything and may use its own queue; when it returns there, the
// process ends as if its last thread had. Both for the leader of a queue (max_active 1) and for others.
TEST_F(fork, a_callback_may_fork_and_even_return_in_the_child) {
  for (const unsigned max_active : {1U, 4U}) {
    test_runtime rt{{.cpus = 2}};
    wring::workqueue q{rt, {.name = "forks", .max_active = max_active}};
    std::atomic<int> status{-1};
    std::atomic<int> later{0};
    wring::work item{[&] {
      const pid_t child = ::fork();
      if (child != 0) {
        const wring::blocking_scope scope;
        status.store(status_of(child));
        return;
      }
      ::alarm(60);
      claims c;
      c.check(wring::current_work() == nullptr, "it is inside of no item");
      use(q, c);
      if (c.status() != 0) ::_exit(c.status());
    }};
    q.queue(item);
    q.submit([&] { later.fetch_add(1); });
    q.flush();
    EXPECT_EQ(status.load(), 0);
    EXPECT_EQ(later.load(), 1);
  }
}

// The same on a thread that waits for a group and runs its children itself.
TEST_F(fork, a_child_of_a_group_may_fork_while_its_waiter_runs_it) {
  test_runtime rt{{.cpus = 1}};
  wring::workqueue q{rt, {.name = "group", .max_active = 2}};
  plug stopper{q};
  const pid_t parent = ::getpid();
  pid_t child = 0;
  int status = -1;
  wring::task_group group{q};
  for (int i = 0; i < 3; ++i) {
    group.run([&, i] {
      if (i == 1 && ::getpid() == parent) child = ::fork();
    });
  }
  group.wait();
  if (::getpid() != parent) {
    ::alarm(60);
    claims c;
    use(q, c);
    wring::test::end_child(c.status());
  }
  status = status_of(child);
  EXPECT_EQ(status, 0);
}

// Signals, CPUs and names: the child of a callback is an ordinary process.
TEST_F(fork, a_callbacks_child_has_the_signal_mask_and_cpus_of_the_program) {
  test_runtime rt{{.cpus = 2}};
  cpu_set_t of_program;
  ASSERT_EQ(::sched_getaffinity(0, sizeof of_program, &of_program), 0);
  wring::workqueue q{rt, {.name = "bound", .per_cpu = true}};
  const int status = q.run_on(rt->cpus().front().id, [&] {
    return in_forked_child([&](claims& c) {
      sigset_t blocked;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      c.check(::sigismember(&blocked, SIGTERM) == 0, "SIGTERM is not blocked");
      cpu_set_t here;
      ::sched_getaffinity(0, sizeof here, &here);
      c.check(CPU_EQUAL(&here, &of_program) != 0, "it may run where the program may");
    });
  });
  EXPECT_EQ(status, 0);
}

// A program's own handlers for forks, registered before its first runtime, take a lock that a thread holds while it
// queues. Method: that lock, and a thread that does nothing else.
std::mutex locked_by_the_program;
std::atomic<bool> the_program_locks{false};
[[maybe_unused]] const int registered = ::pthread_atfork(
    [] {
      if (the_program_locks.load()) locked_by_the_program.lock();
    },
    [] {
      if (the_program_locks.load()) locked_by_the_program.unlock();
    },
    [] {
      if (the_program_locks.load()) locked_by_the_program.unlock();
    });

TEST_F(fork, a_programs_own_handlers_may_guard_its_queues) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "guarded"}};
  std::atomic<bool> stop{false};
  the_program_locks.store(true);
  std::thread user{[&] {
    while (!stop.load()) {
      const std::lock_guard lock{locked_by_the_program};
      q.submit([] {});
    }
  }};
  int failures = 0;
  for (int i = 0; i < 50 && failures == 0; ++i) {
    failures += in_forked_child([&](claims& c) { use(q, c); }) != 0 ? 1 : 0;
  }
  stop.store(true);
  user.join();
  the_program_locks.store(false);
  EXPECT_EQ(failures, 0);
}

// WQ-103: a child that is refused its first threads gets them later, when somebody queues or waits. Method: the child
// lowers its limit of processes, and raises it again.
TEST_F(fork, a_child_that_is_refused_threads_goes_on_when_it_gets_them) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to become a user whose processes are limited";
  test_runtime rt{{.cpus = 2, .creation_retry = 10ms}};
  wring::workqueue q{rt, {.name = "refused"}};
  const int status = in_forked_child([&](claims& c) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return c.check(false, "the privileges are given up");
    rlimit limit{};
    ::getrlimit(RLIMIT_NPROC, &limit);
    const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
    ::setrlimit(RLIMIT_NPROC, &none);
    std::atomic<int> ran{0};
    for (int i = 0; i < 3; ++i) c.check(q.submit([&] { ran.fetch_add(1); }), "it is queued all the same");
    c.check(ran.load() == 0, "there is nobody to run it");
    ::setrlimit(RLIMIT_NPROC, &limit);
    c.check(q.submit([&] { ran.fetch_add(1); }), "one more");
    wring::test::eventually([&] { return ran.load() == 4; });  // nobody waits in a call of wring, which would try, too
    c.check(q.flush(), "and a flush returns");
  });
  EXPECT_EQ(status, 0);
}

// The same, when it is a wait of wring that goes on. Method: another thread of the child raises the limit when it sees
// the waiting one asleep.
TEST_F(fork, a_wait_of_a_child_that_is_refused_threads_ends_when_it_gets_them) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to become a user whose processes are limited";
  test_runtime rt{{.cpus = 2, .creation_retry = 1ms}};
  wring::workqueue q{rt, {.name = "refused"}};
  const int status = in_forked_child([&](claims& c) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return c.check(false, "the privileges are given up");
    rlimit limit{};
    ::getrlimit(RLIMIT_NPROC, &limit);
    const auto waiter = static_cast<std::uint32_t>(::gettid());
    wring::test::gate refused;
    std::thread helper{[&] {
      refused.wait();
      wring::test::eventually([&] { return wring::base::look_at_thread(waiter).state == 'S'; });
      ::setrlimit(RLIMIT_NPROC, &limit);
    }};
    const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
    ::setrlimit(RLIMIT_NPROC, &none);
    std::atomic<bool> ran{false};
    c.check(q.submit([&] { ran.store(true); }), "it is queued all the same");
    refused.open();
    c.check(q.flush() && ran.load(), "the flush has waited for it");
    helper.join();
  });
  EXPECT_EQ(status, 0);
}

// Nests until the worker's stack is half used, so that other workers have to lend theirs.
void descend(wring::workqueue& q, int levels, std::atomic<int>& ran) {
  ran.fetch_add(1);
  if (levels == 0) return;
  wring::task_group group{q};
  group.run([&] { descend(q, levels - 1, ran); });
  group.wait();
}

TEST_F(fork, workers_lend_their_stacks_in_the_child_as_in_the_parent) {
  test_runtime rt{{.cpus = 1}};
  wring::workqueue q{rt, {.name = "nested", .ordered = true}};
  const auto nest = [&] {
    std::atomic<int> ran{0};
    q.submit([&] { descend(q, 3'000, ran); });
    q.flush();
    return ran.load();
  };
  EXPECT_EQ(nest(), 3'001);
  EXPECT_EQ(in_forked_child([&](claims& c) { c.check(nest() == 3'001, "all levels have run"); }), 0);
  EXPECT_EQ(nest(), 3'001);
}

// Whichever of several threads uses the parent's item or group first in the child: the others wait until it is as new,
// and exactly one of them queues the item. Method: threads that meet at each item.
TEST_F(fork, the_childs_threads_may_use_the_parents_items_and_groups_at_the_same_time) {
  constexpr int threads = 2;
  constexpr int rounds = 500;
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "used", .max_active = 1}};
  std::atomic<int> ran{0};
  std::deque<wring::work> items;
  std::deque<wring::task_group> groups;
  for (int i = 0; i < rounds; ++i) {
    q.queue(items.emplace_back([&] { ran.fetch_add(1); }));
    groups.emplace_back(q).run([] {});
  }
  q.flush();
  EXPECT_EQ(in_forked_child([&](claims& c) {
              ran.store(0);
              plug stopper{q};
              std::atomic<int> arrived{0};
              std::atomic<int> accepted{0};
              std::atomic<int> children{0};
              wring::test::together(threads, [&](int) {
                for (int i = 0; i < rounds; ++i) {
                  arrived.fetch_add(1);
                  while (arrived.load() < threads * (i + 1)) continue;
                  const auto n = static_cast<std::size_t>(i);
                  groups[n].run([&] { children.fetch_add(1); });
                  accepted.fetch_add(q.queue(items[n]) ? 1 : 0);
                }
              });
              c.check(accepted.load() == rounds, "each item was queued once");
              stopper.pull();
              for (wring::task_group& g : groups) g.wait();
              q.flush();
              c.check(ran.load() == rounds, "each item ran once");
              c.check(children.load() == threads * rounds, "no child was forgotten");
            }),
            0);
  for (wring::task_group& g : groups) g.wait();
}

// Children fork, too.
TEST_F(fork, the_childs_children_can_use_the_queues) {
  test_runtime rt{{.cpus = 2}};
  wring::workqueue q{rt, {.name = "generations"}};
  wring::work item{[] {}};
  EXPECT_EQ(in_forked_child([&](claims& c) {
              q.queue(item);
              use(q, c);
              plug stopper{q};
              const int of_grandchild = in_forked_child([&](claims& d) {
                d.check(!item.pending(), "idle once more");
                d.check(q.queue(item), "and queued once more");
                use(q, d);
              });
              c.check(of_grandchild == 0, "the grandchild is content");
            }),
            0);
}

// The default runtime, made before the fork, and one made in the child alone.
TEST_F(fork, the_default_runtime_works_in_the_child) {
  wring::workqueue q{{.name = "default"}};
  q.submit([] {});
  q.flush();
  EXPECT_EQ(in_forked_child([&](claims& c) {
              use(q, c);
              wring::workqueue other{{.name = "made in the child"}};
              use(other, c);
              wring::runtime own{{.cpus = 1}};
              wring::workqueue third{own, {.name = "of a runtime of its own"}};
              use(third, c);
            }),
            0);
}

// A thousand forks while threads queue, cancel, delay and flush; the children use every queue and take over the
// parent's items. WRING_FORKS: another number.
TEST_F(fork, a_thousand_forks_under_load) {
  const char* const asked = std::getenv("WRING_FORKS");
  const int forks = asked != nullptr ? std::atoi(asked) : 1'000;
  test_runtime rt{{.cpus = 4}};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> ran{0};
  std::atomic<std::uint64_t> cancelled{0};
  {
    all_queues queues{rt};
    std::deque<wring::work> items;
    std::deque<wring::delayed_work> delayed;
    for (int i = 0; i < 16; ++i) items.emplace_back([&] { ran.fetch_add(1); });
    for (int i = 0; i < 4; ++i) delayed.emplace_back([&] { ran.fetch_add(1); });
    const auto load = [&](unsigned seed) {
      std::uint32_t x = seed * 2'654'435'761U + 1;
      const auto next = [&x](std::uint32_t n) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        return x % n;
      };
      while (!stop.load()) {
        wring::workqueue& q = queues.list[next(7)];
        switch (next(8)) {
          case 0: cancelled.fetch_add(items[next(16)].cancel() ? 1 : 0); break;
          case 1: accepted.fetch_add(q.submit([&] { ran.fetch_add(1); }) ? 1 : 0); break;
          case 2: accepted.fetch_add(queues.list[0].queue_delayed(delayed[next(4)], 1ms) ? 1 : 0); break;
          case 3: {
            wring::task_group group{q};
            group.run([] {});
            group.wait();
            break;
          }
          case 4: q.flush(); break;
          case 5: {
            wring::workqueue brief{rt, {.name = "brief"}};
            brief.submit([] {});
            break;
          }
          default: {
            // An item belongs to one queue, or it might run twice at once (WQ-61).
            const std::uint32_t i = next(16);
            accepted.fetch_add(queues.list[i % 7].queue(items[i]) ? 1 : 0);
          }
        }
      }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 3; ++i) threads.emplace_back(load, i);
    int failures = 0;
    for (int n = 0; n < forks; ++n) {
      const int status = in_forked_child([&](claims& c) {
        const auto which = static_cast<std::size_t>(n) % 7;
        std::atomic<int> here{0};
        const std::uint64_t ran_before = ran.load();
        for (std::size_t i = 0; i < 16; ++i) c.check(queues.list[i % 7].queue(items[i]), "each item can be queued");
        for (wring::workqueue& q : queues.list) {
          c.check(q.submit([&] { here.fetch_add(1); }), "each queue takes a closure");
          c.check(q.flush(), "each queue can be flushed");
        }
        c.check(here.load() == 7, "what was queued in the child has run");
        for (wring::work& item : items) c.check(!item.pending(), "the items have run");
        c.check(ran.load() == ran_before + 16, "each once, and nothing of the parent's");
        if (n % 16 == 0) use(queues.list[which], c);
      });
      rt.goes_on();
      if (status != 0) ++failures;
      if (failures == 3) break;
    }
    EXPECT_EQ(failures, 0);
    stop.store(true);
    for (std::thread& t : threads) t.join();
    for (wring::delayed_work& d : delayed) d.flush();
    for (wring::workqueue& q : queues.list) q.flush();
    EXPECT_EQ(accepted.load(), ran.load() + cancelled.load()) << "the parent lost nothing and ran nothing twice";
  }
}

}  // namespace
