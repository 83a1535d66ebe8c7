// SPDX-License-Identifier: Apache-2.0
#include "sim/memory_model.h"

#include <algorithm>

namespace wring::sim {

namespace {
constexpr std::size_t first_table_size = 4096;
constexpr std::size_t line_filter_size = 4096;
constexpr std::size_t line_bytes = 64;

void set_never(vector_clock& c) noexcept { c.time.fill(atomic_cell::never); }
}  // namespace

memory_model::memory_model() : table_(first_table_size), lines_(line_filter_size) {}

void memory_model::start_run() noexcept {
  ++run_;
  used_ = 0;
  next_number_ = 0;
  atomics_.clear();
  plains_.clear();
  locks_.clear();
  light_ = {};
  heavy_ = {};
}

memory_model::entry* memory_model::find(std::uintptr_t address) const noexcept {
  const std::size_t mask = table_.size() - 1;
  for (std::size_t i = hash(address) & mask; table_[i].run == run_; i = (i + 1) & mask) {
    if (table_[i].address == address) return &table_[i];
  }
  return nullptr;
}

memory_model::entry& memory_model::find_or_add(std::uintptr_t address) {
  if (entry* e = find(address)) return *e;
  if (used_ * 2 >= table_.size()) grow();
  ++used_;
  const std::size_t mask = table_.size() - 1;
  std::size_t i = hash(address) & mask;
  while (table_[i].run == run_) i = (i + 1) & mask;
  table_[i] = {address, run_, kind::none, nullptr, {}};
  lines_[hash(address / line_bytes) % line_filter_size] = run_;
  return table_[i];
}

void memory_model::grow() {
  std::vector<entry> old(table_.size() * 2);
  old.swap(table_);
  const std::size_t mask = table_.size() - 1;
  for (const entry& e : old) {
    if (e.run != run_) continue;
    std::size_t i = hash(e.address) & mask;
    while (table_[i].run == run_) i = (i + 1) & mask;
    table_[i] = e;
  }
}

void memory_model::born(const void* address, const model_thread& me, std::uint32_t time) {
  entry& e = find_or_add(key(address));
  e.what = kind::none;
  e.birth = {me.slot, time, me.id, {}};
}

void memory_model::forget(const void* low, std::size_t bytes) noexcept {
  const std::uintptr_t end = key(low) + bytes;
  for (std::uintptr_t a = key(low); a < end;) {
    const std::uintptr_t line_end = std::min(end, (a / line_bytes + 1) * line_bytes);
    if (lines_[hash(a / line_bytes) % line_filter_size] == run_) {
      for (; a < line_end; ++a) {
        if (entry* e = find(a)) {
          e->what = kind::none;
          e->birth = {};
        }
      }
    }
    a = line_end;
  }
}

atomic_cell& memory_model::atomic_at(const void* address, std::uint64_t raw) {
  entry& e = find_or_add(key(address));
  if (e.what == kind::atomic) {
    auto& c = *static_cast<atomic_cell*>(e.cell);
    if (c.store_at(c.newest).value == raw) return c;
    e.birth = {};
  }
  atomic_cell& c = atomics_.take();
  c.number = ++next_number_;
  c.newest = 0;
  c.seq_cst_floor = 0;
  c.stale_in_row = 0;
  c.birth = e.birth;
  c.stores[0].value = raw;
  c.stores[0].released = {};
  c.stores[0].seen = {};
  e.what = kind::atomic;
  e.cell = &c;
  return c;
}

plain_cell& memory_model::plain_at(const void* address) {
  entry& e = find_or_add(key(address));
  if (e.what == kind::plain) return *static_cast<plain_cell*>(e.cell);
  plain_cell& c = plains_.take();
  c = {};
  c.number = ++next_number_;
  c.write = e.birth;
  e.what = kind::plain;
  e.cell = &c;
  return c;
}

lock_cell& memory_model::lock_at(const void* address) {
  entry& e = find_or_add(key(address));
  if (e.what == kind::lock) return *static_cast<lock_cell*>(e.cell);
  lock_cell& c = locks_.take();
  c = {};
  c.number = ++next_number_;
  e.what = kind::lock;
  e.cell = &c;
  return c;
}

std::uint32_t memory_model::number_of_atomic(const void* address) const noexcept {
  const entry* e = find(key(address));
  return e != nullptr && e->what == kind::atomic ? static_cast<const atomic_cell*>(e->cell)->number : 0;
}

const lock_cell* memory_model::find_lock(const void* address) const noexcept {
  const entry* e = find(key(address));
  return e != nullptr && e->what == kind::lock ? static_cast<const lock_cell*>(e->cell) : nullptr;
}

std::uint32_t memory_model::older_choices(atomic_cell& c, const model_thread& me, order o) const noexcept {
  std::uint32_t floor = c.newest;
  const std::uint32_t oldest = c.oldest();
  for (; floor > oldest; --floor) {
    const vector_clock& seen = c.store_at(floor).seen;
    bool known = false;
    for (std::uint32_t u = 0; u < max_threads; ++u) known |= me.clock.time[u] >= seen.time[u];
    if (known) break;
  }
  if (o == order::seq_cst) floor = std::max(floor, c.seq_cst_floor);
  return c.newest - floor;
}

std::uint64_t memory_model::read(atomic_cell& c, model_thread& me, order o, std::uint32_t back) noexcept {
  const std::uint32_t index = c.newest - back;
  auto& s = c.store_at(index);
  s.seen.time[me.slot] = std::min(s.seen.time[me.slot], me.tick());
  if (is_acquire(o)) me.clock.join(s.released);
  if (o == order::seq_cst) c.seq_cst_floor = std::max(c.seq_cst_floor, index);
  return s.value;
}

void memory_model::push(atomic_cell& c, model_thread& me, std::uint64_t value, const vector_clock& released) noexcept {
  ++c.newest;
  c.stale_in_row = 0;
  auto& s = c.store_at(c.newest);
  s.value = value;
  s.released = released;
  set_never(s.seen);
  s.seen.time[me.slot] = me.clock.time[me.slot];
}

void memory_model::write(atomic_cell& c, model_thread& me, order o, std::uint64_t value) noexcept {
  me.tick();
  push(c, me, value, is_release(o) ? me.clock : vector_clock{});
  if (o == order::seq_cst) c.seq_cst_floor = c.newest;
}

void memory_model::modify(atomic_cell& c, model_thread& me, order o, std::uint64_t value) noexcept {
  read(c, me, o, 0);
  vector_clock released = c.store_at(c.newest).released;
  me.tick();
  if (is_release(o)) released.join(me.clock);
  push(c, me, value, released);
  if (o == order::seq_cst) c.seq_cst_floor = c.newest;
}

// The contract of base/sync.h and no more: each pair of a light and a heavy fence is ordered, by the order
// of execution; two light ones are not. A missing light fence can therefore be found.
void memory_model::fence_light(model_thread& me) noexcept {
  me.tick();
  light_.join(me.clock);
  me.clock.join(heavy_);
}

void memory_model::fence_heavy(model_thread& me) noexcept {
  me.tick();
  me.clock.join(light_);
  me.clock.join(heavy_);
  heavy_ = me.clock;
}

const access* memory_model::race_of_read(plain_cell& c, model_thread& me, here at) noexcept {
  const std::uint32_t now = me.tick();
  if (!me.clock.covers(c.write.slot, c.write.time)) return &c.write;
  c.reads.time[me.slot] = now;
  c.last_read = {me.slot, now, me.id, at};
  return nullptr;
}

const access* memory_model::race_of_write(plain_cell& c, model_thread& me, here at) noexcept {
  const std::uint32_t now = me.tick();
  if (!me.clock.covers(c.write.slot, c.write.time)) return &c.write;
  for (std::uint32_t u = 0; u < max_threads; ++u) {
    if (!me.clock.covers(u, c.reads.time[u])) {
      c.last_read.slot = u;
      return &c.last_read;
    }
  }
  c.write = {me.slot, now, me.id, at};
  return nullptr;
}

}  // namespace wring::sim
