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
using sim::test::device;
using sim::test::ends;
using wring::io_call;
using wring::io_cancel;
using wring::io_pool;

wring::runtime make_runtime(wring::detection detect = wring::detection::announced) {
  wring::runtime_options o{.cpus = 2, .stall_floor = std::chrono::milliseconds{5}, .detect = detect};
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

INSTANTIATE_TEST_SUITE_P(profiles, io_pools, sim::test::all_profiles, sim::test::name_of);

}  // namespace
