// SPDX-License-Identifier: Apache-2.0
// wq_property: a random mix of everything, from four threads and from callbacks, against the books of
// support/wq_model.h (WQ-158). At least 200 operations a seed.
#include "support/sim_test.h"
#include "support/wq_model.h"
#include "support/wq_world.h"

#include <array>
#include <system_error>
#include <vector>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::ephemeral;
using sim::test::model_item;
using sim::test::model_queue;
using sim::test::punctual;
using sim::test::world;

constexpr unsigned threads = 4;
constexpr unsigned operations = 52;  // of each thread
constexpr std::uint64_t us = 1'000;
constexpr std::uint64_t ms = 1'000 * us;

enum : std::uint32_t { ordered, single, two, many, unmanaged, bound, queue_kinds };

class playground {
 public:
  explicit playground(world& w) : world_{w} {
    const sim::calm the_first_workers_of_all_pools_are_made;
    queues_.emplace_back(w, wring::workqueue_options{.name = "ordered", .ordered = true, .rescuer = true});
    queues_.emplace_back(w, wring::workqueue_options{.name = "single", .max_active = 1});
    queues_.emplace_back(w,
                         wring::workqueue_options{.name = "two", .max_active = 2, .freezable = true, .rescuer = true});
    queues_.emplace_back(w, wring::workqueue_options{.name = "many"});
    queues_.emplace_back(w, wring::workqueue_options{.name = "unmanaged", .max_active = 2, .unmanaged = true});
    queues_.emplace_back(w, wring::workqueue_options{.name = "bound", .max_active = 2, .per_cpu = true});
    for (std::uint32_t q = 0; q < queue_kinds; ++q) {
      for (int i = 0; i < 2; ++i) works_.emplace_back(queues_[q], [this, q] { callback(q); });
    }
    // A drain refuses what comes due meanwhile (WQ-46); so the delayed ones are on the other queues.
    for (const auto q : {single, many, unmanaged, bound}) delayed_.emplace_back(queues_[q], [this, q] { callback(q); });
    for (int i = 0; i < 2; ++i) modified_.emplace_back(queues_[many], [this] { callback(many); });
    for (unsigned t = 0; t < threads; ++t) punctual_.emplace_back(queues_[many]);
  }

  void play(unsigned self) {
    for (unsigned i = 0; i < operations; ++i) operation(self);
    punctual_[self].hurry();
  }

  void finish() {
    closing_ = true;  // callbacks that begin from here on ask for nothing more
    for (int round = 0; round < 2; ++round) {
      for (auto& q : queues_) q.flush();
    }
    for (auto& d : delayed_) d.flush();
    for (auto& d : modified_) d.flush();
    for (auto& q : queues_) q.drain();
    for (auto& i : works_) i.check_quiet();
    for (auto& i : delayed_) i.check_quiet();
    for (auto& i : modified_) i.check_quiet();
    for (auto& p : punctual_) p.check_quiet();
    for (auto& q : queues_) q.check_quiet();
    sim::check(alive_ == 0, "every item that ends itself has done so", alive_);
    world_->audit();
  }

 private:
  model_queue& any_queue() { return queues_[sim::choose(queue_kinds)]; }
  auto& any_work() { return works_[sim::choose(static_cast<std::uint32_t>(works_.size()))]; }
  auto& any_delayed() { return delayed_[sim::choose(static_cast<std::uint32_t>(delayed_.size()))]; }
  auto& any_modified() { return modified_[sim::choose(static_cast<std::uint32_t>(modified_.size()))]; }
  static std::uint64_t any_delay() {
    constexpr std::array<std::uint64_t, 4> delays{0, 30 * us, 2 * ms, 40 * ms};
    return delays[sim::choose(4)];
  }

  // What callbacks of a queue do. Most are short, or queues would never be led. They wait only for their own queue
  // or for one that always has a slot: two queues with few slots whose callbacks wait for one another hang.
  void callback(std::uint32_t own) {
    if (closing_) return;
    switch (sim::choose(24)) {
      case 1: return sim::spend(3 * us);
      case 2: return sim::spend(200 * us);
      case 3: {
        const wring::blocking_scope scope;
        return sim::stall(20 * us);
      }
      case 4: return sim::stall(300 * us);
      case 5:
        if (sim::choose(4) == 0) sim::stall(250 * ms);
        return;
      case 6: return family(queues_[sim::choose(2) != 0 ? own : many], 2);
      case 7: return static_cast<void>(any_work().queue());
      case 8: return any_work().cancel();
      case 9: return static_cast<void>(any_delayed().queue_delayed(any_delay()));
      case 10: return any_delayed().cancel();
      case 11: return ephemeral::start(any_queue(), alive_);
      case 12: {
        const wring::blocking_scope outer;
        const wring::blocking_scope inner;
        return sim::point();
      }
      case 13: return world_->audit();
      default: return;
    }
  }

  void family(model_queue& q, unsigned depth) {
    const unsigned n = 1 + sim::choose(3);
    unsigned ran = 0;
    unsigned accepted = 0;
    wring::task_group group{q.queue};
    for (unsigned i = 0; i < n; ++i) {
      accepted += group.run([this, &q, &ran, depth] {
        if (depth > 1) family(q, depth - 1);
        sim::point();
        ++ran;
      })
                      ? 1u
                      : 0u;
    }
    group.wait();
    sim::check(ran == accepted, "wait() returns when all children have run", ran, accepted);
    sim::count("task groups");
  }

  void flush_one() {
    const std::size_t q = sim::choose(queue_kinds);
    queues_[q].calls.look();
    const std::array<unsigned, 2> asked{works_[2 * q].asked_for(), works_[2 * q + 1].asked_for()};
    queues_[q].flush();
    works_[2 * q].check_finished(asked[0]);
    works_[2 * q + 1].check_finished(asked[1]);
  }

  // By one player at a time, who thaws before it does anything else.
  void freeze() {
    if (frozen_) return;
    frozen_ = true;
    sim::check(world_->freeze_begin(), "it was not frozen");
    sim::spend(100 * us);
    if (!world_->freeze_busy()) {
      queues_[two].expect_stillness(true);
      sim::spend(100 * us);
      queues_[two].expect_stillness(false);
      sim::count("frozen, and nothing ran");
    }
    world_->thaw();
    frozen_ = false;
  }

  // Where a queue goes from now on, and which CPUs there are. Those with few slots stay: while a queue moves, what is
  // left in the old pool has slots of its own (WQ-115).
  void move_somewhere() {
    const std::uint32_t q = sim::choose(2) != 0 ? ordered : many;
    const auto scope = sim::choose(2) != 0 ? wring::affinity_scope::cpu : wring::affinity_scope::by_default;
    const int nice = static_cast<int>(sim::choose(2));
    try {
      switch (sim::choose(4)) {
        case 0: return static_cast<void>(world_->replan({0}));
        case 1: return static_cast<void>(world_->replan({0, 1}));
        default: queues_[q].queue.set_attributes({.scope = scope, .nice = nice});
      }
      sim::count("a queue has moved");
    } catch (const std::system_error&) {
      sim::count("no thread for a new pool");
    }
  }

  void operation(unsigned self) {
    switch (sim::choose(32)) {
      case 0:
      case 1: {
        const std::uint32_t q = sim::choose(queue_kinds);
        return queues_[q].submit(self, [this, q] { callback(q); });
      }
      case 2:
      case 3: {
        model_queue& q = any_queue();
        for (int i = 0; i < 12; ++i) q.submit(self, [] {});
        return;
      }
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: return static_cast<void>(any_work().queue());
      case 9: return any_work().cancel();
      case 10: return any_work().cancel_sync();
      case 11: return any_work().flush();
      case 12:
      case 13: return static_cast<void>(any_delayed().queue_delayed(any_delay()));
      case 14: return any_delayed().cancel();
      case 15: return any_delayed().cancel_sync();
      case 16: return any_delayed().flush();
      case 17:
      case 18: return any_modified().modify(any_delay());
      case 19: return any_modified().cancel();
      case 20: return punctual_[self].queue(any_delay());
      case 21: return punctual_[self].cancel();
      case 22: return flush_one();
      case 23: return queues_[sim::choose(2) != 0 ? two : ordered].drain();
      case 24: return family(any_queue(), 2);
      case 25: return ephemeral::start(any_queue(), alive_);
      case 26: return sim::spend(50 * us);
      case 27: return queues_[two].set_max_active(1 + sim::choose(3));
      case 28: return freeze();
      case 30: return move_somewhere();
      case 29: return any_work().disable_during(sim::choose(2) != 0, [] { sim::spend(50 * us); });
      default:
        world_->audit();
        static_cast<void>(world_->stats());
        return;
    }
  }

  world& world_;
  std::deque<model_queue> queues_;
  std::deque<model_item<wring::work>> works_;
  std::deque<model_item<wring::delayed_work>> delayed_;
  std::deque<model_item<wring::delayed_work>> modified_;
  std::deque<punctual> punctual_;
  unsigned alive_ = 0;
  bool closing_ = false;
  bool frozen_ = false;
};

void mix() {
  const unsigned few = 2;  // so that rescuers are needed
  world w{{.cpus = 2,
           .max_workers = sim::choose(4) == 0 ? few : 8,
           .creation_retry = 1ms,
           .mayday_initial = 1ms,
           .mayday_interval = 2ms}};
  playground p{w};
  std::vector<sim::thread> players;
  for (unsigned t = 1; t < threads; ++t) players.emplace_back([&p, t] { p.play(t); });
  p.play(0);
  for (auto& t : players) t.join();
  p.finish();
}

// The mix is worth something only if it meets what is rare.
void expect_events(const sim::report& report) {
  EXPECT_SIM_EVENT(report, "cancel met an item on its way", 0.4);
  EXPECT_SIM_EVENT(report, "cancel_sync while it ran", 0.1);
  EXPECT_SIM_EVENT(report, "item flush waited", 0.5);
  EXPECT_SIM_EVENT(report, "item handed to the worker that runs it", 0.2);
  EXPECT_SIM_EVENT(report, "leader blocked and gave its queue back", 0.1);
  EXPECT_SIM_EVENT(report, "queue of short items", 0.5);
  EXPECT_SIM_EVENT(report, "stall floor raised", 0.002);
  EXPECT_SIM_EVENT(report, "stuck leader relieved", 0.05);
  EXPECT_SIM_EVENT(report, "a worker was seen to wait", 0.2);
  EXPECT_SIM_EVENT(report, "a worker that was seen to wait goes on", 0.001);
  EXPECT_SIM_EVENT(report, "thread creation refused", 0.2);
  EXPECT_SIM_EVENT(report, "a rescuer was of use", 0.01);
  EXPECT_SIM_EVENT(report, "disabled", 0.5);
  EXPECT_SIM_EVENT(report, "a queue has moved", 0.5);
  EXPECT_SIM_EVENT(report, "an item met a pool that its queue had left", 0.05);
  EXPECT_SIM_EVENT(report, "frozen, and nothing ran", 0.3);
  EXPECT_GT(report.steps_in_smallest_seed, threads * operations);
}

// WQ-98, WQ-125, WQ-127, WQ-150..153, WQ-156, WQ-157, WQ-158.
TEST(wq_property, books_balance_under_usual_faults) {
  const auto report =
      sim::explore({.seeds = 3000, .faults = sim::profile::usual, .step_limit = 2'000'000, .cpus = 2}, mix);
  EXPECT_SIM_OK(report);
  expect_events(report);
}

// WQ-98, WQ-125, WQ-127, WQ-150..153, WQ-156, WQ-157, WQ-158.
TEST(wq_property, books_balance_under_hostile_faults) {
  const auto report = sim::explore(
      {.seeds = 1500, .first_seed = 1'000'000, .faults = sim::profile::hostile, .step_limit = 2'000'000, .cpus = 2},
      mix);
  EXPECT_SIM_OK(report);
  expect_events(report);
}

}  // namespace
