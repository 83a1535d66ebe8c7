// SPDX-License-Identifier: Apache-2.0
// future: the waiting half; the rest are templates.

#include <wring/future.h>

#include "base/fork.h"
#include "base/parker.h"
#include "sched/fork.h"
#include "workqueue/pool_workqueue.h"

#include <wring/blocking.h>

#include <algorithm>
#include <system_error>

namespace wring::detail {

namespace {
using event = base::basic_completion<base::atomic_ref<std::uint32_t>>;
event of(std::uint32_t& word) noexcept { return event{base::atomic_ref<std::uint32_t>{word}}; }
constexpr const char* a_result = "a result";
}  // namespace

once_event::once_event() noexcept : forks_{base::fork_generation()} {}

void once_event::set() noexcept { of(word_).complete(); }

// A runtime that has started stays so, and its futures do not look again.
void once_event::comes_from(const pool_workqueue& q) noexcept {
  if (q.home().is_early()) early_ = &q.home();
}

bool once_event::wait() {
  if (is_set()) return true;
  if (forks_ != base::fork_generation()) return false;
  if (early_ != nullptr && is_early(*early_)) {
    throw std::system_error{std::make_error_code(std::errc::resource_deadlock_would_occur),
                            "wring: a future was waited for before runtime::start(), when nothing runs"};
  }
  const blocking_scope scope;
  const sched::wait_note note{a_result, nullptr};
  of(word_).wait();
  return true;
}

bool once_event::wait_for(std::chrono::nanoseconds timeout) noexcept {
  if (is_set()) return true;
  if (forks_ != base::fork_generation()) return false;
  const blocking_scope scope;
  const sched::wait_note note{a_result, nullptr};
  return of(word_).wait(base::clock::now() + std::max(timeout, std::chrono::nanoseconds::zero()));
}

bool once_event::is_set() const noexcept { return of(const_cast<std::uint32_t&>(word_)).completed(); }

}  // namespace wring::detail
