// SPDX-License-Identifier: Apache-2.0
#include "base/block_cache.h"

#include <algorithm>
#include <utility>

namespace wring::base {

namespace {
constexpr std::align_val_t large_alignment{32};
constexpr std::size_t large_offset = 16;  // makes the address differ from those of slabs
}  // namespace

block_cache::slab::slab(std::size_t class_index, const block_cache& cache) noexcept
    : owner{&cache},
      index{static_cast<std::uint32_t>(class_index)},
      capacity{static_cast<std::uint32_t>((slab_bytes - sizeof(slab)) / class_bytes[class_index])},
      free_count{capacity} {
  static_assert(sizeof(slab) % 32 == 0 && class_bytes[0] % 32 == 0 && class_bytes[1] % 32 == 0 &&
                class_bytes[2] % 32 == 0 && (slab_bytes - sizeof(slab)) / class_bytes[0] <= 64 * 16);
  for (std::size_t n = 0; n < capacity; ++n) free_bits[n / 64] |= std::uint64_t{1} << n % 64;
}

block_cache::block_cache(options o) noexcept {
  for (std::size_t c = 0; c < classes; ++c) classes_[c].full_count_max = o.idle_bytes_max / (batch * class_bytes[c]);
}

block_cache::~block_cache() {
  list<slab> dead;
  lock_guard guard{mutex_};
  for (size_class& sc : classes_) {
    while (sc.full != nullptr) {
      magazine* const m = sc.full;
      sc.full = m->next;
      spill_locked(sc, m->blocks.data(), batch, dead);
      delete m;
    }
    WRING_CHECK(sc.slab_count == 0 || blocks_are_lost_, sc.slab_count);  // a block was never freed
  }
  while (spare_ != nullptr) delete std::exchange(spare_, spare_->next);
  free_slabs(dead);
}

void* block_cache::allocate_large(std::size_t bytes) {
  return static_cast<std::byte*>(::operator new(bytes + large_offset, large_alignment)) + large_offset;
}

void block_cache::free_large(void* block) noexcept {
  ::operator delete(static_cast<std::byte*>(block) - large_offset, large_alignment);
}

std::size_t block_cache::take(std::size_t c, void** to) {
  std::size_t n = 0;
  {
    lock_guard guard{mutex_};
    size_class& sc = classes_[c];
    if (sc.full != nullptr) {
      magazine* const m = sc.full;
      sc.full = m->next;
      --sc.full_count;
      std::copy(m->blocks.begin(), m->blocks.end(), to);
      m->next = spare_;
      spare_ = m;
      return batch;
    }
    n = carve_locked(sc, to);
  }
  if (n != 0) return n;

  void* const memory = ::operator new(slab_bytes, std::align_val_t{slab_bytes});
  slab* const fresh = new (memory) slab{c, *this};
#ifdef WRING_POISONS_BLOCKS
  __asan_poison_memory_region(fresh->block(0), fresh->capacity * class_bytes[c]);
#endif
  lock_guard guard{mutex_};
  ++classes_[c].slab_count;
  classes_[c].partial.push_front(*fresh);
  return carve_locked(classes_[c], to);
}

void block_cache::give(std::size_t c, void* const* from, std::size_t n) noexcept {
  list<slab> dead;
  mutex_.lock();
  size_class& sc = classes_[c];
  if (n == batch && sc.full_count < sc.full_count_max) {
    magazine* m = spare_;
    if (m != nullptr) {
      spare_ = m->next;
    } else {
      mutex_.unlock();
      m = new (std::nothrow) magazine;  // without it the blocks just take the longer way
      mutex_.lock();
    }
    if (m != nullptr) {
      std::copy(from, from + n, m->blocks.begin());
      m->next = sc.full;
      sc.full = m;
      ++sc.full_count;
      mutex_.unlock();
      return;
    }
  }
  spill_locked(sc, from, n, dead);
  mutex_.unlock();
  free_slabs(dead);
}

// In the order of addresses, and the lowest one on top, where it is used first.
std::size_t block_cache::carve_locked(size_class& sc, void** to) noexcept {
  std::size_t n = 0;
  while (n < batch && !sc.partial.empty()) {
    slab& s = *sc.partial.front();
    for (std::size_t word = 0; word < s.free_bits.size() && n < batch; ++word) {
      while (s.free_bits[word] != 0 && n < batch) {
        to[n++] = s.block(word * 64 + static_cast<std::size_t>(std::countr_zero(s.free_bits[word])));
        s.free_bits[word] &= s.free_bits[word] - 1;
        --s.free_count;
      }
    }
    if (s.free_count == 0) sc.partial.remove(s);
  }
  std::reverse(to, to + n);
  return n;
}

void block_cache::spill_locked(size_class& sc, void* const* from, std::size_t n, list<slab>& dead) noexcept {
  for (void* const* block = from; block != from + n; ++block) {
    slab& s = slab_of(*block);
    const std::size_t number = s.number_of(*block);
    const std::uint64_t bit = std::uint64_t{1} << number % 64;
    WRING_CHECK((s.free_bits[number / 64] & bit) == 0, *block);  // freed twice
    s.free_bits[number / 64] |= bit;
    if (++s.free_count == 1) sc.partial.push_back(s);
    if (s.free_count == s.capacity) {
      sc.partial.remove(s);
      --sc.slab_count;
      dead.push_back(s);
    }
  }
}

void block_cache::free_slabs(list<slab>& dead) noexcept {
  while (slab* const s = dead.pop_front()) ::operator delete(static_cast<void*>(s), std::align_val_t{slab_bytes});
}

block_cache::counts block_cache::count() const noexcept {
  lock_guard guard{mutex_};
  counts result{0, 0};
  for (std::size_t c = 0; c < classes; ++c) {
    result.slabs += classes_[c].slab_count;
    result.idle_bytes += classes_[c].full_count * batch * class_bytes[c];
  }
  return result;
}

void block_cache::audit() const noexcept {
  lock_guard guard{mutex_};
  for (std::size_t c = 0; c < classes; ++c) {
    const size_class& sc = classes_[c];
    std::size_t full = 0;
    for (const magazine* m = sc.full; m != nullptr; m = m->next, ++full) {
      for (const void* block : m->blocks) {
        const slab& s = slab_of(block);
        const std::size_t number = s.number_of(block);
        WRING_CHECK(s.index == c && s.owner == this && number < s.capacity, block, c);
        WRING_CHECK((s.free_bits[number / 64] >> number % 64 & 1) == 0, block, c);
      }
    }
    WRING_CHECK(full == sc.full_count, full, sc.full_count, c);
    std::size_t partial = 0;
    for (slab* s = sc.partial.front(); s != nullptr; s = list<slab>::next(*s), ++partial) {
      std::size_t bits = 0;
      for (const std::uint64_t word : s->free_bits) bits += static_cast<std::size_t>(std::popcount(word));
      WRING_CHECK(bits == s->free_count && bits > 0 && bits < s->capacity, bits, s->free_count, s->capacity, c);
    }
    WRING_CHECK(partial <= sc.slab_count, partial, sc.slab_count, c);
  }
}

void block_cache::describe(writer& w) const {
  const counts now = count();
  w.put("block_cache{slabs=", now.slabs, " idle_bytes=", now.idle_bytes, "}");
}

block_front::~block_front() {
  for (std::size_t c = 0; c < racks_.size(); ++c) {
    if (racks_[c].count >= block_cache::batch) give_oldest(c);
    cache_.give(c, racks_[c].blocks.data(), racks_[c].count);
  }
}

void block_front::give_oldest(std::size_t c) noexcept {
  rack& r = racks_[c];
  cache_.give(c, r.blocks.data(), block_cache::batch);
  std::copy(r.blocks.begin() + block_cache::batch, r.blocks.begin() + static_cast<std::ptrdiff_t>(r.count),
            r.blocks.begin());
  r.count -= block_cache::batch;
}

// A shard that the holder of the claim has for itself.
class shared_front::claim {
 public:
  explicit claim(std::array<shard, 8>& shards) noexcept WRING_NO_ANALYSIS : shard_{&pick(shards)} {}
  ~claim() WRING_NO_ANALYSIS { shard_->busy.unlock(); }
  claim(const claim&) = delete;
  claim& operator=(const claim&) = delete;

  [[nodiscard]] block_front& front() noexcept WRING_NO_ANALYSIS { return shard_->front; }

 private:
  static shard& pick(std::array<shard, 8>& shards) noexcept WRING_NO_ANALYSIS {
    const auto first = static_cast<std::size_t>(syscall::current_cpu());
    for (std::size_t n = 0; n < shards.size(); ++n) {
      shard& s = shards[(first + n) % shards.size()];
      if (s.busy.try_lock()) return s;
    }
    shard& own = shards[first % shards.size()];
    own.busy.lock();
    return own;
  }

  shard* shard_;
};

shared_front::shared_front(block_cache& cache) noexcept
    : shards_{{shard{cache}, shard{cache}, shard{cache}, shard{cache}, shard{cache}, shard{cache}, shard{cache},
               shard{cache}}} {}

void* shared_front::allocate(std::size_t bytes) { return claim{shards_}.front().allocate(bytes); }

void shared_front::free(void* block) noexcept { claim{shards_}.front().free(block); }

void shared_front::lock_for_fork() noexcept {
  for (shard& s : shards_) s.busy.lock_for_fork();
}

void shared_front::unlock_after_fork() noexcept {
  for (shard& s : shards_) s.busy.unlock_after_fork();
}

}  // namespace wring::base
