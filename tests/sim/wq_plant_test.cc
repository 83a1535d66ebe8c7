// SPDX-License-Identifier: Apache-2.0
// wq_plant: faults planted into the library (WRING_PLANT), one at a time, must be found. One that is not found
// is a fault of the tests. The budgets are seeds; each test takes a second at most.
#include "support/sim_test.h"
#include "support/wq_world.h"

#include "base/bias.h"
#include "base/mutex.h"
#include "base/parker.h"

#include <wring/task_group.h>

#include <array>
#include <functional>
#include <optional>
#include <string>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::world;
using wring::base::checked;

// The body is right without the plant, and found wrong with it.
void expect_found(const char* plant, const std::function<void()>& body, sim::profile faults = sim::profile::usual) {
  // Refused threads are tried again after a second each, and the timekeeper looks meanwhile.
  sim::options how{
      .seeds = 20'000, .faults = faults, .plants = {plant}, .step_limit = 500'000, .timers = false, .explain = false};
  EXPECT_SIM_FINDS(sim::explore(how, body), "");
  how.plants.clear();
  how.seeds = 500;
  how.explain = true;
  EXPECT_SIM_OK(sim::explore(how, body));
}

// Two threads queue closures on two queues and flush, over and over: workers park and are woken all the time.
void chatter(world& w, std::uint64_t patience_ns = 1'000'000'000) {
  const std::uint64_t begin = sim::now_ns();
  std::array<int, 2> ran{};
  std::array<wring::workqueue, 2> queues{wring::workqueue{w, {.name = "one"}}, wring::workqueue{w, {.name = "two"}}};
  const auto produce = [&](std::size_t q) {
    for (int i = 0; i < 4; ++i) {
      queues[q].submit([&ran, q] { ++ran[q]; });
      queues[q].flush();
      sim::check(ran[q] == i + 1, "a flush waits", ran[q]);
      sim::check(sim::now_ns() - begin < patience_ns, "in time");
    }
  };
  sim::thread other{[&] { produce(1); }};
  produce(0);
  other.join();
}

TEST(wq_plant, a_dropped_wakeup_is_found) {
  expect_found("dropped_wakeup", [] {
    wring::base::parker p;
    sim::thread t{[&] { p.unpark(); }};
    p.park();
    t.join();
  });
}

// WQ-86. Method: while a callback waits for an item, or has just waited for it, the item's queue ends, and must leave
// nothing in the graph.
TEST(wq_plant, a_wait_for_a_queue_that_has_ended_is_found) {
  expect_found("wait_for_ended_queue_kept", [] {
    world w{{.cpus = 2, .max_workers = 8, .deadlock_graph = true}};
    wring::workqueue standing{w, {.name = "standing"}};
    wring::work item{[] {}};
    for (int i = 0; i < 3; ++i) {
      wring::workqueue passing{w, {.name = "passing"}};
      passing.queue(item);
      standing.submit([&] { item.flush(); });
    }
    standing.flush();
    const std::string now = w->describe();
    sim::check(now.find("wait graph: 0 ways") != std::string::npos, "nothing is left", now);
  });
}

// WQ-61 over the CPUs of a queue.
TEST(wq_plant, an_item_sent_to_another_cpu_while_it_runs_is_found) {
  expect_found("other_cpu_ignored", [] {
    world w{{.cpus = 2, .max_workers = 8}};
    std::optional<wring::workqueue> q;
    {
      const sim::calm no_faults;
      q.emplace(w, wring::workqueue_options{.name = "two CPUs", .per_cpu = true});
    }
    int inside = 0;
    wring::work item{[&] {
      sim::check(++inside == 1, "never twice at once");
      sim::stall(1'000);
      --inside;
    }};
    for (unsigned i = 0; i < 6; ++i) q->queue_on(i % 2, item);
    item.flush();
  });
}

TEST(wq_plant, a_bias_that_ignores_visitors_is_found) {
  expect_found("bias_ignores_visitor", [] {
    wring::base::bias b;
    checked<int> guarded{0};
    sim::thread visitor{[&] {
      b.exclude();
      guarded.set(1);
      b.readmit();
    }};
    for (int i = 0; i < 2; ++i) {
      if (!b.enter()) continue;
      guarded.set(2);
      b.leave();
    }
    visitor.join();
  });
}

TEST(wq_plant, parking_without_a_second_look_is_found) {
  expect_found("park_without_recheck", [] {
    world w{{.cpus = 1, .max_workers = 2}};
    chatter(w);
  });
}

TEST(wq_plant, a_publish_that_is_not_ordered_before_its_look_is_found) {
  expect_found("reordered_publish", [] {
    world w{{.cpus = 1, .max_workers = 2}};
    chatter(w);
  });
}

TEST(wq_plant, a_slot_that_is_owed_and_forgotten_is_found) {
  const auto body = [] {
    world w{{.cpus = 2, .max_workers = 4, .creation_retry = 3'600'000ms}};
    chatter(w);
    chatter(w);
  };
  expect_found("owed_slot_forgotten", body, sim::profile::hostile);
}

// A queue of short items is led; the leader's first item blocks, the others must start on another worker.
TEST(wq_plant, a_batch_lost_when_its_leader_blocks_is_found) {
  expect_found("batch_lost_on_block", [] {
    world w;
    wring::base::completion released;
    wring::workqueue q{w, {.name = "batch"}};
    for (int i = 0; i < 12; ++i) q.submit([] {});
    q.flush();
    q.submit([&] {
      const wring::blocking_scope scope;
      released.wait();
    });
    q.submit([&] { released.complete(); });
    q.flush();
  });
}

// The oldest of three children, which their worker keeps, is what the newest waits for.
void newest_waits_for_oldest(bool announced) {
  world w{{.cpus = 1, .max_workers = 8}};
  wring::workqueue q{w, {.name = "kept"}};
  sim::gate oldest;
  q.submit([&] {
    wring::task_group children{q};
    children.run([&] { oldest.open(); });
    children.run([] {});
    children.run([&] {
      std::optional<wring::blocking_scope> scope;
      if (announced) scope.emplace();
      oldest.pass();
    });
    children.wait();
  });
  q.flush();
}

TEST(wq_plant, children_that_are_kept_while_their_worker_waits_are_found) {
  expect_found("kept_through_a_wait", [] { newest_waits_for_oldest(true); });
}

TEST(wq_plant, kept_children_of_a_stuck_worker_are_found) {
  expect_found("kept_children_not_relieved", [] { newest_waits_for_oldest(false); });
}

TEST(wq_plant, children_that_are_kept_by_who_waits_already_are_found) {
  expect_found("kept_out_of_the_count", [] {
    world w;
    wring::workqueue q{w, {.name = "early"}};
    sim::gate both;
    q.submit([&] {
      wring::task_group children{q};
      int ran = 0;
      {
        const wring::blocking_scope scope;
        for (int i = 0; i < 2; ++i) {
          children.run([&] {
            if (++ran == 2) both.open();
          });
        }
        both.pass();
      }
      children.wait();
    });
    q.flush();
  });
}

// The worker takes from one end what the timekeeper, or who waits, takes from the other.
TEST(wq_plant, a_worker_that_is_not_excluded_from_its_children_is_found) {
  expect_found("owner_of_children_not_excluded", [] {
    world w;
    wring::workqueue q{w, {.name = "two hands"}};
    wring::task_group* shared = nullptr;
    wring::base::completion made;
    wring::base::completion waited;
    int ran = 0;
    q.submit([&] {
      wring::task_group children{q};
      for (int i = 0; i < 4; ++i) children.run([&ran] { ++ran; });
      shared = &children;
      made.complete();
      children.wait();
      const wring::blocking_scope scope;
      waited.wait();
    });
    made.wait();
    shared->wait();
    sim::check(ran == 4, "each child has run once", ran);
    waited.complete();
    q.flush();
  });
}

// WQ-62: an item that queues itself again runs again.
TEST(wq_plant, pending_cleared_after_the_callback_is_found) {
  expect_found("pending_cleared_late", [] {
    world w;
    wring::workqueue q{w, {.name = "again"}};
    int runs = 0;
    wring::work item{[&](wring::work& self) {
      if (++runs == 1) sim::check(q.queue(self), "a running item can be queued again");
    }};
    q.queue(item);
    item.flush();
    item.flush();
    sim::check(runs == 2, "it ran twice", runs);
  });
}

TEST(wq_plant, a_flush_that_counts_a_run_twice_is_found) {
  expect_found("flush_counted_twice", [] {
    world w{{.cpus = 3, .max_workers = 6}};
    wring::workqueue q{w, {.name = "counted"}};
    int ran = 0;
    for (int i = 0; i < 3; ++i) {
      q.submit([&] {
        sim::spend(1000);
        sim::point();
        ++ran;
      });
    }
    q.flush();
    sim::check(ran == 3, "a flush waits for all that was there", ran);
  });
}

// A sleeper in the last slot that is not told of a new child of its group.
TEST(wq_plant, a_group_whose_sleeper_is_not_called_back_is_found) {
  expect_found("sleeper_not_called", [] {
    world w{{.cpus = 2}};
    wring::workqueue q{w, {.name = "called", .ordered = true}};
    int ran = 0;
    wring::task_group group{q};
    q.submit([&] {
      group.run([&] {
        ++ran;
        sim::stall(20'000);
      });
      group.wait();
    });
    group.run([&] { ++ran; });
    q.flush();
    group.wait();
    sim::check(ran == 2, "both ran", ran);
  });
}

// WQ-8, WQ-61: an item queued again while it runs goes to the worker that runs it, on its own list.
TEST(wq_plant, an_item_lost_when_it_is_handed_over_is_found) {
  expect_found("handed_item_lost", [] {
    world w;
    wring::workqueue q{w, {.name = "handed"}};
    int asked = 0;
    int runs = 0;
    {
      wring::work item{[&] {
        ++runs;
        const wring::blocking_scope scope;
        sim::stall(20'000);
      }};
      for (int i = 0; i < 3; ++i) {
        asked += q.queue(item) ? 1 : 0;
        sim::spend(1'000);
        sim::stall(2'000);
      }
      q.flush();
      sim::check(runs == asked, "each queue call is one run", runs, asked);
    }
  });
}

// ---- blocking that is seen (recount.cc) ---------------------------------------------------------------------

constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

// WQ-73: on its CPU, a worker that was seen to wait in one item is not taken out of the count in the next one, which
// would let another run beside it.
TEST(wq_plant, a_sight_of_one_item_that_counts_for_the_next_is_found) {
  expect_found(
      "next_item_taken_out",
      [] {
        world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms, .cpu_intensive_threshold = 0us}};
        std::optional<wring::workqueue> q;
        {
          const sim::calm no_faults;
          q.emplace(w, wring::workqueue_options{.name = "one CPU", .per_cpu = true});
        }
        constexpr std::size_t waits = 6;
        std::array<sim::gate, waits> gates;
        std::size_t entered = 0;
        int inside = 0;
        for (sim::gate& gate : gates) {
          q->submit([&] {
            ++entered;
            gate.pass();
          });
          for (int i = 0; i < 2; ++i) {
            q->submit([&] {
              sim::check(++inside == 1, "who does not wait runs alone", inside);
              for (int part = 0; part < 60; ++part) sim::spend(500);
              --inside;
            });
          }
        }
        for (std::size_t i = 0; i < waits; ++i) {
          while (entered <= i) sim::spend(10 * us);
          sim::spend(40 * us);
          gates[i].open();
        }
        q->flush();
      },
      sim::profile::none);
}

// WQ-73: a worker that was seen to wait counts again when it runs.
TEST(wq_plant, a_worker_that_goes_on_and_is_not_counted_is_found) {
  expect_found(
      "going_on_unseen",
      [] {
        world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms, .cpu_intensive_threshold = 0us}};
        wring::workqueue q{w, {.name = "on and off"}};
        wring::base::atomic<bool> go_on{true};
        unsigned blocked = 0;
        q.submit([&] {
          sim::stall(3 * ms);
          while (go_on.load(wring::base::order::relaxed)) sim::spend(20 * us);
        });
        for (int i = 0; i < 100; ++i) q.submit([] { sim::spend(100 * us); });
        q.submit([&] {
          blocked = w->stats().pools[0].blocked;
          go_on.store(false, wring::base::order::relaxed);
        });
        q.flush();
        sim::check(blocked == 0, "it runs", blocked);
      },
      sim::profile::none);
}

// WQ-79: the CPU time of one callback is measured, not that of a worker.
TEST(wq_plant, cpu_time_that_adds_up_over_items_is_found) {
  expect_found("items_measured_as_one", [] {
    world w{{.cpus = 1, .max_workers = 8, .stall_floor = 0ms}};
    wring::workqueue q{w, {.name = "short"}};
    for (int i = 0; i < 15; ++i) q.submit([] { sim::spend(1 * ms); });
    q.flush();
    sim::check(w->stats().pools[0].cpu_intensive_seen == 0, "none is long");
  });
}

}  // namespace
