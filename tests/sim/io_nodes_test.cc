// SPDX-License-Identifier: Apache-2.0
// io_pool of profile node: its manager, workers that change their kind, the user who is charged; and a random mix of
// everything in both profiles, under every schedule that the seeds find.
#include "support/io_ends.h"
#include "support/sim_test.h"

#include "base/syscall.h"

#include <wring/io_pool.h>

#include <array>
#include <cerrno>
#include <optional>
#include <vector>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::device;
using sim::test::ends;
using sim::test::pass;
using wring::io_call;
using wring::io_pool;
using wring::io_user;

wring::runtime make_runtime(std::chrono::milliseconds floor = 5ms, const char* topology = "node:2 core:1 pu:1") {
  const wring::runtime_options o{
      .cpus = 2, .topology = topology, .stall_floor = floor, .detect = wring::detection::announced};
  const sim::calm nothing_fails;
  return wring::runtime{o};
}

wring::io_pool_options of_nodes(const io_user& user) {
  return {.name = "n", .bounded = 3, .profile = wring::io_profile::node, .user = &user};
}

// Its first workers are not refused.
io_pool make_pool(wring::runtime& rt, const wring::io_pool_options& o) {
  const sim::calm nothing_fails;
  return io_pool{rt, o};
}

// The calling thread goes to any of two nodes.
void wander() {
  const std::array<unsigned, 1> there{sim::choose(2)};
  static_cast<void>(wring::base::syscall::set_affinity(there));  // refused: it stays
}

class io_nodes : public testing::TestWithParam<sim::profile> {};

void kinds_take_turns() {
  wring::runtime rt = make_runtime();
  const io_user user{2};
  constexpr std::size_t each = 5;
  ends all{3 * each};
  {
    io_pool pool = make_pool(rt, of_nodes(user));
    const auto produce = [&](std::size_t from) {
      for (std::size_t i = from; i < from + each; ++i) {
        wander();
        pool.submit(
            {.unbounded = sim::choose(2) == 0, .concurrent = sim::choose(4) == 0}, [&all, i] { all.ran(i); },
            all.done(i));
      }
    };
    sim::thread a{[&] { produce(each); }};
    sim::thread b{[&] { produce(2 * each); }};
    produce(0);
    a.join();
    b.join();
    pool.audit();
    const wring::io_pool_stats s = pool.stats();
    sim::check(s.unbounded.workers <= 4, "at most the limit of each node", s.unbounded.workers);
  }
  all.check_all();
  sim::check(user.charged() == 0, "nobody is charged any more", user.charged());
}

// IOWQ-22, IOWQ-31, IOWQ-32, IOWQ-43, IOWQ-64, IOWQ-120, IOWQ-122: whatever is enqueued, of either kind, has one end,
// and nobody is charged for what is gone.
TEST_P(io_nodes, every_item_has_one_end) {
  const auto r = sim::explore({.seeds = 2000, .faults = GetParam()}, kinds_take_turns);
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "an I/O worker changes its kind", 0.3);
}

// IOWQ-11, IOWQ-94: a pool whose first workers or manager are refused is not made, and nothing is left of it.
TEST_P(io_nodes, a_pool_is_made_with_its_first_workers_or_not_at_all) {
  const auto r = sim::explore({.seeds = 2000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    const io_user user{2};
    for (int i = 0; i < 4; ++i) {
      auto made = io_pool::create(rt, of_nodes(user));
      if (!made.has_value()) {
        sim::count("a pool was refused");
        sim::check(made.error() == std::errc::not_enough_memory, "with ENOMEM", made.error().value());
        continue;
      }
      for (const wring::io_node_stats& n : made->stats().nodes) {
        sim::check(n.bounded.workers == 1, "each node has its first worker", n.bounded.workers);
      }
    }
  });
  EXPECT_SIM_OK(r);
  if (GetParam() == sim::profile::hostile) {
    EXPECT_SIM_EVENT(r, "a pool was refused", 0.05);
  }
}

enum class kinds : std::uint8_t { both, bounded };

// As many workers as there may be on the caller's node, all idle. False: some were refused.
bool warm_up(io_pool& pool, kinds which) {
  device gate;
  int begun = 0;
  int over = 0;
  const int items = which == kinds::both ? 6 : 3;
  for (int i = 0; i < items; ++i) {
    pool.submit(
        {.unbounded = which == kinds::both && i % 2 == 0, .concurrent = true},
        [&](io_call& call) {
          ++begun;
          gate.use(call);
        },
        [&](std::error_code) { ++over; });
  }
  pass(3s);
  gate.ready();
  while (over != items) pass(1ms);
  pass(10ms);  // and idle
  const wring::io_pool_stats s = pool.stats();
  return begun == items && s.bounded.free + s.unbounded.free >= static_cast<unsigned>(items);
}

// Until all are over, and not by the end of the pool, which makes workers itself.
void await(const ends& all, std::chrono::nanoseconds most) {
  const std::uint64_t begin = sim::now_ns();
  while (all.over() != all.size()) {
    sim::check(sim::now_ns() - begin < static_cast<std::uint64_t>(most.count()), "in time", sim::now_ns() - begin);
    pass(1ms);
  }
}

// Items wait in calls for one behind them. Without a floor and a look the manager is the only one that could see to it.
void waits_for_the_last(bool idle_workers_first) {
  wring::runtime rt = make_runtime(0ms);
  const io_user user{3};
  device gate;
  ends all{4};
  io_pool pool = make_pool(rt, of_nodes(user));
  if (idle_workers_first) warm_up(pool, kinds::both);
  for (std::size_t i = 0; i < 3; ++i) {
    wander();
    pool.submit(
        {.unbounded = i == 1},
        [&, i](io_call& call) {
          all.ran(i);
          gate.use(call);
        },
        all.done(i));
  }
  sim::thread other{[&] {
    wander();
    pool.submit(
        {}, [&] { all.ran(3); },
        [&, done = all.done(3)](std::error_code e) mutable {
          done(e);
          gate.ready();
        });
  }};
  other.join();
  await(all, 60s);
}

// IOWQ-40, IOWQ-41, IOWQ-46, IOWQ-122, IOWQ-U2: an item that waits in a call does not hold up what comes behind it, on
// whichever node.
TEST_P(io_nodes, who_blocks_is_replaced) {
  for (const bool idle : {false, true}) {
    EXPECT_SIM_OK(
        sim::explore({.seeds = 1500, .faults = GetParam(), .timers = false}, [idle] { waits_for_the_last(idle); }));
  }
}

// A worker computes. The next item, for which nobody is woken, waits for the one behind it, which is of the other kind,
// and for which somebody is: he takes the first of the two.
void woken_for_the_other_kind() {
  wring::runtime rt = make_runtime(0ms, "node:1 core:2 pu:1");
  const io_user user{3};
  ends all{3};
  device gate;
  sim::gate computed;
  io_pool pool = make_pool(rt, of_nodes(user));
  if (!warm_up(pool, kinds::bounded)) return;
  sim::count("with idle workers");
  bool computes = false;
  pool.submit(
      {},
      [&] {
        all.ran(0);
        computes = true;
        computed.pass();
      },
      all.done(0));
  while (!computes) pass(1ms);
  pool.submit(
      {},
      [&](io_call& call) {
        all.ran(1);
        gate.use(call);
      },
      all.done(1));
  pool.submit(
      {.unbounded = true},
      [&] {
        all.ran(2);
        gate.ready();
        computed.open();
      },
      all.done(2));
  await(all, 900ms);  // before the manager looks
}

// IOWQ-22, IOWQ-46, IOWQ-122: who is woken for an item of the other kind and takes one of its own leaves nobody behind.
TEST_P(io_nodes, who_is_woken_for_the_other_kind_is_replaced) {
  const auto r = sim::explore({.seeds = 1000, .faults = GetParam(), .timers = false}, woken_for_the_other_kind);
  EXPECT_SIM_OK(r);
  if (GetParam() != sim::profile::hostile) {
    EXPECT_SIM_EVENT(r, "with idle workers", 0.1);
  }
}

// IOWQ-34: each of those that ask for it has a worker of its own at once, not one each second.
TEST(io_nodes_concurrent, items_run_side_by_side) {
  EXPECT_SIM_OK(sim::explore({.seeds = 1000, .faults = sim::profile::none, .timers = false}, [] {
    wring::runtime rt = make_runtime(0ms, "node:1 core:2 pu:1");
    const io_user user{3};
    ends all{3};
    sim::gate last;
    std::size_t begun = 0;
    io_pool pool = make_pool(rt, of_nodes(user));
    for (std::size_t i = 0; i < all.size(); ++i) {
      pool.submit(
          {.concurrent = true},
          [&, i] {
            all.ran(i);
            if (++begun == all.size()) last.open();
            last.pass();
          },
          all.done(i));
    }
    await(all, 900ms);
  }));
}

// Two items wait, without a word, for a third one.
void silent_waits(bool idle_workers_first) {
  wring::runtime rt = make_runtime(0ms);
  const io_user user{2};
  sim::gate last;
  ends all{3};
  io_pool pool = make_pool(rt, of_nodes(user));
  if (idle_workers_first) warm_up(pool, kinds::both);
  for (std::size_t i = 0; i < 2; ++i) {
    pool.submit(
        {},
        [&, i] {
          all.ran(i);
          last.pass();
        },
        all.done(i));
  }
  pool.submit(
      {}, [&] { all.ran(2); },
      [&, done = all.done(2)](std::error_code e) mutable {
        done(e);
        last.open();
      });
  await(all, 60s);
}

// IOWQ-40: once a second the manager wakes or makes a worker for what waits, though somebody seems to run.
TEST_P(io_nodes, the_manager_looks_once_a_second) {
  for (const bool idle : {false, true}) {
    const auto r = sim::explore({.seeds = 500, .faults = GetParam(), .timers = false}, [idle] { silent_waits(idle); });
    EXPECT_SIM_OK(r);
    EXPECT_SIM_EVENT(r, "the manager has looked by itself", 0.3);
  }
}

void everybody_is_idle() {
  wring::runtime rt = make_runtime();
  const io_user user{3};
  device gate;
  io_pool pool = make_pool(rt, of_nodes(user));
  for (int i = 0; i < 6; ++i) pool.submit({.unbounded = i % 2 == 0}, [&](io_call& call) { gate.use(call); });
  for (int i = 0; i < 40; ++i) sim::point();
  gate.ready();
  pass(60s);
  const wring::io_pool_stats s = pool.stats();
  for (const wring::io_node_stats& n : s.nodes) {
    const unsigned workers = n.bounded.workers + n.unbounded.workers;
    sim::check(workers == 1, "one is left", workers);
  }
  sim::check(user.charged() == s.unbounded.workers, "the user is charged for who is left", user.charged());
}

// IOWQ-44, IOWQ-47, IOWQ-125: of many workers one of each node is left after the idle time, for good.
TEST_P(io_nodes, the_fixed_workers_stay_and_nobody_else) {
  EXPECT_SIM_OK(sim::explore({.seeds = 500, .faults = GetParam(), .timers = false}, everybody_is_idle));
}

// Three threads do anything to two pools of a domain, one of each profile.
void anything_goes() {
  wring::runtime rt = make_runtime();
  const io_user user{2};
  const wring::hash_domain domain{rt};
  constexpr std::size_t each = 8;
  ends all{3 * each};
  std::array<int, 2> keys{};
  std::array<int, 2> inside{};
  std::array<std::size_t, 24> last{};  // of each thread, pool, kind and key
  device calls;
  {
    wring::io_pool_options o = of_nodes(user);
    o.domain = &domain;
    io_pool nodes = make_pool(rt, o);
    io_pool task{rt, {.name = "t", .bounded = 2, .domain = &domain}};
    const auto one_item = [&](std::size_t id) {
      const bool in_nodes = sim::choose(2) == 0;
      io_pool& pool = in_nodes ? nodes : task;
      const std::size_t key = sim::choose(3);
      const bool blocks = sim::choose(3) == 0;
      const bool unbounded = sim::choose(2) == 0;
      std::size_t* const before =
          key == 2 ? nullptr : &last.at(id / each * 8 + key * 4 + (unbounded ? 2U : 0U) + (in_nodes ? 1U : 0U));
      pool.submit(
          {.unbounded = unbounded,
           .concurrent = sim::choose(4) == 0,
           .key = key == 2 ? nullptr : &keys.at(key),
           .tag = &keys.at(key % 2)},
          [&, key, id, blocks, before](io_call& call) {
            if (key != 2) sim::check(++inside.at(key) == 1, "nobody else is inside", key);
            all.ran(id);
            if (before != nullptr) {
              sim::check(*before <= id, "in the order of enqueueing", *before, id);
              *before = id;
            }
            sim::point();
            if (blocks) calls.use(call);
            if (key != 2) --inside.at(key);
          },
          all.done(id));
    };
    const auto act = [&](std::size_t who) {
      for (std::size_t i = 0; i < each; ++i) {
        wander();
        one_item(who * each + i);
        io_pool& pool = sim::choose(2) == 0 ? nodes : task;
        switch (sim::choose(10)) {
          case 0: pool.cancel_tagged(&keys.at(sim::choose(2))); break;
          case 1: pool.cancel_all(); break;
          case 2: pool.max_workers({.bounded = 1 + sim::choose(3), .unbounded = 1 + sim::choose(3)}); break;
          case 3: pool.exit_on_idle(true); break;
          case 4: pool.exit_start(); break;
          case 5:
            if (sim::choose(4) == 0) pool.cancel_for_good();
            break;
          case 6: calls.ready(); break;
          default: break;
        }
      }
    };
    sim::thread a{[&] { act(1); }};
    sim::thread b{[&] { act(2); }};
    act(0);
    a.join();
    b.join();
    calls.ready();
    nodes.audit();
    task.audit();
  }
  all.check_all();
  sim::check(domain.busy() == 0, "no bucket stays busy", domain.busy());
  sim::check(user.charged() == 0, "nobody is charged any more", user.charged());
}

// IOWQ-6, IOWQ-50..52, IOWQ-55, IOWQ-61, IOWQ-64, IOWQ-80, IOWQ-84, IOWQ-100, IOWQ-120, IOWQ-121, IOWQ-124: each item
// has one end, items of a key never meet and keep their order, no bucket stays busy and nobody charged.
TEST_P(io_nodes, a_random_mix_leaves_nothing_behind) {
  EXPECT_SIM_OK(sim::explore({.seeds = 3000, .faults = GetParam()}, anything_goes));
}

// Method: faults planted into what this page is about.
TEST(io_nodes_planted, faults_are_found_out) {
  struct {
    const char* plant;
    void (*body)();
  } const faults[] = {{"kind_without_charge", kinds_take_turns},
                      {"manager_not_told_of_what_waits", [] { silent_waits(false); }},
                      {"look_wakes_nobody_idle", [] { silent_waits(true); }},
                      {"woken_in_its_own_kind", woken_for_the_other_kind},
                      {"manager_makes_nobody", [] { waits_for_the_last(false); }},
                      {"node_of_the_caller_for_a_key", anything_goes},
                      {"nobody_is_fixed", everybody_is_idle}};
  for (const auto& f : faults) {
    EXPECT_SIM_FINDS(sim::explore({.seeds = 2000, .plants = {f.plant}, .timers = false, .explain = false}, f.body), "")
        << f.plant;
  }
}

INSTANTIATE_TEST_SUITE_P(profiles, io_nodes, sim::test::all_profiles, sim::test::name_of);

}  // namespace
