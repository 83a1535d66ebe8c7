// SPDX-License-Identifier: Apache-2.0
// io_pool: items, buckets, blocking, cancelling and the end, under every schedule that the seeds find.
#include "support/io_ends.h"
#include "support/sim_test.h"

#include <wring/blocking.h>
#include <wring/io_pool.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

namespace {

namespace sim = wring::sim;
using namespace std::chrono_literals;
using sim::test::device;
using sim::test::ends;
using sim::test::pass;
using wring::io_call;
using wring::io_cancel;
using wring::io_pool;

wring::runtime make_runtime(wring::detection detect = wring::detection::announced,
                            std::chrono::milliseconds creation_retry = 1s) {
  wring::runtime_options o{
      .cpus = 2, .creation_retry = creation_retry, .stall_floor = std::chrono::milliseconds{5}, .detect = detect};
  const sim::calm nothing_fails;
  return wring::runtime{o};
}

class io_pools : public testing::TestWithParam<sim::profile> {};

// IOWQ-31, IOWQ-33, IOWQ-43, IOWQ-64, IOWQ-120, IOWQ-122: whatever is enqueued has one end, also where threads are
// refused. An item that nobody comes by for would leave the end of the pool waiting.
TEST_P(io_pools, every_item_has_one_end) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    constexpr std::size_t each = 4;
    ends all{3 * each};
    {
      io_pool pool{rt, {.name = "p"}};
      const auto produce = [&](std::size_t from) {
        for (std::size_t i = from; i < from + each; ++i) {
          pool.submit(
              {.unbounded = i % 2 == 0}, [&all, i] { all.ran(i); }, all.done(i));
        }
      };
      sim::thread a{[&] { produce(each); }};
      sim::thread b{[&] { produce(2 * each); }};
      produce(0);
      a.join();
      b.join();
      pool.audit();
    }
    all.check_all();
  }));
}

// IOWQ-41, IOWQ-45, IOWQ-46, IOWQ-122, IOWQ-U2: an item that waits in a call does not hold up what comes behind it,
// whoever enqueues that, and when. The owner makes nobody while it waits for the end.
TEST_P(io_pools, who_blocks_is_replaced) {
  const auto r = sim::explore({.seeds = 3000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    device gate;
    ends all{3};
    {
      io_pool pool{rt, {.name = "p"}};
      for (std::size_t i = 0; i < 2; ++i) {
        pool.submit(
            {},
            [&, i](io_call& call) {
              all.ran(i);
              gate.use(call);
            },
            all.done(i));
      }
      sim::thread other{[&] {
        pool.submit(
            {},
            [&] {
              all.ran(2);
              gate.ready();
            },
            all.done(2));
      }};
      other.join();
      if (GetParam() != sim::profile::none && !all.has_run(2)) gate.ready();  // refused threads may have failed it
    }
    all.check_all();
  });
  EXPECT_SIM_OK(r);
}

// IOWQ-6, IOWQ-50..52, IOWQ-55, IOWQ-64, IOWQ-120, IOWQ-121: items of a key, from three threads into two pools, never
// meet, keep their order, have one end, and leave no bucket busy. A release that is lost would leave the end of a pool
// waiting.
TEST_P(io_pools, items_of_a_key_run_one_after_another) {
  const auto r = sim::explore({.seeds = 3000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    const wring::hash_domain domain{rt};
    constexpr std::size_t each = 5;
    ends all{3 * each};
    std::array<int, 2> keys{};
    std::array<int, 2> inside{};
    std::array<std::size_t, 6> last{};
    {
      io_pool one{rt, {.name = "one", .domain = &domain}};
      io_pool two{rt, {.name = "two", .domain = &domain}};
      const auto produce = [&](std::size_t who, io_pool& pool) {
        for (std::size_t i = 0; i < each; ++i) {
          const std::size_t id = who * each + i;
          const std::size_t key = i % 2;
          const auto work = [&, id, key, who, i] {
            sim::check(++inside.at(key) == 1, "nobody else is inside", key);
            sim::point();
            all.ran(id);
            sim::check(last.at(2 * who + key) <= i, "in the order of enqueueing", who, i);
            last.at(2 * who + key) = i;
            --inside.at(key);
          };
          pool.submit(
              {.unbounded = who == 2, .key = i == 4 ? nullptr : &keys.at(key)},
              [work, i, &all, id] {
                if (i == 4) {
                  all.ran(id);
                } else {
                  work();
                }
              },
              all.done(id));
        }
      };
      sim::thread a{[&] { produce(0, one); }};
      sim::thread b{[&] { produce(1, two); }};
      produce(2, one);
      a.join();
      b.join();
      one.audit();
      two.audit();
    }
    all.check_all();
    sim::check(domain.busy() == 0, "no bucket stays busy", domain.busy());
  });
  EXPECT_SIM_OK(r);
}

// IOWQ-54, IOWQ-92: who is stalled when its pool ends leaves with the others, not after its idle time.
TEST_P(io_pools, the_end_waits_for_nobody_who_is_stalled) {
  const auto r = sim::explore({.seeds = 1000, .faults = GetParam(), .timers = false}, [] {
    wring::runtime rt = make_runtime();
    device gate;
    ends all{5};
    const int key = 0;
    const std::uint64_t begin = sim::now_ns();
    {
      io_pool pool{rt, {.name = "p"}};
      for (std::size_t i = 0; i < all.size(); ++i) {
        pool.submit(
            {.key = i == 4 ? nullptr : &key},
            [&, i](io_call& call) {
              all.ran(i);
              if (i == 0) gate.use(call);
            },
            all.done(i));
      }
      sim::thread other{[&] {
        for (std::uint32_t i = sim::choose(40); i != 0; --i) sim::point();
        gate.ready();
      }};
      pool.exit_start();
      other.join();
    }
    all.check_all();
    sim::check(sim::now_ns() - begin < 4'000'000'000, "nobody's idle time has passed", sim::now_ns() - begin);
  });
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "a queue is stalled", 0.1);
}

// IOWQ-55, IOWQ-61: who has released a bucket goes on with what depends on its item, and that waits for the next one of
// the bucket.
TEST_P(io_pools, a_release_is_not_left_to_who_goes_on_with_another_item) {
  const auto r = sim::explore({.seeds = 2000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    const int key = 0;
    ends all{1};
    struct {
      device first;
      device second;
    } devices;
    wring::io_task first{{.key = &key}, [&devices](io_call& call) { devices.first.use(call); }};
    wring::io_task second{{}, [&devices](io_call& call) { devices.second.use(call); }};
    first.then_anyway(second);
    {
      io_pool pool{rt, {.name = "p"}};
      pool.enqueue(first);
      pool.submit(
          {.key = &key}, [&] { all.ran(0); },
          [&, done = all.done(0)](std::error_code e) mutable {
            done(e);
            devices.second.ready();
          });
      for (std::uint32_t i = sim::choose(40); i != 0; --i) sim::point();
      devices.first.ready();
    }
    all.check_all();
  });
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "a queue is stalled", 0.02);
}

// IOWQ-60, IOWQ-80, IOWQ-82, IOWQ-83, IOWQ-127: a cancellation ends the call it means, and no other.
TEST_P(io_pools, a_cancellation_hits_what_it_means) {
  const auto r = sim::explore({.seeds = 4000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    device never;
    device soon;
    ends all{2};
    int tag = 0;
    {
      io_pool pool{rt, {.name = "p", .bounded = 1}};
      long first = 1;
      long second = 1;
      pool.submit(
          {.tag = &tag},
          [&](io_call& call) {
            all.ran(0);
            first = never.use(call);
          },
          all.done(0));
      pool.submit(
          {},
          [&](io_call& call) {
            all.ran(1);
            second = soon.use(call);
          },
          all.done(1));
      const io_cancel answer = pool.cancel_tagged(&tag);
      sim::check(answer != io_cancel::not_found || !all.has_run(0), "what waits or runs is found");
      soon.ready();
      static_cast<void>(pool.end(std::chrono::nanoseconds::max()));
      sim::check((answer == io_cancel::done) <= !all.has_run(0), "what was failed has not run");
      if (all.has_run(0)) sim::check(first == -ECANCELED, "it was interrupted", first);
      if (all.has_run(1)) sim::check(second == 1, "nobody else was", second);
    }
    all.check_all();
  });
  EXPECT_SIM_OK(r);
}

// Three items wait without a word for a fourth one.
sim::report explore_silent_waits(sim::profile faults, bool threads_are_seen) {
  return sim::explore({.seeds = 1000, .faults = faults, .threads_are_seen = threads_are_seen}, [] {
    wring::runtime rt = make_runtime(wring::detection::automatic);
    sim::gate last;
    ends all{4};
    {
      io_pool pool{rt, {.name = "p"}};
      for (std::size_t i = 0; i < 3; ++i) {
        pool.submit(
            {},
            [&, i] {
              all.ran(i);
              last.pass();
            },
            all.done(i));
      }
      sim::thread other{[&] {
        pool.submit(
            {},
            [&] {
              all.ran(3);
              last.open();
            },
            [&, done = all.done(3)](std::error_code e) mutable {
              done(e);
              if (e) last.open();  // refused threads have failed it
            });
      }};
      other.join();
    }
    all.check_all();
  });
}

// IOWQ-U1: who waits without a word is seen by the look, whatever it waits for, and the next one begins.
TEST_P(io_pools, who_blocks_without_a_word_is_found) {
  const auto r = explore_silent_waits(GetParam(), true);
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "an I/O worker is seen to wait", 0.3);
}

// IOWQ-U1: where nobody can be seen, the floor is left.
TEST_P(io_pools, while_nothing_starts_one_more_is_made) {
  const auto r = explore_silent_waits(GetParam(), false);
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "an I/O worker is made since nothing starts", 0.3);
}

// IOWQ-30, IOWQ-90, IOWQ-92: a shutdown meets a pool that its user ends, one that is being made, and one that stays.
TEST_P(io_pools, a_shutdown_ends_all_pools_there_are) {
  const auto r = sim::explore({.seeds = 2000, .faults = GetParam()}, [] {
    wring::runtime rt = make_runtime();
    device never;
    ends all{6};
    {
      io_pool stays{rt, {.name = "stays"}};
      const auto fill = [&](io_pool& pool, std::size_t from) {
        pool.submit(
            {}, [&all, from] { all.ran(from); }, all.done(from));
        pool.submit(
            {.unbounded = true},
            [&, from](io_call& call) {
              all.ran(from + 1);
              never.use(call);
            },
            all.done(from + 1));
      };
      std::optional<io_pool> ends;
      ends.emplace(rt, wring::io_pool_options{.name = "ends"});
      sim::thread user{[&] {
        fill(*ends, 2);
        ends.reset();
      }};
      sim::thread maker{[&] {
        auto late = io_pool::create(rt, {.name = "late"});
        if (late.has_value()) {
          fill(*late, 4);
        } else {
          sim::check(late.error() == std::errc::operation_canceled, "refused after a shutdown, and only then");
          sim::count("a pool came too late");
          for (const std::size_t i : {4U, 5U}) all.done(i)(late.error());
        }
      }};
      fill(stays, 0);
      sim::check(rt.shutdown(std::chrono::hours{24}).complete, "all have ended");
      sim::check(!stays.submit([] {}), "it takes nothing any more");
      user.join();
      maker.join();
    }
    all.check_all();
  });
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "a pool came too late", 0.02);
}

// After how many milliseconds each of the next `refusals` came, within one of what is true.
std::vector<std::uint64_t> times_of_refusals(io_pool& pool, std::size_t refusals) {
  const std::uint64_t begin = sim::now_ns();
  std::vector<std::uint64_t> times;
  std::uint64_t seen = pool.stats().bounded.created.refused;
  for (; times.size() < refusals; pass(500us)) {
    for (const std::uint64_t now = pool.stats().bounded.created.refused; seen < now; ++seen) {
      times.push_back((sim::now_ns() - begin) / 1'000'000);
    }
  }
  return times;
}

void check_times(const std::vector<std::uint64_t>& seen, const std::vector<std::uint64_t>& wanted) {
  sim::check(seen.size() == wanted.size(), "so often", seen.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // A timer may be late by its tick, a millisecond, and the next one is armed when it fires.
    sim::check(seen[i] >= wanted[i] && seen[i] <= wanted[i] + i + 2, "and then", i, seen[i], wanted[i]);
  }
}

// IOWQ-33, IOWQ-43: who is refused a thread is tried again after 5, 10 and 15 ms, and with nobody there what waits
// fails then; not before, and not later.
void nobody_can_be_made() {
  wring::runtime rt = make_runtime();
  ends all{2};
  io_pool pool{rt, {.name = "p"}};
  const std::uint64_t begin = sim::now_ns();
  std::array<std::uint64_t, 2> failed_at{};
  for (std::size_t i = 0; i < 2; ++i) {
    pool.submit(
        {}, [&all, i] { all.ran(i); },
        [&, i, done = all.done(i)](std::error_code e) mutable {
          done(e);
          failed_at.at(i) = (sim::now_ns() - begin) / 1'000'000;
        });
  }
  sim::check(pool.stats().bounded.created.refused == 1, "it is tried at once");
  check_times(times_of_refusals(pool, 3), {5, 15, 30});
  pass(100ms);
  all.check_all();
  for (const std::uint64_t at : failed_at) sim::check(at >= 30 && at <= 36, "after the last one", at);
  pass(10s);
  const wring::io_account_stats s = pool.stats().bounded;
  sim::check(s.created.refused == 4 && s.created.retry == 3, "and never again", s.created.refused, s.created.retry);
}

TEST(io_pools_refused, are_tried_again_three_times) {
  EXPECT_SIM_OK(
      sim::explore({.seeds = 500, .faults = sim::profile::creation_never_works, .timers = false}, nobody_can_be_made));
}

// IOWQ-43: with a worker there, which waits, nothing fails; after the third retry it begins anew, each creation_retry,
// as long as something waits.
void another_one_can_not_be_made() {
  wring::runtime rt = make_runtime(wring::detection::announced, 200ms);
  ends all{2};
  device gate;
  {
    std::optional<sim::calm> nothing_fails{std::in_place};
    io_pool pool{rt, {.name = "p"}};
    pool.submit(
        {}, [&](io_call& call) { all.ran(0), gate.use(call); }, all.done(0));
    while (pool.stats().bounded.running != 0) pass(1ms);  // blocked, and not counted any more
    nothing_fails.reset();
    pool.submit(
        {}, [&] { all.ran(1); }, all.done(1));
    sim::check(pool.stats().bounded.created.refused == 1, "it is tried at once");
    check_times(times_of_refusals(pool, 7), {5, 15, 30, 230, 235, 245, 260});
    gate.ready();
    pass(1s);
    sim::check(all.has_run(1), "who comes back runs it");
    const std::uint64_t refused = pool.stats().bounded.created.refused;
    pass(10s);
    sim::check(pool.stats().bounded.created.refused == refused, "with nothing that waits nobody is tried", refused);
  }
  all.check_all();
}

TEST(io_pools_refused, of_another_worker_are_tried_again_and_again) {
  EXPECT_SIM_OK(sim::explore({.seeds = 500, .faults = sim::profile::creation_never_works, .timers = false},
                             another_one_can_not_be_made));
}

// IOWQ-44, IOWQ-47, IOWQ-125: of many workers one of each kind is left after the idle time, for good, and runs what
// comes next; when they are to leave at once nobody is.
void everybody_is_idle() {
  wring::runtime rt = make_runtime();
  device gate;
  io_pool pool{rt, {.name = "p"}};
  for (int i = 0; i < 6; ++i) pool.submit({.unbounded = i % 2 == 0}, [&](io_call& call) { gate.use(call); });
  for (int i = 0; i < 40; ++i) sim::point();
  gate.ready();
  const auto made = [](const wring::io_account_stats& a) {
    return a.created.enqueue + a.created.note + a.created.retry - a.created.refused;
  };
  pass(4s);
  const wring::io_pool_stats before = pool.stats();
  sim::check(before.bounded.workers == made(before.bounded), "nobody leaves before");
  sim::check(before.unbounded.workers == made(before.unbounded), "nobody leaves before");
  pass(60s);
  const wring::io_pool_stats s = pool.stats();
  for (const wring::io_account_stats& a : {s.bounded, s.unbounded}) {
    sim::check(a.workers == (made(a) != 0 ? 1U : 0U), "one is left", a.workers);
    sim::check(a.free == a.workers && a.running == 0, "which is idle", a.running);
    if (made(a) > 1) sim::count("somebody has left");
  }
  for (const wring::io_worker_stats& w : s.workers) {
    pool.submit_for_result({.unbounded = !w.bounded}, [] {}).get();
  }
  sim::check(made(pool.stats().bounded) == made(s.bounded), "it runs the next one");
  sim::check(made(pool.stats().unbounded) == made(s.unbounded), "it runs the next one");
  pool.exit_on_idle(true);
  pass(1s);
  sim::check(pool.stats().workers.empty(), "none is left", pool.stats().workers.size());
}

TEST_P(io_pools, the_last_worker_of_each_kind_stays_and_nobody_else) {
  const auto r = sim::explore({.seeds = 500, .faults = GetParam(), .timers = false}, everybody_is_idle);
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "somebody has left", 0.3);
}

INSTANTIATE_TEST_SUITE_P(profiles, io_pools, sim::test::all_profiles, sim::test::name_of);

}  // namespace
