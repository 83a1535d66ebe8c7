// SPDX-License-Identifier: Apache-2.0
// simulation, the part about waiting: futexes, locks, gates and time.
#include "sim/simulation.h"

#include <cerrno>
#include <utility>

namespace wring::sim {

int simulation::futex_wait(const std::uint32_t* address, std::uint32_t expected, std::uint64_t deadline, here at) {
  point(operation::futex_wait, address, at);
  const std::uint32_t place = memory_.atomic_at(address, *address).number;
  // The kernel compares under its own lock, which is a full barrier: it sees the newest value.
  if (*address != expected) {
    note(operation::futex_again, address, place, 0, 0);
    return -EAGAIN;
  }
  if (fault(rates_.futex)) {
    ++counted_.spurious_wakes;
    const bool interrupted = decisions_.any(2) != 0;
    note(interrupted ? operation::futex_interrupted : operation::futex_spurious, address, place, 0, 0);
    return interrupted ? -EINTR : 0;
  }
  outcome how = outcome::timeout;
  if (deadline > now_) {
    note(operation::futex_wait, address, place, 0, 0);
    ++counted_.futex_waits;
    how = block(waiting::futex, address, deadline);
  }
  // Being woken orders nothing: whoever relies on that has a fault.
  if (how == outcome::woken) {
    note(operation::futex_woken, address, place, 0, 0);
    return 0;
  }
  ++counted_.timeouts;
  note(operation::futex_timeout, address, place, 0, 0);
  return -ETIMEDOUT;
}

int simulation::futex_wake(const std::uint32_t* address, int count, here at) {
  point(operation::futex_wake, address, at);
  // The word may be gone: who wakes uses only its address.
  const std::uint32_t place = memory_.number_of_atomic(address);
  int woken = 0;
  while (woken < count) {
    std::array<virtual_thread*, max_threads> waiters;
    std::uint32_t n = 0;
    for (virtual_thread& t : threads_) {
      if (t.used && !t.finished && t.waits == waiting::futex && t.waits_for == address) waiters[n++] = &t;
    }
    if (n == 0) break;
    // The first that came is the quiet choice; the kernel promises no order.
    for (std::uint32_t i = 1; i < n; ++i) {
      if (waiters[i]->since < waiters[0]->since) std::swap(waiters[0], waiters[i]);
    }
    const bool all = static_cast<std::uint32_t>(count - woken) >= n;
    wake(*waiters[all || rates_.futex == 0 ? 0 : decisions_.any(n)], outcome::woken);
    ++woken;
  }
  if (woken != 0) changed();
  note(operation::futex_wake, address, place, static_cast<std::uint32_t>(woken), 0);
  return woken;
}

void simulation::lock(std::uint32_t* address, here at) {
  point(operation::lock, address, at);
  const std::uint32_t self = me().model.id;
  if (memory_.lock_at(address).owner == self) {
    fail(failure_kind::misuse, "locks a lock it holds already, at " + text_of(at));
  }
  // Whoever comes first takes it: a waiter that was woken may find it taken again.
  while (memory_.lock_at(address).owner != 0) {
    note(operation::lock_wait, address, memory_.lock_at(address).number, 0, 0);
    block(waiting::lock, address, no_timer);
  }
  lock_cell& c = memory_.lock_at(address);
  c.owner = self;
  c.locked_at = at;
  *address = 1;
  me().model.clock.join(c.released);
  note(operation::lock, address, c.number, 0, 0);
}

bool simulation::try_lock(std::uint32_t* address, here at) {
  point(operation::try_lock, address, at);
  lock_cell& c = memory_.lock_at(address);
  const bool taken = c.owner == 0;
  if (taken) {
    c.owner = me().model.id;
    c.locked_at = at;
    *address = 1;
    me().model.clock.join(c.released);
  }
  note(operation::try_lock, address, c.number, taken ? 1 : 0, 0);
  return taken;
}

void simulation::unlock(std::uint32_t* address, here at) {
  point(operation::unlock, address, at);
  lock_cell& c = memory_.lock_at(address);
  if (c.owner != me().model.id) fail(failure_kind::misuse, "unlocks a lock it does not hold, at " + text_of(at));
  me().model.tick();
  c.owner = 0;
  c.released = me().model.clock;
  *address = 0;
  changed();
  note(operation::unlock, address, c.number, 0, 0);
  wake_all(waiting::lock, address);
}

void simulation::gate_pass(const std::uint32_t* open, here at) {
  point(operation::lock, open, at);
  while (*open == 0) {
    ++counted_.unannounced_blocks;
    block(waiting::gate, open, no_timer);
  }
  me().model.clock.join(memory_.lock_at(open).released);
  note(operation::lock, open, 0, 0, 0);
}

void simulation::gate_open(std::uint32_t* open, here at) {
  point(operation::unlock, open, at);
  *open = 1;
  me().model.tick();
  memory_.lock_at(open).released.join(me().model.clock);
  changed();
  note(operation::unlock, open, 0, 0, 0);
  wake_all(waiting::gate, open);
}

void simulation::stall(std::uint64_t ns, here at) {
  point(operation::stall, nullptr, at);
  note(operation::stall, nullptr, 0, 0, 0);
  ++counted_.unannounced_blocks;
  block(waiting::time, nullptr, now_ + ns);
}

void simulation::spend(std::uint64_t ns, here at) {
  point(operation::spend, nullptr, at);
  now_ += ns;
  me().cpu_ns += ns;
  if (now_ >= next_timer_) fire_timers();
  note(operation::spend, nullptr, 0, 0, 0);
}

std::uint32_t simulation::choose(std::uint32_t n, here at) {
  begin_step(operation::choose, nullptr, at);
  const std::uint32_t v = n < 2 ? 0 : decisions_.any(n);
  note(operation::choose, nullptr, 0, v, 0);
  return v;
}

void simulation::mark(here at) {
  point(operation::mark, nullptr, at);
  note(operation::mark, nullptr, 0, 0, 0);
}

}  // namespace wring::sim
