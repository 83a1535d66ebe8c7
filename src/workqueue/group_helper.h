// SPDX-License-Identifier: Apache-2.0
// group_helper: lends a waiting callback the stack of another worker.
//
// A callback that waits for its task_group runs children itself while it has stack. When that is used up and
// its queue has no free slot, nobody else could start them: they have to run in the waiter's own slot. The
// waiter then offers a helper to the pool and blocks; the worker that serves it runs the group's children
// as if it were the waiter. The two never run at the same time, so the slot stays one.
//
// Memory is type-stable (registry): the timekeeper may look at a helper that has just ended.
// Locks: mu_ (rank queue) for what a worker's `serving` refers to.
#pragma once

#include "base/mutex.h"
#include "sched/source.h"
#include "sched/worker_pool.h"
#include "workqueue/execution.h"

namespace wring {
class task_group;
}

namespace wring::detail {

// Says "inside an item of this queue" for a thread that helps with a group.
class helper_frame : protected frame {
 public:
  explicit helper_frame(pool_workqueue& its_queue) noexcept {
    queue = &its_queue;
    one_shot = true;
    enter();
  }
  ~helper_frame() { leave(); }
  helper_frame(const helper_frame&) = delete;
  helper_frame& operator=(const helper_frame&) = delete;
};

// And runs one of its children on the spot. To the pool that is a turn of its own, and so is what follows.
class child_frame : helper_frame {
 public:
  child_frame(pool_workqueue& its_queue, item& child) noexcept : helper_frame{its_queue} {
    running = &child;
    sched::worker* const w = sched::worker::current();
    if (w == nullptr) return;
    outer_code_ = w->code.load(base::order::relaxed);
    w->code.store(reinterpret_cast<const void*>(child.entry), base::order::relaxed);
    w->begin_child();
  }
  ~child_frame() {
    sched::worker* const w = sched::worker::current();
    if (w == nullptr) return;  // or the child's callback has forked, and this is the forked process
    w->code.store(outer_code_, base::order::relaxed);
    w->end_child();
  }
  child_frame(const child_frame&) = delete;
  child_frame& operator=(const child_frame&) = delete;

 private:
  const void* outer_code_ = nullptr;
};

class group_helper : public sched::source {
 public:
  void prepare(pool_workqueue& its_queue, task_group& its_group, sched::worker_pool& its_pool,
               waiter& its_end) noexcept;

  void renew_in_child() noexcept;

  void serve(sched::worker& w) override;
  bool leave_count(sched::worker& w, std::uint8_t why, const std::uint64_t* seq) override;
  void join_count(sched::worker& w, std::uint8_t reasons, bool self) override;
  bool relieve(sched::worker&, std::uint64_t) override { return false; }  // it holds nothing that others could start
  bool look(sched::worker& w, sight&) override;
  [[nodiscard]] std::string name() const override { return "task_group"; }

 private:
  pool_workqueue* queue_ = nullptr;
  task_group* group_ = nullptr;
  sched::worker_pool* pool_ = nullptr;
  waiter* end_ = nullptr;
  base::mutex mu_{base::rank::queue};
};

// Ends a group_wait that has begun: sleeps until the group's children have finished, or it is called back, while a
// helper runs them.
void help_and_sleep(pool_workqueue& q, group_wait& here) noexcept;

}  // namespace wring::detail
