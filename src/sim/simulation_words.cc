// SPDX-License-Identifier: Apache-2.0
// simulation, the part about words: atomics, plain data and fences.
#include "sim/simulation.h"

#include <cstring>

namespace wring::sim {

namespace {

std::uint64_t raw_of(door::word w) noexcept {
  std::uint64_t v = 0;
  std::memcpy(&v, w.address, w.size);
  return v;
}

}  // namespace

order simulation::weakened(order o, here at) const noexcept {
  if (weaken_line_ == 0 || at.line != weaken_line_) [[likely]]
    return o;
  return std::strstr(at.file, weaken_name_.c_str()) != nullptr ? order::relaxed : o;
}

atomic_cell& simulation::cell_of(door::word w, std::uint64_t raw) {
  atomic_cell& c = memory_.atomic_at(w.address, raw);
  if (!me().model.clock.covers(c.birth.slot, c.birth.time)) [[unlikely]] {
    race("this use of an atomic is not ordered behind its construction", c.birth, me().at);
  }
  return c;
}

std::uint32_t simulation::staleness(atomic_cell& c, order o) {
  if (!options_.weak_memory) return 0;
  const std::uint32_t older = memory_.older_choices(c, me().model, o);
  if (older == 0) return 0;
  if (c.stale_in_row >= stale_in_row) {
    c.stale_in_row = 0;
    return 0;
  }
  const std::uint32_t back = decisions_.stale(older + 1);
  if (back == 0) {
    c.stale_in_row = 0;
  } else {
    ++c.stale_in_row;
    ++counted_.stale_loads;
  }
  return back;
}

std::uint64_t simulation::load(door::word w, order o, here at) {
  point(operation::load, w.address, at);
  o = weakened(o, at);
  atomic_cell& c = cell_of(w, raw_of(w));
  const std::uint32_t back = staleness(c, o);
  const std::uint64_t v = memory_.read(c, me().model, o, back);
  note(operation::load, w.address, c.number, back, v);
  return v;
}

void simulation::store(door::word w, std::uint64_t value, order o, here at) {
  point(operation::store, w.address, at);
  atomic_cell& c = cell_of(w, raw_of(w));
  memory_.write(c, me().model, weakened(o, at), value);
  std::memcpy(w.address, &value, w.size);
  changed();
  note(operation::store, w.address, c.number, 0, value);
}

std::uint64_t simulation::modify(door::word w, door::rmw op, std::uint64_t operand, order o, here at) {
  const operation shown = op == door::rmw::exchange ? operation::exchange : operation::modify;
  point(shown, w.address, at);
  const std::uint64_t old = raw_of(w);
  atomic_cell& c = cell_of(w, old);
  const std::uint64_t value = door::apply(op, old, operand, w.size);
  memory_.modify(c, me().model, weakened(o, at), value);
  std::memcpy(w.address, &value, w.size);
  changed();
  note(shown, w.address, c.number, 0, value);
  return old;
}

bool simulation::compare_exchange(door::word w, std::uint64_t& expected, std::uint64_t desired, order ok, order fail,
                                  bool weak, here at) {
  point(operation::compare, w.address, at);
  const std::uint64_t newest = raw_of(w);
  atomic_cell& c = cell_of(w, newest);
  fail = weakened(fail, at);
  std::uint32_t back = 0;
  if (weak && fault(rates_.weak_cas)) {
    // Fails although the value may be the expected one.
  } else {
    // A failing one is only a load; but it may not fail because of an old value that is the expected one.
    back = staleness(c, fail);
    if (back != 0 && c.store_at(c.newest - back).value == expected) back = 0;
    if (back == 0 && newest == expected) {
      memory_.modify(c, me().model, weakened(ok, at), desired);
      std::memcpy(w.address, &desired, w.size);
      changed();
      note(operation::compare, w.address, c.number, 0, desired);
      return true;
    }
  }
  expected = memory_.read(c, me().model, fail, back);
  note(operation::compare_failed, w.address, c.number, back, expected);
  return false;
}

void simulation::born(const void* address) {
  model_thread& t = me().model;
  memory_.born(address, t, t.tick());
}

void simulation::race(const char* what, const access& earlier, here at) {
  std::string text =
      std::string{"race: "} + what + " (" + text_of(at) + "); the other: T" + std::to_string(earlier.thread);
  if (earlier.at.line != 0) text += " at " + text_of(earlier.at);
  fail(failure_kind::race, text);
}

void simulation::plain_read(const void* address, here at) {
  plain_cell& c = memory_.plain_at(address);
  if (const access* other = memory_model::race_of_read(c, me().model, at)) {
    race("a read is not ordered with a write", *other, at);
  }
}

void simulation::plain_write(const void* address, here at) {
  plain_cell& c = memory_.plain_at(address);
  if (const access* other = memory_model::race_of_write(c, me().model, at)) {
    race("a write is not ordered with another access", *other, at);
  }
}

void simulation::fence_light(here at) {
  point(operation::fence_light, nullptr, at);
  memory_.fence_light(me().model);
  note(operation::fence_light, nullptr, 0, 0, 0);
}

void simulation::fence_heavy(here at) {
  point(operation::fence_heavy, nullptr, at);
  memory_.fence_heavy(me().model);
  note(operation::fence_heavy, nullptr, 0, 0, 0);
}

}  // namespace wring::sim
