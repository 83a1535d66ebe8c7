// SPDX-License-Identifier: Apache-2.0
// simulator: what its users rely on. A simulator that finds nothing would pass every other test.
#include "base/clock.h"
#include "base/cpus.h"
#include "base/sync.h"
#include "base/syscall.h"
#include "base/thread_watch.h"
#include "base/topology.h"
#include "support/sim_test.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace sim = wring::sim;
using wring::base::atomic;
using wring::base::checked;
using wring::base::cpu_relax;
using wring::base::futex_wait;
using wring::base::futex_wake;
using wring::base::instant;
using wring::base::order;

// Sets a variable of the environment for one scope.
class with_environment {
 public:
  with_environment(const char* name, const std::string& value) : name_{name} { ::setenv(name, value.c_str(), 1); }
  ~with_environment() { ::unsetenv(name_); }
  with_environment(const with_environment&) = delete;
  with_environment& operator=(const with_environment&) = delete;

 private:
  const char* name_;
};

// One item handed to a consumer that parks when there is none. Two faults can be planted.
void hand_over_one_item() {
  struct {
    atomic<std::uint32_t> item;
    atomic<std::uint32_t> parked;
    atomic<std::uint32_t> token;
  } s;
  sim::name(&s.item, "item");
  sim::name(&s.parked, "parked");
  sim::name(&s.token, "token");
  sim::thread consumer{[&] {
    while (s.item.load(order::acquire) == 0) {
      s.parked.store(1, order::seq_cst);
      if (!WRING_PLANT(no_recheck) && s.item.load(order::seq_cst) != 0) break;
      wring::base::sometimes("the consumer parks");
      while (s.token.load(order::acquire) == 0) futex_wait(s.token, 0);
      s.token.store(0, order::relaxed);
    }
  }};
  sim::thread producer{[&] {
    s.item.store(1, WRING_PLANT(publish_relaxed) ? order::relaxed : order::seq_cst);
    if (s.parked.load(order::seq_cst) != 0) {
      s.token.store(1, order::release);
      futex_wake(s.token, 1);
    }
  }};
  consumer.join();
  producer.join();
}

sim::report hand_over_with(std::vector<std::string> plants) {
  return sim::explore({.seeds = 20'000, .plants = std::move(plants)}, hand_over_one_item);
}

TEST(simulator, a_correct_wait_never_gets_stuck_and_all_its_states_are_reached) {
  const auto r = hand_over_with({});
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "the consumer parks", 0.1);
  EXPECT_GT(r.stale_loads, 1000U);
  EXPECT_GT(r.spurious_wakes, 10U);
}

TEST(simulator, a_skipped_recheck_is_found) { EXPECT_SIM_FINDS(hand_over_with({"no_recheck"}), "stuck"); }

TEST(simulator, a_missing_order_is_found) { EXPECT_SIM_FINDS(hand_over_with({"publish_relaxed"}), "stuck"); }

TEST(simulator, a_plant_that_no_code_asks_for_is_an_error) {
  EXPECT_SIM_FINDS(hand_over_with({"no_such_plant"}), "no code ever asked");
}

TEST(simulator, a_failure_is_shrunk_to_the_decisions_it_needs_and_replays_from_them) {
  const auto r = hand_over_with({"publish_relaxed"});
  ASSERT_TRUE(r.failed);
  const auto equals = [](const std::string& text) { return std::count(text.begin(), text.end(), '='); };
  EXPECT_LE(equals(r.schedule), 3) << r.schedule;
  EXPECT_NE(r.failure.find("WRING_SIM_AT='" + r.schedule), std::string::npos);
  EXPECT_NE(r.failure.find("STALE-1"), std::string::npos) << r.failure;
  EXPECT_NE(r.failure.find("futex_wait(token)"), std::string::npos) << r.failure;
  const with_environment at{"WRING_SIM_AT", r.schedule};
  const auto again = hand_over_with({"publish_relaxed"});
  EXPECT_SIM_FINDS(again, "stuck");
  EXPECT_EQ(again.schedule, r.schedule);
}

TEST(simulator, a_seed_alone_replays) {
  const auto r = hand_over_with({"no_recheck"});
  ASSERT_TRUE(r.failed);
  const with_environment seed{"WRING_SIM_SEED", std::to_string(r.failing_seed)};
  const auto again = hand_over_with({"no_recheck"});
  EXPECT_SIM_FINDS(again, "stuck");
  EXPECT_EQ(again.seeds, 0U);
}

TEST(simulator, the_same_seeds_take_the_same_course_whatever_the_heap_looks_like) {
  const auto body = [] {
    std::vector<std::unique_ptr<atomic<int>>> words;
    for (int i = 0; i < 8; ++i) words.push_back(std::make_unique<atomic<int>>(i));
    sim::thread other{[&] {
      for (auto& w : words) w->fetch_add(1, order::acq_rel);
      auto fresh = std::make_unique<atomic<int>>(7);
      fresh->store(8, order::relaxed);
    }};
    for (auto& w : words) w->load(order::relaxed);
    other.join();
  };
  const auto first = sim::explore({.seeds = 500}, body);
  std::vector<std::unique_ptr<std::array<char, 24>>> litter;
  for (int i = 0; i < 1000; ++i) litter.push_back(std::make_unique<std::array<char, 24>>());
  for (std::size_t i = 0; i < litter.size(); i += 2) litter[i].reset();
  const auto second = sim::explore({.seeds = 500}, body);
  EXPECT_SIM_OK(first);
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_EQ(first.steps, second.steps);
}

TEST(simulator, a_body_that_keeps_state_between_seeds_is_called_not_deterministic) {
  int runs = 0;
  const auto r = sim::explore({.seeds = 200}, [&] {
    atomic<int> word;
    if (++runs % 3 == 0) word.store(1, order::relaxed);
    sim::thread t{[&] { word.load(order::relaxed); }};
    t.join();
  });
  EXPECT_SIM_FINDS(r, "not deterministic");
}

TEST(simulator, exceptions_of_two_threads_do_not_mix) {
  EXPECT_SIM_OK(sim::explore({.seeds = 300}, [] {
    const auto rethrow = [](int mine) {
      atomic<int> word;
      try {
        try {
          throw mine;
        } catch (int) {
          word.store(1, order::relaxed);
          word.load(order::relaxed);
          throw;
        }
      } catch (int caught) {
        sim::check(caught == mine, "its own exception", caught, mine);
      }
    };
    sim::thread a{[&] { rethrow(1); }};
    sim::thread b{[&] { rethrow(2); }};
    rethrow(3);
    a.join();
    b.join();
  }));
}

TEST(simulator, a_wait_with_a_deadline_ends_in_every_way_it_can) {
  const auto r = sim::explore({.seeds = 5000}, [] {
    atomic<std::uint32_t> word;
    sim::thread waiter{[&] {
      switch (futex_wait(word, 0, wring::base::clock::now() + std::chrono::microseconds{1})) {
        case 0: sim::count("woken"); break;
        case -EAGAIN: sim::count("EAGAIN"); break;
        case -EINTR: sim::count("EINTR"); break;
        case -ETIMEDOUT: sim::count("ETIMEDOUT"); break;
        default: sim::check(false, "no other result");
      }
    }};
    word.store(1, order::relaxed);
    futex_wake(word, 1);
    waiter.join();
  });
  EXPECT_SIM_OK(r);
  for (const char* way : {"woken", "EAGAIN", "EINTR", "ETIMEDOUT"}) EXPECT_SIM_EVENT(r, way, 0.001);
}

TEST(simulator, time_jumps_when_nobody_can_go_on) {
  EXPECT_SIM_OK(sim::explore({.seeds = 100}, [] {
    atomic<std::uint32_t> word;
    const instant start = wring::base::clock::now();
    int result = 0;
    do result = futex_wait(word, 0, start + std::chrono::hours{24});
    while (result == 0 || result == -EINTR);
    sim::check(result == -ETIMEDOUT, "timed out", result);
    sim::check(wring::base::clock::now() - start >= std::chrono::hours{24}, "a day later");
  }));
}

TEST(simulator, a_stalled_thread_holds_up_nobody) {
  const auto r = sim::explore({.seeds = 200}, [] {
    sim::gate closed;
    atomic<int> done;
    sim::thread stalls{[&] {
      sim::stall(1'000'000);
      done.fetch_add(1, order::relaxed);
    }};
    sim::thread waits{[&] {
      closed.pass();
      done.fetch_add(1, order::relaxed);
    }};
    const std::uint64_t before = sim::now_ns();
    sim::spend(1000);
    sim::check(sim::now_ns() - before >= 1000, "time was spent");
    closed.open();
    waits.join();
    stalls.join();
    sim::check(done.load(order::relaxed) == 2, "both went on");
  });
  EXPECT_SIM_OK(r);
  EXPECT_GE(r.unannounced_blocks, 200U);
}

// Method: each thread says where it is about to wait; whoever is not seen to wait yet gets time to.
TEST(simulator, a_thread_is_seen_to_wait_wherever_it_waits) {
  using wring::base::look_at_stat;
  using wring::base::thread_sight;
  EXPECT_SIM_OK(sim::explore({.seeds = 300}, [] {
    struct {
      atomic<std::uint32_t> word;
      atomic<std::uint32_t> ids[4];
    } s;
    sim::gate closed;
    const auto say_who = [&s](int i) { s.ids[i].store(wring::base::thread_id(), order::release); };
    sim::thread in_futex{[&] {
      say_who(0);
      while (s.word.load(order::acquire) == 0) futex_wait(s.word, 0);
    }};
    sim::thread at_gate{[&] {
      say_who(1);
      closed.pass();
    }};
    sim::thread joins{[&] {
      say_who(2);
      at_gate.join();
    }};
    sim::thread runs{[&] {
      say_who(3);
      while (s.word.load(order::acquire) == 0) cpu_relax();
    }};
    const auto id = [&s](int i) {
      for (;;) {
        if (const std::uint32_t known = s.ids[i].load(order::acquire); known != 0) return known;
        cpu_relax();
      }
    };
    for (const int i : {0, 1, 2}) {
      wring::base::switch_ring ring;
      sim::check(ring.open(id(i)) == 0, "a ring is opened");
      while (ring.look() != thread_sight::waiting) cpu_relax();
      while (look_at_stat(id(i)) != thread_sight::waiting) cpu_relax();
    }
    sim::check(look_at_stat(id(3)) == thread_sight::running, "who can go on runs");
    const std::uint32_t gone = id(3);
    s.word.store(1, order::release);
    futex_wake(s.word, 1);
    closed.open();
    in_futex.join();
    joins.join();
    while (look_at_stat(gone) != thread_sight::unknown) cpu_relax();  // it ends before it is joined
    runs.join();
    sim::check(look_at_stat(gone) == thread_sight::unknown, "nothing is known of who has ended");
    sim::check(wring::base::cpu_time_of(gone) == -ESRCH, "nor its CPU time");
    wring::base::switch_ring ring;
    sim::check(ring.open(gone) == -ESRCH && !ring.is_open(), "nor its switches");
  }));
}

TEST(simulator, a_cpu_clock_counts_what_its_thread_does_and_spends) {
  EXPECT_SIM_OK(sim::explore({.seeds = 200}, [] {
    using wring::base::cpu_time_of;
    atomic<std::uint32_t> id;
    atomic<bool> done;
    sim::thread other{[&] {
      sim::check(cpu_time_of(wring::base::thread_id()) < 1'000, "a new thread has used next to nothing");
      id.store(wring::base::thread_id(), order::release);
      sim::spend(5'000);
      sim::stall(1'000'000);
      done.store(true, order::release);
    }};
    const std::uint32_t own = wring::base::thread_id();
    const std::int64_t before = cpu_time_of(own);
    sim::spend(2'000);
    sim::check(cpu_time_of(own) - before >= 2'000, "what is spent is counted");
    while (!done.load(order::acquire)) cpu_relax();
    const std::int64_t used = cpu_time_of(id.load(order::acquire));
    sim::check(used == -ESRCH || (used >= 5'000 && used < 10'000), "what others spend, and waiting, is not", used);
    other.join();
  }));
}

// What is known of a thread may be outdated when it is looked at, as on the machine. Method: loads are never stale, and
// nothing but the look lies behind the load.
TEST(simulator, time_passes_before_a_look_at_a_thread) {
  const auto r = sim::explore({.seeds = 300, .weak_memory = false}, [] {
    atomic<std::uint32_t> id;
    atomic<bool> begins;
    sim::gate opened;
    sim::thread waits{[&] {
      id.store(wring::base::thread_id(), order::release);
      begins.store(true, order::release);
      opened.pass();
    }};
    while (id.load(order::acquire) == 0) cpu_relax();
    const std::uint32_t known = id.load(order::acquire);
    const bool had_begun = begins.load(order::acquire);
    const auto seen = wring::base::look_at_stat(known);
    if (!had_begun && seen == wring::base::thread_sight::waiting) sim::count("waits for what comes later");
    opened.open();
    waits.join();
  });
  EXPECT_SIM_OK(r);
  EXPECT_GT(r.event("waits for what comes later").times, 0U);
}

// With whatever schedule, and also if there is no thread for the probe.
TEST(simulator, what_can_be_seen_of_threads_is_found_by_looking) {
  for (const auto p : {sim::profile::usual, sim::profile::hostile, sim::profile::creation_never_works}) {
    EXPECT_SIM_OK(sim::explore({.seeds = 300, .faults = p}, [] {
      const auto found = wring::base::probe_by_looking({});
      sim::check(found.rings, "rings tell the truth", found.rings_why);
      sim::check(found.stat, "states tell the truth", found.stat_why);
      sim::check(found.cpu_clock, "CPU clocks tell the truth", found.cpu_clock_why);
    }));
  }
  EXPECT_SIM_OK(sim::explore({.seeds = 300, .threads_are_seen = false}, [] {
    const auto found = wring::base::probe_by_looking({});
    sim::check(!found.rings && !found.rings_why.empty(), "there are no rings");
    sim::check(!found.stat && !found.stat_why.empty(), "there are no states");
    sim::check(!wring::base::probe_thread_watch().stat, "as the options say");
  }));
}

void nothing(void*) {}

TEST(simulator, thread_creation_fails_as_often_as_the_profile_says) {
  const auto body = [] {
    for (int i = 0; i < 10; ++i) {
      wring::base::thread t;
      if (wring::base::thread_create(t, {}, nothing, nullptr) == 0) wring::base::thread_join(t);
    }
  };
  const auto refused = [&](sim::profile p) {
    return sim::explore({.seeds = 400, .faults = p}, body).creations_refused;
  };
  EXPECT_EQ(refused(sim::profile::none), 0U);
  EXPECT_GT(refused(sim::profile::usual), 150U);
  EXPECT_GT(refused(sim::profile::hostile), 800U);
  EXPECT_EQ(refused(sim::profile::creation_never_works), 4000U);
}

TEST(simulator, changes_of_cpus_and_nice_values_are_refused_as_often_as_the_profile_says) {
  const auto refused = [](sim::profile p) {
    return sim::explore({.seeds = 400, .faults = p}, [] {
      for (int i = 0; i < 10; ++i) {
        if (wring::base::syscall::set_affinity(std::array{0U}) != 0) sim::count("affinity");
        if (wring::base::syscall::set_nice(5) != 0) sim::count("nice");
      }
    });
  };
  for (const char* const call : {"affinity", "nice"}) {
    EXPECT_EQ(refused(sim::profile::none).event(call).times, 0U) << call;
    EXPECT_GT(refused(sim::profile::usual).event(call).times, 150U) << call;
    EXPECT_GT(refused(sim::profile::hostile).event(call).times, 800U) << call;
  }
}

// Method: the plan and the topology of a run depend on its options alone, not on files, mask and CPUs of the machine.
TEST(simulator, a_run_sees_nothing_of_the_machine) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1, .faults = sim::profile::none, .cpus = 7}, [] {
    const wring::base::cpu_plan plan = wring::base::plan_cpus(nullptr);
    sim::check(plan.count == 7 && plan.by == wring::base::cpu_plan::bound::affinity, "the options count", plan.why);
    const wring::base::topology t = wring::base::topology::of_machine();
    sim::check(t.cpus().size() == 7 && t.possible() == 7 && t.nodes().size() == 1, "so many CPUs, in one node");
    for (unsigned id = 0; id < 7; ++id) {
      sim::check(t.cpus()[id] == wring::base::topology::cpu{id, id, 0, 0}, "each CPU is a core below one cache", id);
    }
    std::string text;
    sim::check(wring::base::syscall::read_file("/proc/self/cgroup", 1000, text) == -ENOENT, "there are no files");
  }));
}

TEST(simulator, thirty_two_threads_may_live_at_once_and_hundreds_in_a_row) {
  EXPECT_SIM_OK(sim::explore({.seeds = 20, .faults = sim::profile::none}, [] {
    atomic<int> sum;
    std::vector<std::unique_ptr<wring::base::thread>> all;
    const auto add = [](void* word) { static_cast<atomic<int>*>(word)->fetch_add(1, order::relaxed); };
    for (int i = 0; i < 32; ++i) {
      auto t = std::make_unique<wring::base::thread>();
      const int result = wring::base::thread_create(*t, {}, add, &sum);
      sim::check(result == (i < 31 ? 0 : -EAGAIN), "the test's own thread is one of 32", i, result);
      if (result == 0) all.push_back(std::move(t));
    }
    for (auto& t : all) wring::base::thread_join(*t);
    for (int i = 0; i < 300; ++i) {
      wring::base::thread t;
      sim::check(wring::base::thread_create(t, {}, add, &sum) == 0, "a slot is free again");
      wring::base::thread_join(t);
    }
    sim::check(sum.load(order::relaxed) == 331, "all ran", sum.load(order::relaxed));
  }));
}

TEST(simulator, a_try_to_join_succeeds_once_the_thread_has_ended_and_hands_over_what_it_wrote) {
  const auto r = sim::explore({.seeds = 200, .faults = sim::profile::none}, [] {
    checked<int> written;
    wring::base::thread t;
    sim::check(wring::base::thread_try_join(t), "there is no thread");
    const auto write = [](void* to) { static_cast<checked<int>*>(to)->set(1); };
    sim::check(wring::base::thread_create(t, {}, write, &written) == 0, "created");
    while (!wring::base::thread_try_join(t)) wring::base::cpu_relax();
    sim::check(!t.joinable() && written.get() == 1, "joined");
  });
  EXPECT_SIM_OK(r);
}

TEST(simulator, nothing_fails_while_it_is_calm) {
  const auto r = sim::explore({.seeds = 200, .faults = sim::profile::creation_never_works}, [] {
    wring::base::thread first;
    wring::base::thread second;
    {
      const sim::calm now;
      sim::check(wring::base::thread_create(first, {}, nothing, nullptr) == 0, "created");
    }
    sim::check(wring::base::thread_create(second, {}, nothing, nullptr) == -EAGAIN, "refused");
    wring::base::thread_join(first);
  });
  EXPECT_SIM_OK(r);
}

TEST(simulator, a_thread_slot_is_the_threads_own_and_starts_empty) {
  EXPECT_SIM_OK(sim::explore({.seeds = 100}, [] {
    using slot = wring::base::thread_slot<struct tag, int>;
    const auto use = [](int v) {
      atomic<int> word;
      sim::check(slot::get() == nullptr, "empty at first");
      slot::get() = &v;
      word.store(1, order::relaxed);
      sim::check(slot::get() == &v, "still mine");
    };
    sim::thread a{[&] { use(1); }};
    sim::thread b{[&] { use(2); }};
    use(3);
    a.join();
    b.join();
  }));
}

TEST(simulator, a_spin_that_relaxes_ends_under_every_strategy) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .step_limit = 20'000}, [] {
    atomic<int> turn;
    const auto take_turns = [&](int me) {
      for (int round = 0; round < 5; ++round) {
        while (turn.load(order::acquire) != me) cpu_relax();
        turn.store((me + 1) % 3, order::release);
      }
    };
    sim::thread a{[&] { take_turns(1); }};
    sim::thread b{[&] { take_turns(2); }};
    take_turns(0);
    a.join();
    b.join();
  }));
}

// A look, politely repeated, before the consumer says that it parks: a skipped recheck shows only if the spin
// ends without the producer having moved.
void hand_over_behind_a_spin() {
  atomic<std::uint32_t> item;
  atomic<std::uint32_t> parked;
  sim::thread consumer{[&] {
    for (int look = 0; look < 32; ++look) {
      if (item.load(order::acquire) != 0) return;
      cpu_relax();
    }
    parked.store(1, order::seq_cst);
    if (!WRING_PLANT(no_recheck) && item.load(order::seq_cst) != 0) return;
    while (parked.load(order::acquire) == 1) futex_wait(parked, 1);
  }};
  item.store(1, order::seq_cst);
  if (parked.exchange(2, order::seq_cst) == 1) futex_wake(parked, 1);
  consumer.join();
}

// The search needs three: to the consumer, its spin, and back to the producer.
TEST(simulator, what_lies_behind_the_last_look_of_a_bounded_spin_is_reached) {
  const auto random = [](std::vector<std::string> plants) {
    return sim::explore({.seeds = 5000, .plants = std::move(plants)}, hand_over_behind_a_spin);
  };
  const auto search = [](std::vector<std::string> plants) {
    return sim::exhaust({.preemptions = 3, .with{.faults = sim::profile::none, .plants = std::move(plants)}},
                        hand_over_behind_a_spin);
  };
  EXPECT_SIM_OK(random({}));
  EXPECT_SIM_FINDS(random({"no_recheck"}), "stuck");
  const auto all = search({});
  EXPECT_SIM_OK(all);
  EXPECT_TRUE(all.complete);
  EXPECT_SIM_FINDS(search({"no_recheck"}), "stuck");
}

TEST(simulator, a_spin_for_ever_is_a_livelock) {
  const auto r = sim::explore({.seeds = 1, .step_limit = 5000, .explain = false}, [] {
    atomic<int> word;
    while (word.load(order::relaxed) == 0) cpu_relax();
  });
  EXPECT_SIM_FINDS(r, "no end after 5000 steps");
}

TEST(simulator, a_deadlock_is_reported_with_the_owners) {
  const auto r = sim::explore({.seeds = 1000}, [] {
    wring::base::sim_lock a;
    wring::base::sim_lock b;
    sim::name(&b, "b");
    sim::thread other{[&] {
      b.lock();
      a.lock();
      a.unlock();
      b.unlock();
    }};
    a.lock();
    b.lock();
    b.unlock();
    a.unlock();
    other.join();
  });
  EXPECT_SIM_FINDS(r, "stuck");
  EXPECT_NE(r.failure.find("waits for a lock(b) held by T2"), std::string::npos) << r.failure;
}

TEST(simulator, misuse_of_a_lock_is_reported) {
  const auto twice = sim::explore({.seeds = 1}, [] {
    wring::base::sim_lock a;
    a.lock();
    a.lock();
  });
  EXPECT_SIM_FINDS(twice, "holds already");
  const auto foreign = sim::explore({.seeds = 1}, [] {
    wring::base::sim_lock a;
    a.unlock();
  });
  EXPECT_SIM_FINDS(foreign, "does not hold");
}

TEST(simulator, a_thread_left_behind_is_reported) {
  const auto r = sim::explore({.seeds = 1, .faults = sim::profile::none}, [] {
    static wring::base::thread left;  // outlives the body on purpose
    wring::base::thread_create(left, {.name = "stray"}, nothing, nullptr);
  });
  EXPECT_SIM_FINDS(r, "stray");
}

TEST(simulator, an_escaped_exception_and_an_abort_are_failures_of_the_seed) {
  EXPECT_SIM_FINDS(sim::explore({.seeds = 1}, [] { throw std::runtime_error{"oh"}; }),
                   "an exception left a thread: oh");
  EXPECT_SIM_FINDS(sim::explore({.seeds = 1},
                                [] {
                                  sim::thread t{[] { std::abort(); }};
                                  t.join();
                                }),
                   "aborted");
}

TEST(simulator, a_failed_check_says_what_and_with_which_values) {
  EXPECT_SIM_FINDS(sim::explore({.seeds = 1}, [] { sim::check(false, "two is three", 2, 3); }),
                   "not so: two is three: 2 3 (simulator_test.cc:");
}

TEST(simulator, weakening_an_order_that_is_needed_is_noticed) {
  int line = 0;
  const auto body = [&] {
    atomic<int> flag;
    checked<int> data;
    sim::thread producer{[&] {
      data.set(1);
      flag.store(1, order::release), line = __LINE__;
    }};
    if (flag.load(order::acquire) == 1) sim::check(data.get() == 1, "there");
    producer.join();
  };
  EXPECT_SIM_OK(sim::explore({.seeds = 500}, body));
  EXPECT_SIM_FINDS(sim::explore({.seeds = 500, .weaken = "simulator_test.cc:" + std::to_string(line)}, body), "race");
}

// --- exhaustive search --------------------------------------------------------------------------------------

sim::report all_schedules(std::uint32_t preemptions, std::uint32_t stale_loads, std::vector<std::string> plants) {
  return sim::exhaust({.preemptions = preemptions,
                       .stale_loads = stale_loads,
                       .with{.faults = sim::profile::none, .plants = std::move(plants)}},
                      hand_over_one_item);
}

TEST(simulator, the_search_visits_every_schedule_within_its_bounds_and_says_so) {
  const auto one = all_schedules(1, 0, {});
  const auto two = all_schedules(2, 1, {});
  EXPECT_SIM_OK(one);
  EXPECT_SIM_OK(two);
  EXPECT_TRUE(one.complete);
  EXPECT_TRUE(two.complete);
  EXPECT_GT(one.seeds, 10U);
  EXPECT_GT(two.seeds, 10 * one.seeds);
}

TEST(simulator, the_search_finds_what_needs_one_preemption_and_what_needs_one_stale_load) {
  EXPECT_SIM_FINDS(all_schedules(1, 0, {"no_recheck"}), "stuck");
  const auto in_order = all_schedules(2, 0, {"publish_relaxed"});
  EXPECT_TRUE(in_order.complete);
  EXPECT_SIM_OK(in_order);
  EXPECT_SIM_FINDS(all_schedules(2, 1, {"publish_relaxed"}), "stuck");
}

// The test stores and joins, the other stores and ends. Where the two alternate, by hand: one order without a
// preemption, two more with one, two more with two, one more with three.
TEST(simulator, the_search_counts_schedules_exactly) {
  const auto schedules = [](std::uint32_t preemptions) {
    const auto r = sim::exhaust({.preemptions = preemptions}, [] {
      atomic<int> word;
      sim::thread t{[&] { word.store(1, order::relaxed); }};
      word.store(2, order::relaxed);
      t.join();
    });
    EXPECT_SIM_OK(r);
    EXPECT_TRUE(r.complete);
    return r.seeds;
  };
  EXPECT_EQ(schedules(0), 1U);
  EXPECT_EQ(schedules(1), 3U);
  EXPECT_EQ(schedules(2), 5U);
  EXPECT_EQ(schedules(3), 6U);
  EXPECT_EQ(schedules(9), 6U);
}

}  // namespace
