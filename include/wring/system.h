// SPDX-License-Identifier: Apache-2.0
// system: the queues that always exist (WQ-36, WQ-47), and what belongs to no queue in particular.
//
// All parts of a program share them. A flush of one waits for everybody's items, and is warned about; flush your own.
#pragma once

#include <wring/runtime.h>
#include <wring/version.h>
#include <wring/work.h>
#include <wring/workqueue.h>

#include <chrono>
#include <cstdint>
#include <system_error>
#include <type_traits>
#include <utility>

namespace wring {

enum class system_kind : std::uint8_t {
  percpu,                     // "events": short callbacks; long ones hold up others of the same CPU unless they block
  highpri,                    // "events_highpri": per CPU, workers of high priority
  percpu_long,                // "events_long": per CPU, for callbacks that may take longer
  dfl,                        // "events_unbound": not bound to a CPU, max_active 2048
  dfl_long,                   // "events_dfl_long": likewise
  freezable,                  // "events_freezable": per CPU, takes part in freezes
  power_efficient,            // "events_power_efficient": see workqueue_options::power_efficient
  freezable_power_efficient,  // "events_freezable_pwr_efficient"
  bh,                         // "events_bh": run to completion, see workqueue_options::bh
  bh_highpri,                 // "events_bh_highpri"
};

// That queue, made at the first call, which may start a worker for each CPU. Throws std::system_error as workqueue's
// constructor. Any thread. Do not flush it from a callback of it, nor drain or destroy it.
WRING_EXPORT workqueue& system_queue(system_kind which, runtime& where = runtime::default_instance());
inline workqueue& system_queue(runtime& where = runtime::default_instance()) {
  return system_queue(system_kind::percpu, where);
}

// As the workqueue's functions, on the queue "events" of the default runtime.
inline bool schedule(work& item) { return system_queue().queue(item); }
inline bool schedule_on(unsigned cpu, work& item) { return system_queue().queue_on(cpu, item); }
inline bool schedule_delayed(delayed_work& item, std::chrono::nanoseconds delay) {
  return system_queue().queue_delayed(item, delay);
}
inline bool schedule_delayed_on(unsigned cpu, delayed_work& item, std::chrono::nanoseconds delay) {
  return system_queue().queue_delayed_on(cpu, item, delay);
}
template <class F>
auto run_on_cpu(unsigned cpu, F&& function) -> std::invoke_result_t<F&> {
  return system_queue().run_on(cpu, std::forward<F>(function));
}
template <class F>
void run_on_each_cpu(F&& function) {
  system_queue().run_on_each_cpu(std::forward<F>(function));
}

// While one lives, the calling thread says that it must not be held up: an event loop, a thread that paints. Scopes
// nest. It is a hint to execute_in_process_context(); it forbids nothing.
class WRING_EXPORT nonblocking_scope {
 public:
  nonblocking_scope() noexcept;
  ~nonblocking_scope();
  nonblocking_scope(const nonblocking_scope&) = delete;
  nonblocking_scope& operator=(const nonblocking_scope&) = delete;
  // Whether the calling thread is inside of one.
  static bool active() noexcept;
};

// Runs `function()` now and returns false, or, if the caller must not be held up, submits it to the system queue and
// returns true (WQ-48). Throws what the function throws, or as submit(), or std::system_error (ECANCELED): the queue
// refused it, because the runtime was shut down.
template <class F>
  requires std::is_invocable_v<std::decay_t<F>&>
bool execute_in_process_context(F&& function) {
  if (!nonblocking_scope::active()) {
    std::forward<F>(function)();
    return false;
  }
  if (!system_queue().submit(std::forward<F>(function))) {
    throw std::system_error{std::make_error_code(std::errc::operation_canceled),
                            "wring: the system queue takes nothing any more"};
  }
  return true;
}

}  // namespace wring
