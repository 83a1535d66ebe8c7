// SPDX-License-Identifier: Apache-2.0
// workqueue: the public face of queues.

#include <wring/workqueue.h>

#include "workqueue/delayed.h"
#include "workqueue/pool_workqueue.h"
#include "workqueue/registry.h"

#include <string>
#include <utility>

namespace wring {

namespace {

detail::pool_workqueue& opened(runtime& where, const workqueue_options& options) {
  return where.core().workqueues<detail::registry>().open(options);
}

}  // namespace

workqueue::workqueue(workqueue_options options) : workqueue{runtime::default_instance(), options} {}
workqueue::workqueue(runtime& where, workqueue_options options) : pwq_{&opened(where, options)} {}
workqueue::workqueue(workqueue&& other) noexcept : pwq_{std::exchange(other.pwq_, nullptr)} {}

workqueue::~workqueue() {
  if (pwq_ == nullptr) return;
  if (detail::inside(*pwq_)) {
    pwq_->misuse("a queue was destroyed from one of its own callbacks, which would wait for itself; it is leaked");
    return;
  }
  pwq_->home().workqueues<detail::registry>().close(*pwq_);
}

result<workqueue> workqueue::create(workqueue_options options) {
  try {
    return create(runtime::default_instance(), options);
  } catch (const std::system_error& e) {
    return e.code();
  }
}

result<workqueue> workqueue::create(runtime& where, workqueue_options options) {
  try {
    return workqueue{opened(where, options)};
  } catch (const std::system_error& e) {
    return e.code();
  }
}

bool workqueue::queue(work& item) noexcept {
  detail::item& it = detail::item_access::of(item);
  const auto state = detail::state_of(it);
  // acq_rel: what the caller did before is visible to the run that takes this `pending`, also if it was set
  // already (WQ-64); pairs with the clearing in pool_workqueue::run().
  const std::uint64_t before = state.fetch_or(detail::item_state::pending, base::order::acq_rel);
  if ((before & detail::item_state::pending) != 0) return false;
  if ((before & detail::item_state::disabled_mask) == 0 && pwq_->submit(it)) return true;
  state.fetch_and(~detail::item_state::pending, base::order::release);
  return false;
}

bool workqueue::queue_delayed(delayed_work& item, std::chrono::nanoseconds delay) noexcept {
  return detail::queue_delayed(*pwq_, item, delay);
}

bool workqueue::modify(delayed_work& item, std::chrono::nanoseconds delay) noexcept {
  return detail::modify(*pwq_, item, delay);
}

bool workqueue::submit_closure(detail::item& closure) noexcept {
  detail::state_of(closure).init(detail::item_state::pending | detail::item_state::one_shot);
  if (pwq_->submit(closure)) return true;
  closure.entry(closure, detail::item_op::destroy);
  return false;
}

bool workqueue::flush() noexcept { return pwq_->flush(); }
bool workqueue::drain() noexcept { return pwq_->drain(); }
workqueue_stats workqueue::stats() const { return pwq_->stats(); }
std::string workqueue::name() const { return pwq_->name(); }
runtime& workqueue::owner() const noexcept { return pwq_->home().owner(); }

namespace detail {

void* closure_allocate(pool_workqueue& q, std::size_t bytes) { return q.home().allocate_block(bytes); }
void closure_free(pool_workqueue& q, void* closure) noexcept { q.home().free_block(closure); }
pool_workqueue& queue_of_place(std::uint64_t place) noexcept { return *item_place::queue_of(place); }

}  // namespace detail
}  // namespace wring
