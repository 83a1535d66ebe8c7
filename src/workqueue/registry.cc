// SPDX-License-Identifier: Apache-2.0

#include "workqueue/registry.h"

#include <string>
#include <system_error>

namespace wring::detail {

namespace {
constexpr std::size_t name_most = 31;
}

pool_workqueue& registry::open(const workqueue_options& options) {
  if (options.ordered && options.max_active > 1) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring: an ordered queue runs one item at a time; max_active must be 0 or 1"};
  }
  if (options.ordered && options.unmanaged) {
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "wring: an ordered queue cannot be unmanaged"};
  }
  const std::string name{options.name.substr(0, name_most)};
  if (options.name.size() > name_most) {
    core_.report().warn("queue name '" + std::string{options.name} + "' is cut to 31 characters");
  }
  if (options.max_active > pool_workqueue::max_active_most) {
    core_.report().warn("queue '" + name + "': max_active " + std::to_string(options.max_active) +
                        " is above 2048; using 2048");
  }
  if (options.unmanaged) {
    if (const int e = core_.unmanaged_pool().start(); e != 0) {
      throw std::system_error{std::error_code{-e, std::generic_category()},
                              "wring: the first worker could not be created"};
    }
  }
  pool_workqueue& q = memory_.acquire();
  q.open(core_, options);
  const base::lock_guard lock{mu_};
  open_.push_back(q);
  return q;
}

void registry::close(pool_workqueue& q) noexcept {
  q.close();
  {
    const base::lock_guard lock{mu_};
    open_.remove(q);
  }
  memory_.release(q);
}

void registry::audit() const {
  memory_.audit();
  const base::lock_guard lock{mu_};
  for (pool_workqueue* q = open_.front(); q != nullptr; q = open_.next(*q)) q->audit();
}

void registry::describe(base::writer& w) const {
  const base::lock_guard lock{mu_};
  for (pool_workqueue* q = open_.front(); q != nullptr; q = open_.next(*q)) q->describe(w);
}

bool registry::ready_to_end(sched::reporter& report) {
  std::string name;
  {
    const base::lock_guard lock{mu_};
    if (open_.empty()) return true;
    name = open_.front()->name();
  }
  report.misuse("a runtime is destroyed while queue '" + name + "' exists; destroy its queues first");
  return false;
}

}  // namespace wring::detail
