// SPDX-License-Identifier: Apache-2.0
// account: the decisions about workers, as functions of plain numbers: no locks, no clock.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>

namespace wring::iowq {

// Of items, and of the workers that run them (IOWQ-4, IOWQ-20).
enum class account_kind : std::uint8_t { bounded, unbounded };
inline constexpr std::array both_kinds{account_kind::bounded, account_kind::unbounded};
constexpr account_kind other_than(account_kind k) noexcept {
  return k == account_kind::bounded ? account_kind::unbounded : account_kind::bounded;
}

// The numbers of one kind of item in a queue. 0 <= running <= workers.
struct account {
  unsigned free;     // idle workers that may take such an item
  unsigned running;  // not idle and not blocked; those that are woken or made included
  unsigned enough;   // with so many running nobody else is woken: CPUs of the pool; profile node: one
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
  bool last_one;      // of its account; profile node: no matter
  bool fixed;         // profile node: the first of its node (IOWQ-44)
  bool outside;       // it was last on a CPU that is not the pool's
  bool exit_on_idle;  // the pool rests
  bool exiting;       // the pool ends
  bool waits;         // something does, which cannot run now: its buckets are busy
};

// Whether an idle worker leaves (IOWQ-47, IOWQ-48, IOWQ-91).
constexpr bool leaves(const idleness& i) noexcept {
  if (i.waits && (i.last_one || i.exiting)) return false;
  if (i.exiting || i.fixed) return i.exiting;
  return i.exit_on_idle || (i.timed_out && (!i.last_one || i.outside));
}

enum class after_refusal : std::uint8_t {
  retry,     // later
  give_up,   // who is there will come by
  fail_all,  // nobody is
};

// An unbounded item that nobody could run is refused in profile node (IOWQ-24). `may_exceed`: the caller has the
// privilege to use more than the user is granted.
constexpr bool admits(unsigned running, unsigned free, unsigned charged, unsigned granted, bool may_exceed) noexcept {
  return granted != 0 && (running != 0 || free != 0 || charged < granted || may_exceed);
}

// The system refused a thread for the `attempt`th time in a row, counted from 1 (IOWQ-43). `workers`: those left.
constexpr after_refusal after(int error, unsigned attempt, bool exiting, unsigned workers) noexcept {
  const bool temporary = error == -EAGAIN || error == -EINTR || error == -ENOMEM;
  if (temporary && attempt <= 3 && !exiting) return after_refusal::retry;
  return workers != 0 ? after_refusal::give_up : after_refusal::fail_all;
}
// Until then, in milliseconds.
constexpr unsigned retry_delay_ms(unsigned attempt) noexcept { return 5 * attempt; }

}  // namespace wring::iowq
