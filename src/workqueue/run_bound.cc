// SPDX-License-Identifier: Apache-2.0

#include "workqueue/run_bound.h"

#include "workqueue/pool_workqueue.h"

#include <wring/workqueue.h>

#include <algorithm>
#include <deque>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace wring::detail {

namespace {

struct bound_call : item {
  bound_call(void (*its_call)(void*, unsigned), void* its_context, unsigned its_cpu) noexcept
      : call{its_call}, context{its_context}, cpu{its_cpu} {
    state_of(*this).init(item_state::pending | item_state::one_shot);
    entry = [](item& self, item_op) {
      auto& c = static_cast<bound_call&>(self);
      c.call(c.context, c.cpu);
      c.end.done.complete();  // from here on the call, which the waiter owns, may be gone
    };
  }
  void (*call)(void*, unsigned);
  void* context;
  unsigned cpu;
  waiter end;
};

// All are queued before anybody waits. False: one was refused, and the ones after it were not tried.
bool run_on_each(slots& s, const sched::cpu_list& cpus, void (*call)(void*, unsigned), void* context) {
  std::deque<bound_call> calls;
  bool accepted = true;
  for (const unsigned cpu : cpus) {
    bound_call& c = calls.emplace_back(call, context, cpu);
    accepted = s.of_cpu(cpu).submit(c) == pool_workqueue::answer::taken;  // none of them is ever retired
    if (!accepted) {
      calls.pop_back();
      break;
    }
  }
  for (bound_call& c : calls) wait_blocking(c.end, "a call on a CPU", s.of_cpu(c.cpu));
  return accepted;
}

}  // namespace

void run_bound(pool_workqueue& q, const unsigned* cpu, void (*call)(void*, unsigned), void* context) {
  slots* const s = q.division();
  if (s == nullptr || !q.per_cpu()) {
    throw std::system_error{std::make_error_code(std::errc::no_such_device),
                            "wring: queue '" + q.name() + "' is not per_cpu, it runs nothing on a certain CPU"};
  }
  sched::cpu_list cpus = q.home().pools().masks().usable();
  if (cpu != nullptr) {
    if (!sched::has(cpus, *cpu) || s->at(*cpu) == nullptr) {
      throw std::system_error{std::make_error_code(std::errc::no_such_device),
                              "wring: CPU " + std::to_string(*cpu) + " is not one that queue '" + q.name() + "' uses"};
    }
    cpus = {*cpu};
  }
  std::erase_if(cpus, [s](unsigned c) { return s->at(c) == nullptr; });  // one that has just come
  if (q.home().is_early()) {
    throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "wring: queue '" + q.name() + "' runs nothing before runtime::start()"};
  }
  for (const unsigned c : cpus) {
    if (!s->of_cpu(c).is_the_callers_only_slot()) continue;
    q.misuse("a call on a CPU from a callback that holds the only slot there would wait for itself",
             "CPU " + std::to_string(c));
    throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "wring: queue '" + q.name() + "' runs one callback at a time on that CPU: the caller"};
  }
  if (!run_on_each(*s, cpus, call, context)) {
    throw std::system_error{std::make_error_code(std::errc::operation_canceled),
                            "wring: queue '" + q.name() +
                                (q.home().shutting_down() ? "' refuses calls after the shutdown() of its runtime"
                                                          : "' is being drained or destroyed")};
  }
}

void first_error::keep(std::exception_ptr error) noexcept {
  if (base::atomic_ref<std::uint32_t>{kept_}.exchange(1, base::order::relaxed) == 0) error_ = std::move(error);
}

void first_error::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

}  // namespace wring::detail
