// SPDX-License-Identifier: Apache-2.0
// task: io_task: what depends on it, who waits for it.

#include "base/fork.h"
#include "iowq/pool.h"

#include <wring/blocking.h>

namespace wring {

namespace {

// io_task::phase_: idle, busy or waited for in the lower two bits, fork_generation() above. Of another generation: it
// was busy in the parent of this process, and is idle here.
constexpr std::uint32_t idle = 0;
constexpr std::uint32_t busy_phase = 1;
constexpr std::uint32_t waited_for = 2;
constexpr std::uint32_t phase_mask = 3;
constexpr std::uintptr_t anyway = 1;

std::uint32_t here(std::uint32_t phase) noexcept { return base::fork_generation() << 2 | phase; }
std::uint32_t phase_in(std::uint32_t word) noexcept { return word >> 2 == here(idle) >> 2 ? word & phase_mask : idle; }

using access = detail::io_item_access;

io_task* next_of(std::uintptr_t then) noexcept { return reinterpret_cast<io_task*>(then & ~anyway); }

}  // namespace

io_task& io_task::then(io_task& next) noexcept {
  then_ = reinterpret_cast<std::uintptr_t>(&next);
  return next;
}

io_task& io_task::then_anyway(io_task& next) noexcept {
  then_ = reinterpret_cast<std::uintptr_t>(&next) | anyway;
  return next;
}

bool io_task::busy() const noexcept {
  return phase_in(access::phase(const_cast<io_task&>(*this)).load(base::order::acquire)) != idle;  // with finish_task()
}

void io_task::wait() noexcept { static_cast<void>(wait_for(std::chrono::nanoseconds::max())); }

bool io_task::wait_for(std::chrono::nanoseconds limit) noexcept {
  const auto phase = access::phase(*this);
  if (phase_in(phase.load(base::order::acquire)) == idle) return true;  // pairs with finish_task()
  const blocking_scope scope;
  const base::instant deadline = base::clock::deadline_after(limit);
  for (;;) {
    std::uint32_t seen = phase.load(base::order::acquire);  // pairs with finish_task()
    if (phase_in(seen) == idle) return true;
    if (seen == here(busy_phase) &&
        !phase.compare_exchange_strong(seen, here(waited_for), base::order::acquire, base::order::acquire)) {
      continue;  // pairs with finish_task()
    }
    if (base::futex_wait(phase, here(waited_for), deadline) == -ETIMEDOUT) return !busy();
  }
}

bool io_task::cancel() noexcept {
  if (!busy() || pool_ == nullptr) return false;
  const auto is_it = [](const io_work& w, void* self) noexcept { return &w == self; };
  return pool_->cancel({is_it, static_cast<io_work*>(this)}, io_which::first) == io_cancel::done;
}

void io_task::quiesce() noexcept {
  if (!busy()) return;
  if (const io_call* const call = io_call::current(); call != nullptr && &access::item(*call) == this) return;
  // Again and again: one that depends on another may begin only later.
  for (auto pause = std::chrono::milliseconds{1};; pause = std::min(2 * pause, std::chrono::milliseconds{64})) {
    cancel();
    if (wait_for(pause)) return;
  }
}

}  // namespace wring

namespace wring::iowq {

bool pool::enqueue(io_task& task) noexcept {
  if (task.busy()) {
    core_.report().misuse("an io_task is enqueued in io_pool '" + name_ + "' before it is over");
    return false;
  }
  // All that depends on it is busy from now on, and of this pool. Who is in a circle is busy already.
  for (io_task* t = &task; t != nullptr && !t->busy(); t = next_of(access::then(*t))) {
    set_kind(access::work(*t), item_kind::task);
    access::word(access::work(*t)) &= ~item_word::cancelled;
    access::pool(*t) = this;
    access::phase(*t).store(here(busy_phase), base::order::relaxed);  // who waits has been told of it otherwise
  }
  return enqueue(access::work(task));
}

io_work* pool::finish_task(io_task& task) noexcept {
  const std::uintptr_t then = std::exchange(access::then(task), 0);
  const bool goes_on = access::value(task) >= 0 || (then & anyway) != 0;
  const auto phase = access::phase(task);
  // From the exchange on, the task may be gone; what follows uses only its address. Pairs with busy(), wait_for().
  if ((phase.exchange(here(idle), base::order::release) & phase_mask) == waited_for) {
    base::futex_wake(phase, 1 << 30);
  }
  io_task* const follower = next_of(then);
  if (follower == nullptr) return nullptr;
  if (!goes_on) access::word(access::work(*follower)) |= item_word::cancelled;
  return &access::work(*follower);
}

}  // namespace wring::iowq
