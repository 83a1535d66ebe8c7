// SPDX-License-Identifier: Apache-2.0
// start: when a runtime gets its threads: at once, or later, when the program says so (WQ-145).

#include "sched/core.h"

#include <cerrno>
#include <string>

namespace wring::detail {

int core::start_first() {
  const int error = time_.start();
  return error != 0 ? error : pools_.managed(sched::urgency::normal).start();
}

// The timekeeper's is the first one: from then on others are made as they are needed, whatever is refused below.
int core::start() {
  const base::lock_guard lock{starting_mu_};
  if (shutting_down()) return 0;
  take_place();
  int error = start_first();
  for_each_component([&](component& c) {
    const int its_error = is_early() ? 0 : c.start_threads();
    if (error == 0) error = its_error;
  });
  return error == -ECANCELED ? 0 : error;  // shut down meanwhile
}

// Threads run where the one runs that makes them, as if it had made the runtime.
void core::take_place() {
  if (!is_early()) return;
  sched::place now = sched::place::of_program();
  pools_.between_topologies([&] { home_ = std::move(now); });
  const base::lock_guard lock{replan_mu_};
  seen_mask_ = home_.cpus;
  seen_count_ = replan_for(seen_mask_, true);
}

bool core::is_too_early_for(const char* call) {
  if (!is_early()) return false;
  report_.warn_once(sched::reporter::topic::too_early,
                    std::string{call} + " before runtime::start(), when nothing runs; it does not wait. Said once");
  return true;
}

// What the system refuses now is tried again by who waits (wait_blocking()), by timers, and at need.
void core::start_for(const char* call) noexcept {
  if (!is_early()) return;
  report_.warn_once(sched::reporter::topic::started_early,
                    std::string{call} +
                        " before runtime::start(): what was queued has to run, so the threads are made "
                        "now. Said once");
  const base::lock_guard lock{starting_mu_};
  if (!is_early()) return;
  try {
    take_place();
  } catch (const std::exception&) {  // no memory: they run where the runtime was made
  }
  time_.let_go();
  if (!time_.kick()) return;
  static_cast<void>(pools_.managed(sched::urgency::normal).start());
  for_each_component([](component& c) { static_cast<void>(c.start_threads()); });
}

}  // namespace wring::detail
