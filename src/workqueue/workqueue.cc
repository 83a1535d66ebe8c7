// SPDX-License-Identifier: Apache-2.0
// workqueue: the public face of queues.

#include <wring/workqueue.h>

#include "workqueue/delayed.h"
#include "workqueue/flush.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/registry.h"
#include "workqueue/revive.h"
#include "workqueue/run_bound.h"
#include "workqueue/slots.h"
#include "workqueue/wait_graph.h"

#include <string>
#include <utility>

namespace wring {

namespace {

detail::pool_workqueue& opened(runtime& where, const workqueue_options& options) {
  return where.core().part<detail::registry>().open(options);
}

}  // namespace

workqueue::workqueue(const workqueue_options& options) : workqueue{runtime::default_instance(), options} {}
workqueue::workqueue(runtime& where, const workqueue_options& options) : pwq_{&opened(where, options)} {}
workqueue::workqueue(workqueue&& other) noexcept : pwq_{std::exchange(other.pwq_, nullptr)} {}

workqueue::~workqueue() {
  if (pwq_ == nullptr) return;
  if (detail::inside_queue_of(*pwq_)) {
    pwq_->misuse("a queue was destroyed from one of its own callbacks, which would wait for itself; it is leaked");
    return;
  }
  detail::note_wait(*pwq_, {"the destructor", __builtin_return_address(0)});
  pwq_->home().part<detail::registry>().close(*pwq_);
}

result<workqueue> workqueue::create(const workqueue_options& options) {
  try {
    return create(runtime::default_instance(), options);
  } catch (const std::system_error& e) {
    return e.code();
  }
}

result<workqueue> workqueue::create(runtime& where, const workqueue_options& options) {
  try {
    return workqueue{opened(where, options)};
  } catch (const std::system_error& e) {
    return e.code();
  }
}

namespace {

// True: `pending` was not set, and is the caller's now.
bool claim(detail::item& it) noexcept {
  using namespace detail::item_state;
  const auto state = detail::state_of(it);
  // An item that nobody has used yet: nothing of another process can be in it, and in a forked child it must not pay
  // for looking. acq_rel, as below.
  std::uint64_t unused = 0;
  if (state.load(base::order::relaxed) == 0 &&
      state.compare_exchange_strong(unused, detail::forks_now() | pending, base::order::acq_rel,
                                    base::order::relaxed)) {
    return true;
  }
  for (;;) {
    // acq_rel: what the caller did before is visible to the run that takes this `pending`, also if it was set
    // already (WQ-64); pairs with the clearing in pool_workqueue::run().
    const std::uint64_t before = state.fetch_or(pending, base::order::acq_rel);
    const std::uint64_t odd = (before ^ detail::forks_now()) & (pending | refusing | forks_mask | reviving);
    if (odd == 0) return true;
    if ((odd & (forks_mask | reviving)) != 0) {
      detail::revive_slow(it);
      continue;
    }
    if ((odd & pending) == 0) state.fetch_and(~pending, base::order::release);  // it is being cancelled, or disabled
    return false;
  }
}

bool queue_item(detail::pool_workqueue& q, detail::item& it) noexcept {
  if (!claim(it)) return false;
  if (detail::enqueue(q, it)) return true;
  detail::state_of(it).fetch_and(~detail::item_state::pending, base::order::release);
  return false;
}

// Null: there is no such CPU, which was reported.
detail::pool_workqueue* of_cpu(detail::pool_workqueue& q, unsigned cpu) noexcept {
  detail::slots* const s = q.division();
  if (s == nullptr) return &q;
  if (s->cpu_exists(cpu)) return &s->of_cpu(cpu);
  q.misuse("an item was queued on a CPU that does not exist", "CPU " + std::to_string(cpu));
  return nullptr;
}

}  // namespace

namespace detail {

queue_for_later::queue_for_later(workqueue& q) noexcept
    : queue_{&home_of(*q.pwq_)}, generation_{queue_->generation()} {}

bool queue_for_later::accepts() const noexcept { return queue_->accepts(); }

bool queue_for_later::queue(work& item, const char* kind) const noexcept {
  struct guest {  // once the item is queued, the runtime may end
    core& home;
    ~guest() { home.leave(); }
  } const inside{queue_->home()};
  inside.home.enter();
  if (queue_->generation() == generation_) return queue_item(*queue_, item_access::of(item));
  queue_->home().report().warn(std::string{kind} +
                               " came due for a queue that was destroyed; it is dropped (cancel it before)");
  return false;
}

void queue_for_later::misuse(const char* what) const { queue_->misuse(what); }

std::uint32_t queue_for_later::forks() noexcept { return base::fork_generation(); }

}  // namespace detail

bool workqueue::queue(work& item) noexcept { return queue_item(detail::home_of(*pwq_), detail::item_access::of(item)); }

bool workqueue::queue_on(unsigned cpu, work& item) noexcept {
  detail::pool_workqueue* const q = of_cpu(*pwq_, cpu);
  return q != nullptr && queue_item(*q, detail::item_access::of(item));
}

bool workqueue::queue_near(unsigned node, work& item) noexcept {
  detail::slots* const s = pwq_->division();
  if (s == nullptr) return queue(item);
  if (pwq_->per_cpu()) {
    pwq_->home().report().warn_once(
        sched::reporter::topic::queue_near,
        "queue_near() on the per-CPU queue '" + pwq_->name() + "': it is meant for unbound ones. Said once");
  }
  return queue_item(s->near(node), detail::item_access::of(item));
}

bool workqueue::queue_delayed(delayed_work& item, std::chrono::nanoseconds delay) noexcept {
  return detail::queue_delayed(detail::home_of(*pwq_), item, delay);
}

bool workqueue::queue_delayed_on(unsigned cpu, delayed_work& item, std::chrono::nanoseconds delay) noexcept {
  detail::pool_workqueue* const q = of_cpu(*pwq_, cpu);
  return q != nullptr && detail::queue_delayed(*q, item, delay);
}

bool workqueue::modify(delayed_work& item, std::chrono::nanoseconds delay) noexcept {
  return detail::modify(detail::home_of(*pwq_), item, delay);
}

namespace {

// `q` null: refused already; `owner` is any queue of the runtime that the closure's storage is from.
bool submit_one_off(detail::pool_workqueue& owner, detail::pool_workqueue* q, detail::item& closure) noexcept {
  detail::state_of(closure).init(detail::item_state::pending | detail::item_state::one_shot);
  if (q != nullptr && detail::enqueue_one_off(*q, closure) != nullptr) return true;
  if (q == nullptr) detail::place_of(closure).store(detail::item_place::make(owner), base::order::relaxed);
  closure.entry(closure, detail::item_op::destroy);
  return false;
}

}  // namespace

bool workqueue::submit_closure(detail::item& closure) noexcept {
  return submit_one_off(*pwq_, &detail::home_of(*pwq_), closure);
}

bool workqueue::submit_closure_on(unsigned cpu, detail::item& closure) noexcept {
  return submit_one_off(*pwq_, of_cpu(*pwq_, cpu), closure);
}

void workqueue::run_bound(const unsigned* cpu, void (*call)(void*, unsigned), void* context) {
  detail::note_wait(*pwq_, {cpu != nullptr ? "run_on()" : "run_on_each_cpu()", __builtin_return_address(0)});
  detail::run_bound(*pwq_, cpu, call, context);
}

bool workqueue::flush() noexcept {
  detail::note_wait(*pwq_, {"flush()", __builtin_return_address(0)});
  return !pwq_->home().is_too_early_for("flush()") && detail::flush(*pwq_);
}
bool workqueue::drain() noexcept {
  detail::note_wait(*pwq_, {"drain()", __builtin_return_address(0)});
  return !pwq_->home().is_too_early_for("drain()") && detail::drain(*pwq_);
}
bool workqueue::set_max_active(unsigned max_active) {
  return pwq_->home().part<detail::registry>().set_max_active(*pwq_, max_active);
}
bool workqueue::set_min_active(unsigned min_active) {
  return pwq_->home().part<detail::registry>().set_min_active(*pwq_, min_active);
}

void workqueue::set_attributes(const workqueue_attributes& attributes) {
  pwq_->home().part<detail::registry>().set_attributes(*pwq_, attributes);
}
workqueue_attributes workqueue::attributes() const { return pwq_->home().part<detail::registry>().attributes(*pwq_); }

workqueue_stats workqueue::stats() const {
  workqueue_stats sum = pwq_->stats();
  bool limit_is_known = !pwq_->is_retired();
  for (detail::pool_workqueue* member = pwq_->next_member(); member != nullptr; member = member->next_member()) {
    const workqueue_stats s = member->stats();
    if (!limit_is_known && !member->is_retired()) {
      limit_is_known = true;
      sum.max_active = s.max_active;
    }
    sum.active += s.active;
    sum.congested = sum.congested || s.congested;
    sum.items_started += s.items_started;
    sum.items_completed += s.items_completed;
    sum.cpu_time += s.cpu_time;
    sum.cpu_intensive += s.cpu_intensive;
    sum.repatriated += s.repatriated;
    sum.cm_wakeups += s.cm_wakeups;
    sum.exceptions += s.exceptions;
    sum.rejected += s.rejected;
    sum.maydays += s.maydays;
    sum.rescued += s.rescued;
  }
  return sum;
}
std::string workqueue::name() const { return pwq_->name(); }
runtime& workqueue::owner() const noexcept { return pwq_->home().owner(); }

namespace detail {

void* closure_allocate(pool_workqueue& q, std::size_t bytes) { return q.home().allocate_block(bytes); }
void closure_free(pool_workqueue& q, void* closure) noexcept { q.home().free_block(closure); }
pool_workqueue& queue_of_place(std::uint64_t place) noexcept { return *item_place::queue_of(place); }

}  // namespace detail
}  // namespace wring
