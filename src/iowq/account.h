// SPDX-License-Identifier: Apache-2.0
// account: the decisions about workers, as functions of plain numbers: no locks, no clock.
#pragma once

#include <cerrno>
#include <cstdint>

namespace wring::iowq {

// The numbers of one kind of item in a pool. 0 <= running <= workers; free are those that are idle.
struct account {
  unsigned free;
  unsigned running;  // not idle and not blocked; those that are woken or made included
  unsigned enough;   // with so many running nobody else is woken: CPUs of the pool
  unsigned workers;
  unsigned limit;
};

enum class supply : std::uint8_t {
  leave,  // some worker comes by
  wake,   // one that is idle
  make,   // a new one
};

// An item that can run waits (IOWQ-33, IOWQ-34, IOWQ-46). `concurrent`: although somebody runs.
constexpr supply supply_for(const account& a, bool concurrent) noexcept {
  if (a.free != 0) return concurrent || a.running < a.enough ? supply::wake : supply::leave;
  return (concurrent || a.running == 0) && a.workers < a.limit ? supply::make : supply::leave;
}

struct idleness {
  bool timed_out;     // it was idle for the whole time
  bool last_one;      // of its account
  bool outside;       // it was last on a CPU that is not the pool's
  bool exit_on_idle;  // the pool rests
  bool exiting;       // the pool ends
  bool waits;         // something does, which cannot run now: its buckets are busy
};

// Whether an idle worker leaves (IOWQ-47, IOWQ-48, IOWQ-91).
constexpr bool leaves(const idleness& i) noexcept {
  if (i.waits && (i.last_one || i.exiting)) return false;
  return i.exiting || i.exit_on_idle || (i.timed_out && (!i.last_one || i.outside));
}

enum class after_refusal : std::uint8_t {
  retry,     // later
  give_up,   // who is there will come by
  fail_all,  // nobody is
};

// The system refused a thread for the `attempt`th time in a row, counted from 1 (IOWQ-43). `workers`: those left.
constexpr after_refusal after(int error, unsigned attempt, bool exiting, unsigned workers) noexcept {
  const bool temporary = error == -EAGAIN || error == -EINTR || error == -ENOMEM;
  if (temporary && attempt <= 3 && !exiting) return after_refusal::retry;
  return workers != 0 ? after_refusal::give_up : after_refusal::fail_all;
}
// Until then, in milliseconds.
constexpr unsigned retry_delay_ms(unsigned attempt) noexcept { return 5 * attempt; }

}  // namespace wring::iowq
