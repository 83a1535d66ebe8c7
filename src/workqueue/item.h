// SPDX-License-Identifier: Apache-2.0
// item: the two atomic words of a work item.
//
// state (one word, changed by read-modify-writes):
//   pending  : 1   asked for and not started (WQ-40, WQ-62). Who sets it owns the item until it is published.
//   linked   : 1   the item behind it in its list is a barrier that belongs to it
//   one_shot : 1   a closure: made pending, run once, freed; pending is never looked at
//   barrier  : 1   waits for the item before it (flush of an item)
//   marker   : 1   ends a colour (flush of a queue)
//   child    : 1   a one_shot that belongs to a task_group
//   reviving : 1   the first call in a forked child makes the item idle; nobody else owns it meanwhile (README.md, 9)
//   timed    : 1   a delayed_work that was queued with its timer, which lies behind it
//   disabled :16   disable calls that have not been undone; while not 0 nothing is queued (WQ-98)
//   cancelling: 1  a cancel_sync call is under way, nothing is queued (WQ-96); it belongs to who has set it
//   forks    : 9   forks between the program's first process and the one that used the item last, modulo 512
//   worker   :30   who runs it or ran it last, plus one; written together with clearing `pending`
// place (one word): the queue the item is on or was on last, in the upper bits, and
//   listed   : 1   it is in a list of that queue; changed only by who holds that queue, hence exact for them
//   handed   : 1   that list is the private one of the worker that runs it (WQ-61)
//   colour   : 4   the flush colour it waits in
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "base/timer_wheel.h"

#include <wring/work.h>

#include <cstdint>

namespace wring {
class task_group;
}

namespace wring::detail {

class pool_workqueue;
struct group_wait;

namespace item_state {
inline constexpr std::uint64_t pending = 1;
inline constexpr std::uint64_t linked = 2;
inline constexpr std::uint64_t one_shot = 4;
inline constexpr std::uint64_t barrier = 8;
inline constexpr std::uint64_t marker = 16;
inline constexpr std::uint64_t child = 32;
inline constexpr std::uint64_t reviving = 64;
inline constexpr std::uint64_t timed = 128;
inline constexpr std::uint64_t disabled_one = std::uint64_t{1} << 8;
inline constexpr std::uint64_t disabled_mask = std::uint64_t{0xffff} << 8;
inline constexpr std::uint64_t cancelling = std::uint64_t{1} << 24;
inline constexpr std::uint64_t refusing = disabled_mask | cancelling;
inline constexpr unsigned forks_shift = 25;
inline constexpr std::uint64_t forks_mask = std::uint64_t{0x1ff} << forks_shift;
inline constexpr unsigned worker_shift = 34;
inline constexpr std::uint64_t worker_mask = std::uint64_t{0x3fffffff} << worker_shift;

// Workers are numbered over all pools of a runtime; 0 stands for none.
constexpr std::uint64_t worker_bits(unsigned pool, unsigned worker) noexcept {
  return (std::uint64_t{pool << 16 | worker} + 1) << worker_shift;
}
struct worker_number {
  unsigned pool;
  unsigned worker;
};
constexpr worker_number worker_of(std::uint64_t state) noexcept {
  const auto n = static_cast<unsigned>((state & worker_mask) >> worker_shift) - 1;
  return {n >> 16, n & 0xffff};
}
}  // namespace item_state

namespace item_place {
inline constexpr std::uint64_t listed = 1;
inline constexpr std::uint64_t handed = 2;
inline constexpr unsigned colour_shift = 2;
inline constexpr std::uint64_t flags = 63;

constexpr unsigned colour_of(std::uint64_t place) noexcept { return static_cast<unsigned>(place >> colour_shift) & 15; }
inline std::uint64_t make(const pool_workqueue& q, std::uint64_t with = 0, unsigned colour = 0) noexcept {
  return reinterpret_cast<std::uintptr_t>(&q) | with | std::uint64_t{colour} << colour_shift;
}
inline pool_workqueue* queue_of(std::uint64_t place) noexcept {
  return reinterpret_cast<pool_workqueue*>(place & ~flags);
}
}  // namespace item_place

inline base::atomic_ref<std::uint64_t> state_of(item& it) noexcept { return base::atomic_ref<std::uint64_t>{it.state}; }
inline base::atomic_ref<std::uint64_t> place_of(item& it) noexcept { return base::atomic_ref<std::uint64_t>{it.place}; }

using item_list = base::list<item>;

// What public items keep private.
class item_access {
 public:
  static item& of(work& w) noexcept { return w; }
  static item& of(const work& w) noexcept { return const_cast<work&>(w); }
  static item& of(delayed_work& d) noexcept { return d.work_; }
  static work& work_of(item& it) noexcept { return static_cast<work&>(it); }
  static base::timer& timer_of(delayed_work& d) noexcept { return *reinterpret_cast<base::timer*>(d.timer_.words); }
  static delayed_work& delayed_of(base::timer& t) noexcept;
  // Of an item that is `timed`.
  static base::timer& timer_behind(item& it) noexcept;
  static void run_children(task_group& g, pool_workqueue& q) noexcept;
  static void sleep(const group_wait& w) noexcept;
  static void call_back(group_wait& w) noexcept;
  static void nobody_is_called(task_group& g) noexcept;
  static bool has_unstarted(const task_group& g) noexcept;
  static void child_leaves_queue(item& it) noexcept;
  static void child_has_ended(task_group& g) noexcept;
  // By who may touch what the group's worker keeps (kept_children.h). False: it is counted as any other by now.
  static bool kept_child_has_ended(task_group& g) noexcept;
  static bool keep_child(item& it, pool_workqueue& in) noexcept;
  static base::atomic_ref<pool_workqueue*> kept_in(task_group& g) noexcept;
  static bool queue_kept_child(item& it) noexcept;  // true: somebody sleeps inside the queue who may have to run it
  static void count_kept_children(task_group& g) noexcept;
};

}  // namespace wring::detail
