// SPDX-License-Identifier: Apache-2.0
// block_cache: reuse, flow between threads, bounds, and that nothing is lost.
#include "base/block_cache.h"

#include "base/crew.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace wring::base {
namespace {

constexpr std::size_t sizes[] = {1, 16, 64, 65, 96, 97, 192, 193, 1'000, 100'000};

// A block with its size and a pattern of its own, which shows whether two blocks overlap.
struct stamped {
  unsigned char* block = nullptr;
  std::size_t bytes = 0;
  unsigned char stamp = 0;

  template <class Front>
  static stamped make(Front& front, std::size_t bytes, unsigned char stamp) {
    auto* const block = static_cast<unsigned char*>(front.allocate(bytes));
    std::memset(block, stamp, bytes);
    return {block, bytes, stamp};
  }
  [[nodiscard]] bool intact() const {
    return std::all_of(block, block + bytes, [this](unsigned char c) { return c == stamp; });
  }
};

TEST(block_cache, blocks_of_every_size_are_aligned_and_apart) {
  block_cache cache;
  local_cache front{cache};
  std::vector<stamped> all;
  for (int i = 0; i < 50; ++i) {
    for (const std::size_t bytes : sizes) {
      all.push_back(stamped::make(front, bytes, static_cast<unsigned char>(all.size() % 251)));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all.back().block) % block_cache::alignment, 0u);
    }
  }
  for (const stamped& s : all) {
    EXPECT_TRUE(s.intact());
    front.free(s.block);
  }
}

TEST(block_cache, the_last_block_freed_is_the_next_one_handed_out) {
  block_cache cache;
  local_cache front{cache};
  void* const a = front.allocate(90);
  void* const b = front.allocate(90);
  front.free(a);
  front.free(b);
  EXPECT_EQ(front.allocate(96), b);
  EXPECT_EQ(front.allocate(70), a);
  front.free(a);
  front.free(b);
}

TEST(block_cache, steady_use_takes_no_new_memory) {
  block_cache cache;
  local_cache front{cache};
  std::vector<void*> some(1'000);
  const auto turn = [&] {
    for (void*& block : some) block = front.allocate(64);
    for (void* const block : some) front.free(block);
  };
  turn();
  const std::size_t slabs = cache.count().slabs;
  EXPECT_GT(slabs, 0u);
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_EQ(cache.count().slabs, slabs);
  cache.audit();
}

TEST(block_cache, idle_memory_is_bounded_and_surplus_slabs_are_given_back) {
  constexpr std::size_t bound = std::size_t{256} << 10;
  block_cache cache{{.idle_bytes_max = bound}};
  local_cache front{cache};
  for (const std::size_t bytes : block_cache::class_bytes) {
    std::vector<void*> burst(20'000);
    for (void*& block : burst) block = front.allocate(bytes);
    const std::size_t at_peak = cache.count().slabs;
    EXPECT_GE(at_peak * 65'536, burst.size() * bytes);
    // In an order in which every slab becomes free only late.
    std::mt19937 random{1};
    std::shuffle(burst.begin(), burst.end(), random);
    for (void* const block : burst) front.free(block);
    cache.audit();
  }
  const block_cache::counts after = cache.count();
  EXPECT_LE(after.idle_bytes, 3 * bound);
  EXPECT_GT(after.idle_bytes, 2 * bound) << "what may stay does stay";
}

// Method: a few blocks stay and keep their slabs alive; all others go back to the slabs, and must come from there.
TEST(block_cache, free_blocks_of_a_slab_in_use_are_used_before_a_new_slab) {
  block_cache cache{{.idle_bytes_max = 0}};
  local_cache front{cache};
  std::vector<void*> blocks(10'000);
  for (void*& block : blocks) block = front.allocate(96);
  const std::size_t slabs = cache.count().slabs;
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % 100 != 0) front.free(blocks[i]);
    }
    cache.audit();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % 100 != 0) blocks[i] = front.allocate(96);
    }
    ASSERT_LE(cache.count().slabs, slabs + 1);
  }
  for (void* const block : blocks) front.free(block);
}

TEST(block_cache, without_idle_memory_every_slab_goes_home_with_the_last_front) {
  block_cache cache{{.idle_bytes_max = 0}};
  {
    local_cache front{cache};
    shared_front others{cache};
    std::vector<void*> blocks(5'000);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i] = i % 2 == 0 ? front.allocate(i % 192) : others.allocate(i % 192);
    }
    EXPECT_GT(cache.count().slabs, 0u);
    for (std::size_t i = 0; i < blocks.size(); ++i) i % 3 == 0 ? front.free(blocks[i]) : others.free(blocks[i]);
    cache.audit();
  }
  EXPECT_EQ(cache.count().slabs, 0u);
  EXPECT_EQ(cache.count().idle_bytes, 0u);
  writer w;
  cache.describe(w);
  EXPECT_EQ(w.text(), "block_cache{slabs=0 idle_bytes=0}");
}

// Method: one thread only allocates, at the shared front; another one only frees, at its own. The way is a
// small ring, so few blocks are out at any time, and memory must not grow with the number that passed.
TEST(block_cache, blocks_that_flow_one_way_come_back) {
  constexpr std::size_t passed = 200'000;
  constexpr std::size_t room = 256;
  block_cache cache;
  shared_front others{cache};
  std::array<void*, room> ring{};
  atomic<std::size_t> head{0};
  atomic<std::size_t> tail{0};
  test::run_crew<2>([&](std::size_t me) {
    if (me == 0) {
      for (std::size_t i = 0; i < passed; ++i) {
        while (i - tail.load(order::acquire) == room) yield();
        const stamped s = stamped::make(others, 96, static_cast<unsigned char>(i % 251));
        ring[i % room] = s.block;
        head.store(i + 1, order::release);
      }
    } else {
      local_cache front{cache};
      for (std::size_t i = 0; i < passed; ++i) {
        while (head.load(order::acquire) == i) yield();
        const stamped s{static_cast<unsigned char*>(ring[i % room]), 96, static_cast<unsigned char>(i % 251)};
        ASSERT_TRUE(s.intact());
        front.free(s.block);
        tail.store(i + 1, order::release);
      }
    }
  });
  // The ring, two times 128 blocks in the two fronts, and some magazines in between: two slabs hold 1,300.
  EXPECT_LE(cache.count().slabs, 2u);
  cache.audit();
}

// Method: three threads allocate and free at the same shared front and swap blocks with one another; patterns
// show a block handed out twice.
TEST(block_cache, no_block_is_handed_out_twice) {
  block_cache cache{{.idle_bytes_max = std::size_t{64} << 10}};
  shared_front front{cache};
  std::array<atomic<stamped*>, 512> exchange;
  test::run_crew<3>([&](std::size_t me) {
    std::mt19937 random{static_cast<unsigned>(me)};
    for (int i = 0; i < 30'000; ++i) {
      auto* made = new stamped{stamped::make(front, sizes[random() % 8], static_cast<unsigned char>(random() % 251))};
      made = exchange[random() % exchange.size()].exchange(made, order::acq_rel);
      if (made == nullptr) continue;
      ASSERT_TRUE(made->intact());
      front.free(made->block);
      delete made;
    }
  });
  for (atomic<stamped*>& place : exchange) {
    stamped* const left = place.load(order::relaxed);
    if (left == nullptr) continue;
    EXPECT_TRUE(left->intact());
    front.free(left->block);
    delete left;
  }
  cache.audit();
}

void lose_a_block() {
  block_cache cache;
  local_cache front{cache};
  static_cast<void>(front.allocate(10));
}

TEST(block_cache_death, a_block_that_was_never_freed_is_reported_at_the_end) {
  EXPECT_EXIT(lose_a_block(), testing::KilledBySignal(SIGABRT), "check failed: sc.slab_count == 0");
}

void free_twice() {
  block_cache cache{{.idle_bytes_max = 0}};
  local_cache front{cache};
  static_cast<void>(front.allocate(10));  // keeps the slab
  void* const block = front.allocate(10);
  front.free(block);
  front.free(block);
}

TEST(block_cache_death, a_block_that_was_freed_twice_is_reported_at_the_latest_when_it_goes_home) {
  EXPECT_EXIT(free_twice(), testing::KilledBySignal(SIGABRT), "check failed");
}

#ifdef WRING_POISONS_BLOCKS
void touch_freed() {
  block_cache cache;
  local_cache front{cache};
  auto* const block = static_cast<volatile char*>(front.allocate(10));
  front.free(const_cast<char*>(block));
  block[0] = 1;
}

TEST(block_cache_death, the_address_sanitizer_sees_the_use_of_a_free_block) {
  EXPECT_DEATH(touch_freed(), "use-after-poison");
}
#endif

}  // namespace
}  // namespace wring::base
