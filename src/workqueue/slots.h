// SPDX-License-Identifier: Apache-2.0
// slots: which pool_workqueue of a queue an item goes to, by the CPU it is queued on (WQ-6, WQ-41..44). A queue whose
// items all go to its first has none.
//
// The slots of a CPU may change while the queue lives (mapping.h): who reads an old one finds that pool_workqueue
// retired, and looks again.
// Threads: any. Written under registry::mapping_mu_.
#pragma once

#include "base/sync.h"
#include "base/topology.h"

#include <cstdint>
#include <vector>

namespace wring::detail {

class pool_workqueue;
struct item;

class slots {
 public:
  // All empty at first.
  slots(const base::topology& machine, pool_workqueue& of_queue, bool round_robin);

  [[nodiscard]] bool cpu_exists(unsigned cpu) const noexcept { return machine_.exists(cpu); }

  // Null: it is empty; items of such a CPU go to another one in turn.
  void set(unsigned cpu, pool_workqueue* q) noexcept {
    if (cpu < by_cpu_.size()) by_cpu_[cpu].store(q, base::order::release);  // pairs with at()
  }
  [[nodiscard]] pool_workqueue* at(unsigned cpu) const noexcept {
    return cpu < by_cpu_.size() ? by_cpu_[cpu].load(base::order::acquire) : nullptr;  // pairs with set()
  }
  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(by_cpu_.size()); }

  // Of the pool the caller is inside of, else of its CPU; if that is none of the queue's, the next in turn (WQ-41).
  [[nodiscard]] pool_workqueue& here() noexcept;
  // Of that CPU; if it is none of the queue's, the next in turn (WQ-43).
  [[nodiscard]] pool_workqueue& of_cpu(unsigned cpu) noexcept;
  // Of the caller's CPU if it is on that node, else of the node's first one, else as here() (WQ-42).
  [[nodiscard]] pool_workqueue& near(unsigned node) noexcept;

 private:
  [[nodiscard]] pool_workqueue& in_turn() noexcept;

  const bool round_robin_;
  const base::topology& machine_;  // the runtime's
  pool_workqueue& queue_;
  std::vector<base::atomic<pool_workqueue*>> by_cpu_;  // by number
  base::atomic<std::uint32_t> turn_{0};
};

// The pool_workqueue of this queue that the caller's items go to; `first`: that of the handle.
pool_workqueue& home_of(pool_workqueue& first) noexcept;

// As pool_workqueue::submit(), but it goes on to where the queue's items go by now, and an item that a worker of
// another pool of the queue still runs goes to that one, which runs it next (WQ-61). False: refused.
bool enqueue(pool_workqueue& chosen, item& it) noexcept;
// The same for items that run once; where it went, or null.
pool_workqueue* enqueue_one_off(pool_workqueue& chosen, item& it) noexcept;

}  // namespace wring::detail
