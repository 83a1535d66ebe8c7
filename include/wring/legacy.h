// SPDX-License-Identifier: Apache-2.0
// legacy: the three constructors of old, for programs that are brought over from the kernel's interface (WQ-33). New
// code says what it needs in workqueue_options.
//
// They throw as workqueue's constructor. Each queue has a rescuer, as these always had.
#pragma once

#include <wring/workqueue.h>

#include <string_view>

namespace wring {

// One item at a time on each CPU.
inline workqueue create_workqueue(std::string_view name, runtime& where = runtime::default_instance()) {
  return workqueue{where, {.name = name, .max_active = 1, .per_cpu = true, .rescuer = true, .legacy = true}};
}

// One item at a time, not bound to a CPU, in freezes; in no promised order.
inline workqueue create_freezable_workqueue(std::string_view name, runtime& where = runtime::default_instance()) {
  return workqueue{where, {.name = name, .max_active = 1, .freezable = true, .rescuer = true, .legacy = true}};
}

// One item at a time, in the order of queueing.
inline workqueue create_singlethread_workqueue(std::string_view name, runtime& where = runtime::default_instance()) {
  return workqueue{where, {.name = name, .ordered = true, .rescuer = true, .legacy = true}};
}

}  // namespace wring
