// SPDX-License-Identifier: Apache-2.0
// memory_model: what each thread may see of each word, by the rules of C++20.
//
// Every atomic word keeps its last few stores. A load may return any of them that is not older than the
// newest one its thread has to know: the newest that happened before the load, or that was read by
// something that did. Order of execution is modification order and the order of seq_cst operations, so
// load buffering is not modelled (the machines wring runs on do not show it).
//
// Everything is kept beside the words, in a table by address that is never iterated: the addresses of a
// process do not influence a run. Words are numbered by first use; traces speak of numbers.
#pragma once

#include "sim/door.h"
#include "sim/vector_clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace wring::sim {

using order = door::memory_order;

constexpr bool is_acquire(order o) noexcept {
  return o == order::acquire || o == order::acq_rel || o == order::seq_cst;
}
constexpr bool is_release(order o) noexcept {
  return o == order::release || o == order::acq_rel || o == order::seq_cst;
}

// The part of a thread that the model changes.
struct model_thread {
  std::uint32_t slot = 0;
  std::uint32_t id = 0;
  vector_clock clock;

  std::uint32_t tick() noexcept { return ++clock.time[slot]; }
};

// One access, for race reports.
struct access {
  std::uint32_t slot = 0;
  std::uint32_t time = 0;
  std::uint32_t thread = 0;
  here at;
};

// An atomic word.
struct atomic_cell {
  static constexpr std::uint32_t history = 6;  // stores kept; more found nothing more in the prototype
  static constexpr std::uint32_t never = ~std::uint32_t{0};

  struct record {
    std::uint64_t value;
    vector_clock released;  // what an acquire load of this value learns
    vector_clock seen;      // per thread, its time when it first knew this store
  };

  std::uint32_t number = 0;
  std::uint32_t newest = 0;  // stores are counted from 0; kept are the last `history` of them
  std::uint32_t seq_cst_floor = 0;
  std::uint32_t stale_in_row = 0;
  access birth;
  std::array<record, history> stores;

  [[nodiscard]] record& store_at(std::uint32_t i) noexcept { return stores[i % history]; }
  [[nodiscard]] std::uint32_t oldest() const noexcept { return newest < history ? 0 : newest - history + 1; }
};

// Plain data. `reads` holds each thread's last read.
struct plain_cell {
  std::uint32_t number = 0;
  access write;
  vector_clock reads;
  access last_read;
};

struct lock_cell {
  std::uint32_t number = 0;
  std::uint32_t owner = 0;  // thread id; 0: free
  here locked_at;
  vector_clock released;
};

class memory_model {
 public:
  memory_model();

  void start_run() noexcept;

  // The cells of an address; made at first use. `raw` is the word's present value: if it differs from the
  // newest store, somebody has built a new object there without telling, and the old history is dropped.
  atomic_cell& atomic_at(const void* address, std::uint64_t raw);
  plain_cell& plain_at(const void* address);
  lock_cell& lock_at(const void* address);
  // Looks without making; null if unknown.
  [[nodiscard]] const lock_cell* find_lock(const void* address) const noexcept;
  // Of a word that may be gone; 0 if it is not known.
  [[nodiscard]] std::uint32_t number_of_atomic(const void* address) const noexcept;

  // The object's life begins here, in this thread; others may use it only when ordered behind this.
  void born(const void* address, const model_thread& me, std::uint32_t time);
  // The memory is free.
  void forget(const void* low, std::size_t bytes) noexcept;

  // How many stores older than the newest a load may return.
  [[nodiscard]] std::uint32_t older_choices(atomic_cell& c, const model_thread& me, order o) const noexcept;
  // Reads the store `back` before the newest.
  std::uint64_t read(atomic_cell& c, model_thread& me, order o, std::uint32_t back) noexcept;
  void write(atomic_cell& c, model_thread& me, order o, std::uint64_t value) noexcept;
  // Replaces the newest value; continues the release sequence it belongs to.
  void modify(atomic_cell& c, model_thread& me, order o, std::uint64_t value) noexcept;

  void fence_light(model_thread& me) noexcept;
  void fence_heavy(model_thread& me) noexcept;

  // Null, or the earlier access that this one is not ordered behind.
  static const access* race_of_read(plain_cell& c, model_thread& me, here at) noexcept;
  static const access* race_of_write(plain_cell& c, model_thread& me, here at) noexcept;

 private:
  enum class kind : std::uint8_t { none, atomic, plain, lock };
  struct entry {
    std::uintptr_t address = 0;
    std::uint32_t run = 0;
    kind what = kind::none;
    void* cell = nullptr;
    access birth;  // what() is none: known to begin here, not used yet
  };
  // Cells are handed out one after the other and all taken back when a run starts.
  template <class T>
  class pool {
   public:
    T& take() {
      if (used_ == items_.size()) items_.emplace_back();
      return items_[used_++];
    }
    void clear() noexcept { used_ = 0; }

   private:
    std::deque<T> items_;
    std::size_t used_ = 0;
  };

  [[nodiscard]] static std::uintptr_t key(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }
  [[nodiscard]] static std::size_t hash(std::uintptr_t a) noexcept {
    return static_cast<std::size_t>((a * 0x9E3779B97F4A7C15ULL) >> 20);
  }
  entry& find_or_add(std::uintptr_t address);
  [[nodiscard]] entry* find(std::uintptr_t address) const noexcept;
  void grow();
  void push(atomic_cell& c, model_thread& me, std::uint64_t value, const vector_clock& released) noexcept;

  // Open addressing; an entry of an earlier run counts as empty, so a new run clears the table by counting on.
  mutable std::vector<entry> table_;
  std::size_t used_ = 0;
  std::uint32_t run_ = 0;
  std::uint32_t next_number_ = 0;
  // Says which cache lines hold words of this run, so that freeing other memory costs next to nothing.
  std::vector<std::uint32_t> lines_;
  pool<atomic_cell> atomics_;
  pool<plain_cell> plains_;
  pool<lock_cell> locks_;
  vector_clock light_;  // all that was done before light fences
  vector_clock heavy_;  // all that was done before heavy fences
};

}  // namespace wring::sim
