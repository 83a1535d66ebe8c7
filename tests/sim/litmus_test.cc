// SPDX-License-Identifier: Apache-2.0
// litmus: the small programs by which memory models are told apart. Each states which outcome C++20
// allows; allowed ones must be seen, forbidden ones must not be.
#include "base/sync.h"
#include "support/sim_test.h"

#include <array>
#include <functional>

namespace {

namespace sim = wring::sim;
using wring::base::atomic;
using wring::base::checked;
using wring::base::fence_heavy;
using wring::base::fence_light;
using wring::base::order;

constexpr std::uint32_t seeds = 20'000;

// Runs the threads on fresh words x and y and counts how often `outcome` holds at the end.
struct words {
  atomic<int> x;
  atomic<int> y;
  std::array<int, 6> r{};
};
using part = std::function<void(words&)>;

sim::report outcomes(const std::vector<part>& parts, const std::function<bool(const words&)>& outcome) {
  return sim::explore({.seeds = seeds}, [&] {
    words w;
    std::vector<sim::thread> threads;
    threads.reserve(parts.size());
    for (const part& p : parts) threads.emplace_back([&w, &p] { p(w); });
    for (auto& t : threads) t.join();
    if (outcome(w)) sim::count("outcome");
  });
}

#define EXPECT_ALLOWED(...)                      \
  do {                                           \
    const auto report = __VA_ARGS__;             \
    EXPECT_SIM_OK(report);                       \
    EXPECT_SIM_EVENT(report, "outcome", 0.0005); \
  } while (false)
#define EXPECT_FORBIDDEN(...)                     \
  do {                                            \
    const auto report = __VA_ARGS__;              \
    EXPECT_SIM_OK(report);                        \
    EXPECT_EQ(report.event("outcome").times, 0U); \
  } while (false)

sim::report store_buffering(order store, order load) {
  return outcomes({[=](words& w) {
                     w.x.store(1, store);
                     w.r[0] = w.y.load(load);
                   },
                   [=](words& w) {
                     w.y.store(1, store);
                     w.r[1] = w.x.load(load);
                   }},
                  [](const words& w) { return w.r[0] == 0 && w.r[1] == 0; });
}

TEST(litmus, store_buffering_is_allowed_below_seq_cst) {
  EXPECT_ALLOWED(store_buffering(order::relaxed, order::relaxed));
  EXPECT_ALLOWED(store_buffering(order::release, order::acquire));
}

TEST(litmus, store_buffering_is_forbidden_for_seq_cst) {
  EXPECT_FORBIDDEN(store_buffering(order::seq_cst, order::seq_cst));
}

sim::report store_buffering_with(void (*fence_0)(), void (*fence_1)()) {
  return outcomes({[=](words& w) {
                     w.x.store(1, order::relaxed);
                     fence_0();
                     w.r[0] = w.y.load(order::relaxed);
                   },
                   [=](words& w) {
                     w.y.store(1, order::relaxed);
                     fence_1();
                     w.r[1] = w.x.load(order::relaxed);
                   }},
                  [](const words& w) { return w.r[0] == 0 && w.r[1] == 0; });
}

void light() { fence_light(); }
void heavy() { fence_heavy(); }
void nothing() {}

TEST(litmus, a_light_and_a_heavy_fence_together_forbid_store_buffering) {
  EXPECT_FORBIDDEN(store_buffering_with(light, heavy));
  EXPECT_FORBIDDEN(store_buffering_with(heavy, heavy));
}

TEST(litmus, light_fences_alone_order_nothing) {
  EXPECT_ALLOWED(store_buffering_with(light, light));
  EXPECT_ALLOWED(store_buffering_with(nothing, heavy));
}

TEST(litmus, a_read_modify_write_always_sees_the_newest_value) {
  EXPECT_FORBIDDEN(outcomes({[](words& w) { w.r[0] = w.x.fetch_add(1, order::relaxed); },
                             [](words& w) { w.r[1] = w.x.fetch_add(1, order::relaxed); }},
                            [](const words& w) { return w.r[0] == w.r[1]; }));
}

sim::report message_passing(order store, order load) {
  return outcomes({[=](words& w) {
                     w.x.store(1, order::relaxed);
                     w.y.store(1, store);
                   },
                   [=](words& w) {
                     w.r[0] = w.y.load(load);
                     w.r[1] = w.x.load(order::relaxed);
                   }},
                  [](const words& w) { return w.r[0] == 1 && w.r[1] == 0; });
}

TEST(litmus, a_message_needs_release_and_acquire) {
  EXPECT_ALLOWED(message_passing(order::relaxed, order::relaxed));
  EXPECT_ALLOWED(message_passing(order::release, order::relaxed));
  EXPECT_ALLOWED(message_passing(order::relaxed, order::acquire));
  EXPECT_FORBIDDEN(message_passing(order::release, order::acquire));
  EXPECT_FORBIDDEN(message_passing(order::seq_cst, order::seq_cst));
}

sim::report release_sequence(bool by_rmw) {
  return outcomes({[](words& w) {
                     w.x.store(1, order::relaxed);
                     w.y.store(1, order::release);
                   },
                   [=](words& w) {
                     if (by_rmw) {
                       int one = 1;
                       w.y.compare_exchange_strong(one, 2, order::relaxed, order::relaxed);
                     } else if (w.y.load(order::relaxed) == 1) {
                       w.y.store(2, order::relaxed);
                     }
                   },
                   [](words& w) {
                     w.r[0] = w.y.load(order::acquire);
                     w.r[1] = w.x.load(order::relaxed);
                   }},
                  [](const words& w) { return w.r[0] == 2 && w.r[1] == 0; });
}

TEST(litmus, a_release_sequence_goes_on_through_rmw_and_ends_at_a_store) {
  EXPECT_FORBIDDEN(release_sequence(true));
  EXPECT_ALLOWED(release_sequence(false));
}

TEST(litmus, one_thread_never_sees_a_word_go_back) {
  EXPECT_FORBIDDEN(outcomes({[](words& w) {
                               w.x.store(1, order::relaxed);
                               w.x.store(2, order::relaxed);
                             },
                             [](words& w) {
                               w.r[0] = w.x.load(order::relaxed);
                               w.r[1] = w.x.load(order::relaxed);
                             }},
                            [](const words& w) { return w.r[0] > w.r[1]; }));
}

TEST(litmus, what_a_thread_wrote_it_reads_or_something_newer) {
  EXPECT_FORBIDDEN(outcomes({[](words& w) {
                               w.x.store(1, order::relaxed);
                               w.r[0] = w.x.load(order::relaxed);
                             },
                             [](words& w) { w.x.store(2, order::relaxed); }},
                            [](const words& w) { return w.r[0] == 0; }));
}

sim::report independent_reads(order o) {
  return outcomes({[=](words& w) { w.x.store(1, o == order::acquire ? order::release : o); },
                   [=](words& w) { w.y.store(1, o == order::acquire ? order::release : o); },
                   [=](words& w) {
                     w.r[0] = w.x.load(o);
                     w.r[1] = w.y.load(o);
                   },
                   [=](words& w) {
                     w.r[2] = w.y.load(o);
                     w.r[3] = w.x.load(o);
                   }},
                  [](const words& w) { return w.r[0] == 1 && w.r[1] == 0 && w.r[2] == 1 && w.r[3] == 0; });
}

TEST(litmus, readers_may_disagree_about_the_order_of_writes_below_seq_cst) {
  EXPECT_ALLOWED(independent_reads(order::acquire));
  EXPECT_FORBIDDEN(independent_reads(order::seq_cst));
}

sim::report write_to_read_causality(order o) {
  return outcomes({[](words& w) { w.x.store(1, order::relaxed); },
                   [=](words& w) {
                     w.r[0] = w.x.load(order::relaxed);
                     w.y.store(1, o == order::relaxed ? o : order::release);
                   },
                   [=](words& w) {
                     w.r[1] = w.y.load(o);
                     w.r[2] = w.x.load(order::relaxed);
                   }},
                  [](const words& w) { return w.r[0] == 1 && w.r[1] == 1 && w.r[2] == 0; });
}

TEST(litmus, what_was_read_before_a_release_is_known_after_the_acquire) {
  EXPECT_ALLOWED(write_to_read_causality(order::relaxed));
  EXPECT_FORBIDDEN(write_to_read_causality(order::acquire));
}

// Plain data handed over by a flag.
sim::report hand_over(order store, order load) {
  return sim::explore({.seeds = seeds, .explain = false}, [=] {
    atomic<int> flag;
    checked<int> data;
    sim::thread producer{[&] {
      data.set(1);
      flag.store(1, store);
    }};
    sim::thread consumer{[&] {
      if (flag.load(load) == 1) sim::check(data.get() == 1, "the data is there");
    }};
    producer.join();
    consumer.join();
    sim::check(data.get() == 1, "join orders");
  });
}

TEST(litmus, plain_data_handed_over_without_order_is_a_race) {
  EXPECT_SIM_FINDS(hand_over(order::relaxed, order::acquire), "race");
  EXPECT_SIM_FINDS(hand_over(order::release, order::relaxed), "race");
  EXPECT_SIM_OK(hand_over(order::release, order::acquire));
}

TEST(litmus, a_lock_orders_plain_data) {
  EXPECT_SIM_OK(sim::explore({.seeds = 2000}, [] {
    wring::base::sim_lock mu;
    checked<int> data;
    const auto add = [&] {
      mu.lock();
      data.set(data.get() + 1);
      mu.unlock();
    };
    sim::thread a{add};
    sim::thread b{add};
    a.join();
    b.join();
    sim::check(data.get() == 2, "both were counted", data.get());
  }));
}

// An object built by one thread and found by another through a relaxed pointer.
sim::report publish(order store) {
  return sim::explore({.seeds = seeds, .explain = false}, [=] {
    struct node {
      atomic<int> value{7};
    };
    alignas(node) std::array<std::byte, sizeof(node)> memory;
    atomic<node*> place;
    sim::thread producer{[&] { place.store(new (memory.data()) node, store); }};
    sim::thread consumer{[&] {
      if (node* n = place.load(order::acquire)) sim::check(n->value.load(order::relaxed) == 7, "built");
    }};
    producer.join();
    consumer.join();
  });
}

TEST(litmus, an_atomic_used_without_order_behind_its_construction_is_a_race) {
  EXPECT_SIM_FINDS(publish(order::relaxed), "construction");
  EXPECT_SIM_OK(publish(order::release));
}

// Without forgetting, a stale load would return a value of the word's former life.
TEST(litmus, a_word_built_anew_has_no_past) {
  EXPECT_SIM_OK(sim::explore({.seeds = 5000}, [] {
    alignas(atomic<int>) std::array<std::byte, sizeof(atomic<int>)> memory;
    for (int life = 0; life < 3; ++life) {
      auto* word = new (memory.data()) atomic<int>{100 * life};
      sim::thread other{[=] {
        const int v = word->load(order::relaxed);
        sim::check(v >= 100 * life && v <= 100 * life + 2, "a value of this life", v, life);
        word->store(100 * life + 2, order::relaxed);
      }};
      word->store(100 * life + 1, order::relaxed);
      const int v = word->load(order::relaxed);
      sim::check(v >= 100 * life + 1, "its own store is seen", v, life);
      other.join();
    }
  }));
}

}  // namespace
