// SPDX-License-Identifier: Apache-2.0

#include "sched/cpu_hogs.h"

#include "base/thread_state.h"

#include <algorithm>
#include <bit>

namespace wring::sched {

void cpu_hogs::note(const void* code, const std::string& queue, std::chrono::microseconds limit) {
  const unsigned threshold = limits_.cpu_intensive_warning();
  if (threshold == 0) return;
  const auto found = std::ranges::find_if(table_, [code](const entry& e) { return e.times == 0 || e.code == code; });
  if (found == table_.end()) return;
  found->code = code;
  ++found->times;
  if (found->times < threshold || !std::has_single_bit(found->times + 1 - threshold)) return;
  report_.warn("callback " + base::describe_code(code) + " of queue '" + queue + "' has used the CPU for more than " +
               std::to_string(limit.count()) + " us without blocking, " + std::to_string(found->times) +
               " times so far; others start beside it. Consider workqueue_options::cpu_intensive, or smaller items");
}

}  // namespace wring::sched
