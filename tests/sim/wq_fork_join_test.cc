// SPDX-License-Identifier: Apache-2.0
// wq_fork_join: children of task groups that their worker keeps to itself, and everybody who may want them.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "base/parker.h"
#include "base/sync.h"

#include <wring/task_group.h>

#include <array>
#include <optional>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;
using wring::base::checked;

// Each node of the tree once, and none is ahead of what it hands to the one that waits.
int grow(wring::workqueue& q, int fan, int levels, int waits) {
  if (levels == 0) return 1;
  std::array<checked<int>, 4> parts;
  wring::task_group children{q};
  for (int i = 0; i < fan; ++i) {
    children.run([&, i] {
      if (i == waits) sim::stall(30'000);
      parts[static_cast<std::size_t>(i)].set(grow(q, fan, levels - 1, waits));
    });
  }
  children.wait();
  int nodes = 1;
  for (int i = 0; i < fan; ++i) nodes += parts[static_cast<std::size_t>(i)].get();
  return nodes;
}

// WQ-60, WQ-63 for children: whoever runs them.
TEST(wq_fork_join, each_child_runs_once_whoever_gets_it) {
  for (const auto faults : {sim::profile::usual, sim::profile::hostile}) {
    const auto report = sim::explore({.seeds = 400, .faults = faults, .step_limit = 500'000}, [] {
      world w;
      wring::workqueue q{w, {.name = "tree"}};
      int nodes = 0;
      q.submit([&] { nodes = grow(q, 3, 3, 1); });
      q.flush();
      sim::check(nodes == 40, "every node", nodes);
    });
    EXPECT_SIM_OK(report);
    EXPECT_SIM_EVENT(report, "children that their worker kept were queued", 0.5);
  }
}

// Two callbacks have the two slots of their queue: one waits for the other's group, whose child is kept; then the other
// waits for it, so that the child is queued, and who sleeps is the only one who can run it.
TEST(wq_fork_join, who_sleeps_inside_is_called_for_a_kept_child_that_is_queued) {
  const auto report = sim::explore({.seeds = 6000, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    wring::workqueue q{w, {.name = "two slots", .max_active = 2}};
    wring::task_group* its_group = nullptr;
    sim::gate made;
    sim::gate done;
    checked<int> ran{0};
    q.submit([&] {
      wring::task_group group{q};
      group.run([] {});
      its_group = &group;
      made.open();
      group.wait();
      group.run([&] { ran.set(1); });
      const wring::blocking_scope scope;
      done.pass();
    });
    q.submit([&] {
      {
        const wring::blocking_scope scope;
        made.pass();
      }
      its_group->wait();
      done.open();
    });
    q.flush();
    sim::check(ran.get() == 1, "it ran");
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "a sleeper was called back to its task_group", 0.001);
}

// Each child throws; whoever takes an exception has a whole one, and it is taken once.
TEST(wq_fork_join, an_exception_is_taken_once_by_one_of_those_who_wait) {
  const auto report = sim::explore({.seeds = 2000, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 6}};
    wring::workqueue q{w, {.name = "q"}};
    wring::task_group group{q};
    int taken = 0;
    const auto wait = [&] {
      try {
        group.wait();
      } catch (const int& n) {
        sim::check(n == 7, "the exception that was thrown", n);
        ++taken;
      }
    };
    for (int round = 1; round <= 2; ++round) {
      group.run([] { throw 7; });
      group.run([] { throw 7; });
      sim::thread other{wait};
      wait();
      other.join();
      wait();
      sim::check(taken >= round && taken <= 2 * round, "each round's are taken", taken, round);
    }
  });
  EXPECT_SIM_OK(report);
}

// Two outsiders wait for children that their worker keeps: the one who has them queued, and one who only looks.
TEST(wq_fork_join, all_who_wait_outside_see_kept_children_end) {
  const auto report = sim::explore({.seeds = 3000, .cpus = 2, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 4}};
    wring::workqueue q{w, {.name = "q"}};
    std::array<checked<int>, 2> ran;
    wring::task_group* its_group = nullptr;
    sim::gate made;
    sim::gate over;
    q.submit([&] {
      wring::task_group group{q};
      for (checked<int>& r : ran) group.run([&r] { r.set(1); });
      its_group = &group;
      made.open();
      over.pass();
    });
    const auto wait_for_them = [&] {
      its_group->wait();
      for (checked<int>& r : ran) sim::check(r.get() == 1, "a child has ended");
    };
    made.pass();
    sim::thread other{wait_for_them};
    wait_for_them();
    other.join();
    over.open();
  });
  EXPECT_SIM_OK(report);
  EXPECT_SIM_EVENT(report, "children that their worker kept were queued", 0.3);
}

// A child comes to a pool whose slots are all taken by callbacks that wait for it, while the one who waits for its
// group sleeps in another pool of the queue: only that one can run it.
TEST(wq_fork_join, who_sleeps_in_another_pool_is_called_for_a_child_that_nobody_else_can_start) {
  const auto report = sim::explore({.seeds = 1000, .cpus = 2, .timers = false}, [] {
    world w{{.cpus = 2, .max_workers = 8}};
    std::optional<wring::workqueue> queue;
    {
      const sim::calm the_first_workers_are_made;
      queue.emplace(w, wring::workqueue_options{
                           .name = "pods", .max_active = 4, .attributes = {.scope = wring::affinity_scope::cpu}});
      queue->set_min_active(1);  // two slots for each
    }
    sim::gate lasting_began;
    sim::gate waits;
    sim::gate child_ran;
    wring::task_group* its_group = nullptr;
    const auto wait_at = [](sim::gate& g) {
      const wring::blocking_scope scope;
      g.pass();
    };
    queue->submit_on(0, [&] {
      wring::task_group group{*queue};
      {
        const wring::blocking_scope scope;  // so that the child is not kept
        group.run([&] {
          lasting_began.open();
          wait_at(child_ran);
        });
        lasting_began.pass();
      }
      its_group = &group;
      waits.open();
      group.wait();
    });
    wait_at(waits);
    queue->submit_on(1, [&] { wait_at(child_ran); });
    queue->submit_on(1, [&] {
      const wring::blocking_scope scope;
      for (std::uint32_t i = sim::choose(20); i != 0; --i) sim::point();
      its_group->run([&] { child_ran.open(); });
      child_ran.pass();
    });
    queue->flush();
  });
  EXPECT_SIM_OK(report);
}

// The first child runs last, unless others get it; the last one waits for it in one way or another.
enum class wait_kind : std::uint8_t { announced, unannounced, spinning };

void wait_for_the_oldest(wait_kind how, const wring::runtime_options& o) {
  world w{o};
  wring::workqueue q{w, {.name = "kept"}};
  sim::gate oldest;
  wring::base::atomic<bool> ran{false};
  q.submit([&] {
    wring::task_group children{q};
    children.run([&] {
      ran.store(true, wring::base::order::release);
      oldest.open();
    });
    children.run([] {});
    children.run([&, how] {
      if (how == wait_kind::spinning) {
        while (!ran.load(wring::base::order::acquire)) wring::base::cpu_relax();
      } else if (how == wait_kind::announced) {
        const wring::blocking_scope scope;
        oldest.pass();
      } else {
        oldest.pass();
      }
    });
    children.wait();
  });
  q.flush();
}

// WQ-73, WQ-U1: what a worker keeps is not lost with it when it blocks, seen or not, or computes for ever.
TEST(wq_fork_join, a_child_that_another_one_waits_for_is_not_kept) {
  for (const auto how : {wait_kind::announced, wait_kind::unannounced, wait_kind::spinning}) {
    const auto report = sim::explore({.seeds = 300, .step_limit = 500'000, .cpus = 2}, [how] {
      wait_for_the_oldest(how, {.cpus = how == wait_kind::spinning ? 2U : 1U, .max_workers = 8});
    });
    EXPECT_SIM_OK(report);
  }
}

// Made while their worker is out of the count: it waits, or has computed for long.
TEST(wq_fork_join, children_of_who_is_out_of_the_count_are_not_kept) {
  for (const bool hog : {false, true}) {
    const auto report = sim::explore({.seeds = 300, .step_limit = 500'000, .cpus = 2}, [hog] {
      world w{{.cpus = 2, .max_workers = 8}};
      wring::workqueue q{w, {.name = "out"}};
      sim::gate first;
      sim::gate second;
      if (hog) {
        for (int i = 0; i < 3; ++i) q.submit([] { sim::spend(15'000'000); });  // so that somebody is looked for
      }
      q.submit([&, hog] {
        if (hog) sim::spend(30'000'000);
        wring::task_group children{q};
        {
          const wring::blocking_scope scope;
          children.run([&] { first.open(); });
          children.run([&] { second.open(); });
          first.pass();
          second.pass();
        }
        children.wait();
      });
      q.flush();
    });
    EXPECT_SIM_OK(report);
  }
}

// Somebody else waits for a group whose children its worker keeps, or is running, and they make more of them.
TEST(wq_fork_join, another_thread_waits_for_what_a_worker_keeps) {
  const auto report = sim::explore({.seeds = 2000, .step_limit = 500'000}, [] {
    world w;
    wring::workqueue q{w, {.name = "shared"}};
    wring::task_group* shared = nullptr;
    wring::base::completion made;
    wring::base::completion waited;
    std::array<checked<int>, 3> ran;
    q.submit([&] {
      wring::task_group children{q};
      children.run([&] { ran[0].set(1); });
      children.run([&] {
        children.run([&] { ran[2].set(1); });
        ran[1].set(1);
      });
      shared = &children;
      made.complete();
      children.wait();
      const wring::blocking_scope scope;
      waited.wait();  // the group lives on until nobody looks at it
    });
    made.wait();
    shared->wait();
    for (checked<int>& r : ran) sim::check(r.get() == 1, "each child has run", r.get());
    waited.complete();
    q.flush();
  });
  EXPECT_SIM_OK(report);
}

// The same at any time, also while the worker makes the first of them.
TEST(wq_fork_join, another_thread_waits_while_children_are_made) {
  const auto report = sim::explore({.seeds = 2000, .step_limit = 500'000}, [] {
    world w;
    wring::workqueue q{w, {.name = "shared"}};
    wring::task_group* shared = nullptr;
    wring::base::completion made;
    wring::base::completion waited;
    int ran = 0;
    q.submit([&] {
      wring::task_group children{q};
      shared = &children;
      made.complete();
      for (int i = 0; i < 3; ++i) children.run([&ran] { ++ran; });
      children.wait();
      const wring::blocking_scope scope;
      waited.wait();
    });
    made.wait();
    shared->wait();
    waited.complete();
    q.flush();
    sim::check(ran == 3, "each child has run once", ran);
  });
  EXPECT_SIM_OK(report);
}

// An inner group's children lie above those of an outer one, and the other way round.
TEST(wq_fork_join, groups_may_be_filled_in_any_order) {
  const auto report = sim::explore({.seeds = 500, .step_limit = 500'000}, [] {
    world w;
    wring::workqueue q{w, {.name = "mixed"}};
    int ran = 0;
    q.submit([&] {
      wring::task_group outer{q};
      outer.run([&ran] { ++ran; });
      {
        wring::task_group inner{q};
        inner.run([&ran] { ++ran; });
        outer.run([&ran] { ++ran; });
        inner.run([&] { outer.run([&ran] { ++ran; }); });
        outer.run([&ran] { ++ran; });
        inner.wait();
        sim::check(ran >= 1, "the inner ones have run", ran);
      }
      outer.wait();
      sim::check(ran == 5, "all have run", ran);
    });
    q.flush();
  });
  EXPECT_SIM_OK(report);
}

}  // namespace
