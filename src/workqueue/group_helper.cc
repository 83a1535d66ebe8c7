// SPDX-License-Identifier: Apache-2.0

#include "workqueue/group_helper.h"

#include "workqueue/group_wait.h"
#include "workqueue/registry.h"

#include <wring/task_group.h>

namespace wring::detail {

void item_access::run_children(task_group& g, pool_workqueue& q) noexcept { g.run_children(q); }
void item_access::sleep(const group_wait& w) noexcept { w.group.sleep(&w); }
void item_access::call_back(group_wait& w) noexcept { w.group.call_back(w); }
void item_access::nobody_is_called(task_group& g) noexcept { g.nobody_is_called(); }
bool item_access::has_unstarted(const task_group& g) noexcept { return g.has_unstarted(); }
void item_access::child_leaves_queue(item& it) noexcept { static_cast<child&>(it).group->child_leaves_queue(); }

void group_helper::prepare(pool_workqueue& its_queue, task_group& its_group, sched::worker_pool& its_pool,
                           waiter& its_end) noexcept {
  queue_ = &its_queue;
  group_ = &its_group;
  pool_ = &its_pool;
  end_ = &its_end;
}

// In a forked child.
void group_helper::renew_in_child() noexcept {
  mu_.renew_in_child();
  next = prev = nullptr;
  listed = false;
}

void group_helper::serve(sched::worker& w) {
  sched::worker_pool& pool = *pool_;
  waiter& end = *end_;
  {
    const base::lock_guard lock{mu_};
    w.code.store(nullptr, base::order::relaxed);
    w.serving.store(this, base::order::release);  // pairs with the timekeeper's look
  }
  const std::uint64_t start = base::clock::ticks();
  {
    const helper_frame inside{*queue_};
    item_access::run_children(*group_, *queue_);
  }
  if (sched::worker::current() != &w) return;  // a child forked and came back in the forked process
  queue_->charge_helper(w, base::clock::ticks() - start);
  {
    const base::lock_guard lock{mu_};
    pool.join_count(w);
    w.serving.store(nullptr, base::order::release);
  }
  end.done.complete();  // from here on the helper may serve another group
}

bool group_helper::leave_count(sched::worker& w, std::uint8_t why, const std::uint64_t* seq) {
  sched::worker_pool* pool = nullptr;
  {
    const base::lock_guard lock{mu_};
    if (w.serving.load(base::order::relaxed) != this) return false;
    if (seq != nullptr && w.turns.load(base::order::relaxed) != *seq) return false;
    if (seq != nullptr && w.out_of_count.load(base::order::relaxed) != 0) return false;
    pool = pool_;
    if (!pool->mark(w, why)) return false;
  }
  pool->left_count();
  return true;
}

void group_helper::join_count(sched::worker& w, std::uint8_t reasons, bool self) {
  const base::lock_guard lock{mu_};
  if (!self && w.serving.load(base::order::relaxed) != this) return;
  pool_->join_count(w, reasons);
}

bool group_helper::look(sched::worker& w, sight& seen) {
  const base::lock_guard lock{mu_};
  if (w.serving.load(base::order::relaxed) != this) return false;
  seen.code = w.code.load(base::order::relaxed);
  return true;
}

void help_and_sleep(pool_workqueue& q, group_wait& here) noexcept {
  base::sometimes("task_group needed another worker's stack");
  auto& memory = q.home().part<registry>().helpers();
  group_helper& helper = memory.acquire();
  waiter end;
  helper.prepare(q, here.group, q.pool(), end);
  q.pool().offer(helper);
  item_access::sleep(here);
  q.end_group_wait(here);
  if (!q.pool().withdraw(helper)) wait_blocking(end, "a task_group", q);
  memory.release(helper);
}

}  // namespace wring::detail
