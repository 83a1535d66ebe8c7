// SPDX-License-Identifier: Apache-2.0

#include "workqueue/registry.h"

#include "base/patience.h"
#include "workqueue/flush.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace wring::detail {

namespace {
constexpr std::size_t name_most = 31;

[[noreturn]] void refuse_options(const char* why) {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument), why};
}

[[noreturn]] void refuse_after_shutdown() {
  throw std::system_error{std::make_error_code(std::errc::operation_canceled),
                          "wring: the runtime was shut down; it takes no more queues"};
}

void check(const workqueue_options& o) {
  if (o.ordered && o.max_active > 1)
    refuse_options("wring: an ordered queue runs one item at a time; max_active must be 0 or 1");
  if (o.on_exception != on_exception::terminate && o.on_exception != on_exception::report)
    refuse_options("wring: workqueue_options::on_exception is none of its values, terminate and report");
  if (o.ordered && o.unmanaged) refuse_options("wring: an ordered queue cannot be unmanaged");
  const bool has_attributes = o.attributes != workqueue_attributes{};
  if (o.per_cpu && has_attributes)
    refuse_options("wring: attributes are of unbound queues; a per_cpu queue has a pool for each CPU");
  if (o.high_priority && o.attributes.nice != 0)
    refuse_options("wring: high_priority is nice -20; give one of the two");
  if (o.ordered && o.per_cpu)
    refuse_options("wring: an ordered queue has one order for all CPUs; it cannot be per_cpu");
  if (o.bh && (o.max_active != 0 || o.ordered || o.unmanaged || has_attributes || o.freezable || o.cpu_intensive ||
               o.power_efficient || o.rescuer))
    refuse_options("wring: only high_priority and per_cpu may come with bh, and max_active must be 0");
  if (o.power_efficient && (o.ordered || o.unmanaged || has_attributes))
    refuse_options(
        "wring: a power_efficient queue is per_cpu or unbound; it cannot be ordered or unmanaged, nor have attributes");
  if (o.unmanaged && o.per_cpu) refuse_options("wring: an unmanaged queue is not divided; it cannot be per_cpu");
}

// The machine has so many CPUs that a queue without a wish is to be divided (WQ-116).
bool is_crowd(core& where, const queue_settings& s) {
  return !s.ordered && !s.limited && !s.unmanaged && where.default_scope() != affinity_scope::system &&
         where.pools().planned() > where.options().cache_shard_size;
}

// Null: it was not asked for. WQ-28.
template <class PoolAt>
std::shared_ptr<sched::rescuer> made_rescuer(core& where, const workqueue_options& o,
                                             std::span<pool_workqueue* const> members, const PoolAt& pool_at) {
  if (!o.rescuer) return nullptr;
  auto r = std::make_shared<sched::rescuer>(o.name.substr(0, name_most), where.options().stack_bytes,
                                            where.pools().managed(sched::urgency::normal));
  int e = 0;
  try {
    for (std::size_t i = 0; i < members.size() && e == 0; ++i) e = r->add(*members[i], pool_at(i));
  } catch (...) {
    r->dismiss();
    throw;
  }
  const bool full = e != 0;
  if (e == 0) e = r->start();
  if (e == 0) return r;
  r->dismiss();
  throw std::system_error{std::error_code{-e, std::generic_category()},
                          full ? "wring: no more queues with a rescuer are possible there; 256 have one"
                               : "wring: the queue's rescuer could not be created"};
}

}  // namespace

void registry::start(sched::worker_pool& pool) {
  const int e = pool.start();
  if (e == -ECANCELED) refuse_after_shutdown();
  if (e != 0) {
    throw std::system_error{std::error_code{-e, std::generic_category()},
                            "wring: the first worker of pool " + pool.name() + " could not be created"};
  }
}

// Now it is seen by all. A shutdown that has begun since open() looked would not know of it.
pool_workqueue& registry::add(pool_workqueue& q, std::shared_ptr<sched::rescuer> its_rescuer) {
  {
    const base::lock_guard lock{mu_};
    if (!core_.shutting_down()) {  // pairs with core::shutdown(), which comes to refuse() after it has said so
      q.rescuer = std::move(its_rescuer);
      if (graph_) graph_->begin(q);
      for_each_member(q, [this](pool_workqueue& member) WRING_NO_ANALYSIS {
        open_.push_back(member);
        if (core_.frozen() && member.freezable()) member.set_frozen(true);  // pairs with follow_freeze()
      });
      return q;
    }
  }
  for_each_member(q, [](pool_workqueue& member) { member.refuse(); });
  if (its_rescuer) its_rescuer->dismiss();
  release(q);
  refuse_after_shutdown();
}

pool_workqueue& registry::open(const workqueue_options& asked, bool is_system) {
  check(asked);
  workqueue_options options = asked;
  if (asked.bh) options.per_cpu = true;
  if (asked.power_efficient) options.per_cpu = !core_.power_efficient();
  if (core_.shutting_down()) refuse_after_shutdown();
  const std::string name{options.name.substr(0, name_most)};
  if (options.name.size() > name_most) {
    core_.report().warn("queue name '" + std::string{options.name} + "' is cut to 31 characters");
  }
  const unsigned most = options.max_active == 0 ? pool_workqueue::max_active_default : options.max_active;
  queue_settings s{.attributes = options.attributes,
                   .limited = options.max_active != 0,
                   .max_active = options.ordered ? 1 : clamped(most, name),
                   .ordered = options.ordered,
                   .unmanaged = options.unmanaged,
                   .per_cpu = options.per_cpu,
                   .bh = options.bh,
                   .high_priority = options.high_priority};
  if (options.high_priority && s.attributes.nice == 0) s.attributes.nice = sched::worker_pool::high_nice;
  detail::check(core_, s.attributes);
  const bool plain = s.attributes == workqueue_attributes{.nice = s.attributes.nice} && !s.per_cpu;
  if (!plain || is_crowd(core_, s)) core_.topology();

  const base::lock_guard lock{mapping_mu_};
  mapping m = mapping::of(core_, s);
  for (const part& p : m.parts()) start(*p.pool);
  std::vector<pool_workqueue*> members;
  std::shared_ptr<sched::rescuer> its_rescuer;
  std::unique_ptr<queue_settings> settings;
  std::unique_ptr<slots> division;
  try {
    members.reserve(m.parts().size());
    for (std::size_t i = 0; i < m.parts().size(); ++i) members.push_back(&memory_.acquire());
    if (!plain || s.limited || s.attributes.nice != 0) settings = std::make_unique<queue_settings>(s);
    if (m.divided()) division = divided(*members.front(), m, members, s.per_cpu);
    its_rescuer = made_rescuer(core_, options, members,
                               [&m](std::size_t i) -> sched::worker_pool& { return *m.parts()[i].pool; });
  } catch (...) {
    for (pool_workqueue* const q : members) memory_.release(*q);
    throw;
  }
  pool_workqueue& first = *members.front();
  first.open(core_, options, *m.parts().front().pool, m.parts().front().max_active, nullptr);
  for (std::size_t i = 1; i < members.size(); ++i) {
    members[i]->open_beside(first, *m.parts()[i].pool, m.parts()[i].max_active);
    first.add_member(*members[i]);
  }
  first.settings = std::move(settings);
  if (division) first.divide(std::move(division));
  if (is_system) first.mark_as_system();
  m.keep();
  return add(first, std::move(its_rescuer));
}

// WQ-22, WQ-127.
unsigned registry::clamped(unsigned max_active, const std::string& name) {
  constexpr unsigned most = pool_workqueue::max_active_most;
  if (max_active >= 1 && max_active <= most) return max_active;
  const unsigned used = max_active == 0 ? 1 : most;
  core_.report().warn("queue '" + name + "': max_active " + std::to_string(max_active) +
                      (max_active == 0 ? " is below 1" : " is above 2048") + "; using " + std::to_string(used));
  return used;
}

bool registry::set_max_active(pool_workqueue& q, unsigned max_active) {
  if (q.ordered() || q.pool().runs_to_completion()) {
    core_.report().warn("queue '" + q.name() + "' is " +
                        (q.ordered() ? "ordered, its max_active stays 1" : "bh, it has no max_active"));
    return false;
  }
  const unsigned most = clamped(max_active, q.name());
  const base::lock_guard lock{mapping_mu_};
  queue_settings s = settings_of(q);
  s.max_active = most;
  s.min_active = std::min(s.min_active, s.max_active);
  s.limited = true;
  change_limits(q, s);
  return true;
}

bool registry::set_min_active(pool_workqueue& q, unsigned min_active) {
  if (q.ordered() || q.per_cpu()) {
    core_.report().warn("queue '" + q.name() + "' is " + (q.ordered() ? "ordered" : "per_cpu") +
                        ", it has no min_active");
    return false;
  }
  const base::lock_guard lock{mapping_mu_};
  queue_settings s = settings_of(q);
  s.min_active = std::min(min_active, s.max_active);
  change_limits(q, s);
  return true;
}

// In whatever order begin and thaw come here, the last one leaves what is so now.
void registry::follow_freeze() noexcept {
  const base::lock_guard lock{mu_};
  const bool frozen = core_.frozen();
  for (pool_workqueue* q = open_.front(); q != nullptr; q = base::list<pool_workqueue, links>::next(*q)) {
    if (q->freezable()) q->set_frozen(frozen);
  }
}

bool registry::freeze_busy() noexcept {
  bool busy = false;
  for_each_open([&busy](pool_workqueue& q) { busy = busy || (q.freezable() && q.is_active()); });
  return busy;
}

void registry::close(pool_workqueue& q) noexcept {
  {
    const base::lock_guard lock{mapping_mu_};  // from now on it keeps its pools
    q.for_each_at_the_end([](pool_workqueue& member) { member.refuse(); });
  }
  if (core_.is_early()) {
    bool rest = true;
    q.for_each_at_the_end([&rest](pool_workqueue& member) { rest = member.at_rest() && rest; });
    if (!rest) core_.start_for("the end of a queue that is not empty");
  }
  flush_until_empty(q);
  q.for_each_at_the_end([](pool_workqueue& member) {
    for (base::patience p; !member.at_rest(); p.pause()) continue;
  });
  std::shared_ptr<sched::rescuer> its_rescuer;
  {
    const base::lock_guard lock{mu_};
    q.for_each_at_the_end([this](pool_workqueue& member) WRING_NO_ANALYSIS { open_.remove(member); });
    its_rescuer = std::move(q.rescuer);
  }
  if (its_rescuer) its_rescuer->dismiss();
  if (graph_) graph_->end(q);
  release(q);
}

// A queue that is made or mapped at the same time has done so when it is looked at here, or finds the runtime started:
// both happen under mapping_mu_. Pools stay, and so do rescuers while they are held here.
int registry::start_threads() {
  std::vector<sched::worker_pool*> pools;
  std::vector<std::shared_ptr<sched::rescuer>> rescuers;
  {
    const base::lock_guard lock{mapping_mu_};
    for_each_open([&](pool_workqueue& q) {
      if (!q.is_retired()) pools.push_back(&q.pool());
      if (q.rescuer) rescuers.push_back(q.rescuer);
    });
  }
  int error = 0;
  for (auto pool = pools.begin(); error == 0 && pool != pools.end(); ++pool) error = (*pool)->start();
  for (auto r = rescuers.begin(); error == 0 && r != rescuers.end(); ++r) error = (*r)->start();
  return error;
}

void registry::end_threads() noexcept {
  std::vector<std::shared_ptr<sched::rescuer>> all;
  for_each_open([&all](pool_workqueue& q) {
    if (q.rescuer) all.push_back(q.rescuer);
  });
  for (const auto& r : all) r->stop();
}

void registry::release(pool_workqueue& q) noexcept {
  const std::unique_ptr<slots> its_slots{q.take_division()};
  q.settings.reset();
  q.for_each_at_the_end([this](pool_workqueue& member) {
    if (member.uses_its_pool()) core_.pools().leave(member.pool());
    member.end();
    memory_.release(member);
  });
}

workqueue& registry::system_queue(system_kind which) {
  std::unique_ptr<workqueue>& there = system_[static_cast<std::size_t>(which)];
  {
    const base::lock_guard lock{system_mu_};
    if (there) return *there;
  }
  // May start threads, so not under the lock; a second one made meanwhile is destroyed after it.
  pool_workqueue& q = open(options_of(which), true);
  std::unique_ptr<workqueue> made{new workqueue{q}};
  const base::lock_guard lock{system_mu_};
  if (!there) there.swap(made);
  return *there;
}

void registry::audit() const {
  memory_.audit();
  for_each_open([](pool_workqueue& q) { q.audit(); });
  if (graph_) graph_->audit();
}

void registry::describe(base::writer& w) const {
  for_each_open([&](pool_workqueue& q) { q.describe(w); });
  if (graph_) graph_->describe(w);
}

bool registry::ready_to_end(sched::reporter& report) {
  {
    decltype(system_) last;  // ends after the lock
    const base::lock_guard lock{system_mu_};
    last.swap(system_);
  }
  std::string name;
  {
    const base::lock_guard lock{mu_};
    // Queues of before a fork may belong to threads that are not in this process.
    pool_workqueue* q = open_.front();
    while (q != nullptr && !q->is_of_this_process()) q = base::list<pool_workqueue, links>::next(*q);
    if (q == nullptr) return true;
    name = q->name();
  }
  report.misuse("a runtime is destroyed while queue '" + name + "' exists; destroy its queues first");
  return false;
}

void registry::refuse() noexcept {
  for_each_open([](pool_workqueue& q) { q.refuse(); });
}

// In two rounds, as an item may move on to a queue that was looked at already; then something starts between them.
bool registry::at_rest() noexcept {
  bool rest = true;
  std::array<std::uint64_t, 2> started{};
  for (std::uint64_t& sum : started) {
    for_each_open([&](pool_workqueue& q) {
      rest = rest && q.at_rest();
      sum += q.items_started();
    });
  }
  return rest && started[0] == started[1];
}

void registry::unfinished(shutdown_report& report) {
  for_each_open([&](pool_workqueue& q) {
    if (q.is_idle()) return;
    report.queues.push_back(q.name() + ": " + std::to_string(q.stats().active) + " running, " +
                            std::to_string(q.waiting()) + " waiting");
  });
}

void registry::lock_for_fork() noexcept {
  system_mu_.lock_for_fork();
  mapping_mu_.lock_for_fork();
  mu_.lock_for_fork();
  memory_.lock_for_fork();
  helpers_.lock_for_fork();
  if (graph_) graph_->lock_for_fork();
}

void registry::unlock_after_fork() noexcept {
  if (graph_) graph_->unlock_after_fork();
  helpers_.unlock_after_fork();
  memory_.unlock_after_fork();
  mu_.unlock_after_fork();
  mapping_mu_.unlock_after_fork();
  system_mu_.unlock_after_fork();
}

bool registry::caller_is_inside() const noexcept { return inside(core_); }

// All there are, not only the open ones: who came by an outdated pointer may have held any. mu_ is held since before
// the fork, as open_ and the rescuers need.
void registry::renew_in_child() noexcept WRING_NO_ANALYSIS {
  memory_.for_each([](pool_workqueue& q) { q.renew_in_child(); });
  for (pool_workqueue* q = open_.front(); q != nullptr; q = base::list<pool_workqueue, links>::next(*q)) {
    if (q->rescuer) q->rescuer->renew_in_child();
  }
  helpers_.for_each([](group_helper& h) { h.renew_in_child(); });
  if (graph_) graph_->renew_in_child();
  frame::forget_all();
}

}  // namespace wring::detail
