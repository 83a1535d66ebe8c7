// SPDX-License-Identifier: Apache-2.0
// placement: where the workers of a pool run (WQ-116, WQ-117). A value.
#pragma once

#include "sched/cpu_masks.h"

namespace wring::sched {

struct placement {
  cpu_list cpus{};    // only on these; empty: where the program does
  cpu_list pod{};     // woken, they begin on these; empty: on any of `cpus`
  bool away = false;  // `cpus` stand for the one that the pool is of, which may not be used now (WQ-131)

  friend bool operator==(const placement&, const placement&) = default;
};

}  // namespace wring::sched
