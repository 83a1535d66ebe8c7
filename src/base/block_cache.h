// SPDX-License-Identifier: Apache-2.0
// block_cache: recycled memory for one-off closures.
//
// Three layers. A front (local_cache of a worker, shared_front of all other threads) keeps up to 128 free
// blocks per size class in an array of pointers, so that no list through cold blocks is walked. It trades
// 64 of them at a time with the depot, which keeps them in magazines of 64 pointers. What the depot has too
// much of goes back to the slabs, 64 KiB each and aligned so, and an entirely free slab to operator delete.
//
// Bounds: idle memory is at most options::idle_bytes_max per class in the depot (and a magazine per thread
// that trades at that moment), 128 blocks per class and front, and what lies in slabs that are partly in use.
// The magazines, 8 bytes per block, are kept until the end. Memory in use has no bound but the process's.
// Which class a block has is in the head of its slab. A larger block comes from operator new and is told
// apart by its address: blocks of slabs are multiples of 32, larger ones are not.
// Threads: local_cache: its owner. shared_front and block_cache: any. A block may be freed at any front of
// the same cache.
// Locks: shard of a shared_front (rank memory), inside it the depot (rank leaf). Slabs come and go outside.
#pragma once

#include "base/annotations.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/syscall.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define WRING_POISONS_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WRING_POISONS_BLOCKS 1
#endif
#endif
#ifdef WRING_POISONS_BLOCKS
#include <sanitizer/asan_interface.h>
#endif

namespace wring::base {

class block_cache {
 public:
  static constexpr std::size_t alignment = 16;
  static constexpr std::array<std::size_t, 3> class_bytes{64, 96, 192};
  static constexpr std::size_t batch = 64;  // blocks per trade

  struct options {
    // 170,000 closures of the middle class: programs that have more of them waiting again and again pay a page
    // fault per 40 closures, the others never have so many.
    std::size_t idle_bytes_max = std::size_t{16} << 20;
  };

  explicit block_cache(options o) noexcept;
  block_cache() noexcept : block_cache{options{}} {}
  // Every front is gone and every block was freed; a block still in use is our bug and is reported.
  ~block_cache();
  block_cache(const block_cache&) = delete;
  block_cache& operator=(const block_cache&) = delete;

  struct counts {
    std::size_t slabs;
    std::size_t idle_bytes;  // in the depot's magazines
  };
  [[nodiscard]] counts count() const noexcept;
  void audit() const noexcept;
  void describe(writer& w) const;

  // Around a fork.
  void lock_for_fork() noexcept { mutex_.lock_for_fork(); }
  void unlock_after_fork() noexcept { mutex_.unlock_after_fork(); }
  // In a forked child: blocks that lay with other threads of the parent will never come back.
  void forget_lost_blocks() noexcept { blocks_are_lost_ = true; }

 private:
  friend class block_front;

  static constexpr std::size_t classes = class_bytes.size();
  static constexpr std::size_t slab_bytes = std::size_t{64} << 10;

  struct slab;
  struct magazine {
    magazine* next;
    std::array<void*, batch> blocks;
  };
  struct size_class {
    magazine* full = nullptr;
    std::size_t full_count = 0;
    std::size_t full_count_max = 0;
    list<slab> partial;  // slabs with at least one free block; entirely used ones are on no list
    std::size_t slab_count = 0;
  };

  static constexpr std::size_t class_for(std::size_t bytes) noexcept {
    return bytes <= class_bytes[0] ? 0 : bytes <= class_bytes[1] ? 1 : bytes <= class_bytes[2] ? 2 : classes;
  }
  static bool is_large(const void* block) noexcept { return (reinterpret_cast<std::uintptr_t>(block) & 16) != 0; }
  static slab& slab_of(const void* block) noexcept {
    return *reinterpret_cast<slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_bytes - 1));
  }
  static void* allocate_large(std::size_t bytes);
  static void free_large(void* block) noexcept;

  // Writes 1 to `batch` free blocks to `to` and returns how many. Throws std::bad_alloc.
  std::size_t take(std::size_t c, void** to);
  void give(std::size_t c, void* const* from, std::size_t n) noexcept;
  std::size_t carve_locked(size_class& sc, void** to) noexcept WRING_REQUIRES(mutex_);
  // Slabs that became entirely free are added to `dead`.
  void spill_locked(size_class& sc, void* const* from, std::size_t n, list<slab>& dead) noexcept WRING_REQUIRES(mutex_);
  static void free_slabs(list<slab>& dead) noexcept;

  mutable mutex mutex_{rank::leaf};
  std::array<size_class, classes> classes_ WRING_GUARDED_BY(mutex_);
  magazine* spare_ WRING_GUARDED_BY(mutex_) = nullptr;  // empty magazines
  bool blocks_are_lost_ = false;                        // written by the only thread of a child
};

// The head of a slab's 64 KiB. Only the depot changes it, under its lock; `index` and `owner` are constant.
struct block_cache::slab {
  slab(std::size_t class_index, const block_cache& cache) noexcept;

  [[nodiscard]] std::size_t number_of(const void* block) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(block) % slab_bytes - sizeof(slab)) / class_bytes[index];
  }
  [[nodiscard]] void* block(std::size_t number) noexcept {
    return reinterpret_cast<std::byte*>(this) + sizeof(slab) + number * class_bytes[index];
  }

  alignas(cache_line) const block_cache* owner;
  slab* next = nullptr;
  slab* prev = nullptr;
  std::uint32_t index;  // of its class
  std::uint32_t capacity;
  std::uint32_t free_count;
  std::array<std::uint64_t, slab_bytes / class_bytes[0] / 64> free_bits{};
};

// What both kinds of front are made of. Not thread-safe.
class block_front {
 public:
  explicit block_front(block_cache& cache) noexcept : cache_{cache} {}
  ~block_front();
  block_front(const block_front&) = delete;
  block_front& operator=(const block_front&) = delete;

  // Aligned to `alignment`, larger blocks too. Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes) {
    const std::size_t c = block_cache::class_for(bytes);
    if (c == block_cache::classes) [[unlikely]]
      return block_cache::allocate_large(bytes);
    rack& r = racks_[c];
    if (r.count == 0) [[unlikely]]
      r.count = cache_.take(c, r.blocks.data());
    void* const block = r.blocks[--r.count];
    // The one that is due a few calls later; rarely needed ones lie in another CPU's cache.
    if (r.count >= 4) __builtin_prefetch(r.blocks[r.count - 4], 1);
#ifdef WRING_POISONS_BLOCKS
    __asan_unpoison_memory_region(block, block_cache::class_bytes[c]);
#endif
    return block;
  }

  void free(void* block) noexcept {
    if (block_cache::is_large(block)) [[unlikely]]
      return block_cache::free_large(block);
    const block_cache::slab& home = block_cache::slab_of(block);
    WRING_ASSERT(home.owner == &cache_, block);
#ifdef WRING_POISONS_BLOCKS
    WRING_CHECK(!__asan_address_is_poisoned(block), block);  // freed twice
    __asan_poison_memory_region(block, block_cache::class_bytes[home.index]);
#endif
    rack& r = racks_[home.index];
    if (r.count == r.blocks.size()) [[unlikely]]
      give_oldest(home.index);
    r.blocks[r.count++] = block;
  }

 private:
  struct rack {
    std::size_t count = 0;
    std::array<void*, 2 * block_cache::batch> blocks;  // the last one freed is the first one used again
  };
  void give_oldest(std::size_t c) noexcept;

  block_cache& cache_;
  std::array<rack, block_cache::classes> racks_;
};

// For a thread that has its own: a worker.
using local_cache = block_front;

// For all other threads: a few fronts, of which each caller takes one that nobody else uses at the moment,
// first that of its CPU.
class shared_front {
 public:
  explicit shared_front(block_cache& cache) noexcept;

  // As block_front::allocate. Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes);
  void free(void* block) noexcept;

  // Around a fork.
  void lock_for_fork() noexcept;
  void unlock_after_fork() noexcept;

 private:
  struct alignas(cache_line) shard {
    explicit shard(block_cache& cache) noexcept : front{cache} {}
    mutex busy{rank::memory};
    block_front front WRING_GUARDED_BY(busy);
  };
  class claim;

  std::array<shard, 8> shards_;
};

}  // namespace wring::base
