// SPDX-License-Identifier: Apache-2.0
// pool: what stands behind an io_pool: its queues, the domain they hash in, and the threads of its workers.
//
// Threads: any. Locks: those of its queues; mu_ (rank leaf) for the CPUs and the list of threads to be joined.
#pragma once

#include "base/fork.h"
#include "base/mutex.h"
#include "base/stable_pool.h"
#include "iowq/hash_domain.h"
#include "iowq/item.h"
#include "iowq/manager.h"
#include "iowq/queue.h"
#include "iowq/user.h"
#include "iowq/worker.h"
#include "sched/core.h"
#include "sched/place.h"

#include <wring/io_pool.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace wring::iowq {

class registry;

// Throws std::system_error (EINVAL), which says what is wrong with them.
const io_pool_options& valid(const io_pool_options& options);

class pool {
 public:
  pool* next = nullptr;  // in the registry
  pool* prev = nullptr;
  std::uint64_t number = 0;

  // Throws std::system_error, or std::bad_alloc. `of_a_thread`: with which it ends.
  pool(detail::core& where, const io_pool_options& options, std::shared_ptr<domain> its_domain,
       bool of_a_thread = false);
  // Ends it first.
  ~pool();
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  // ---- items ----
  // True: a worker runs it. Else it has been failed.
  bool enqueue(io_work& it) noexcept;
  bool enqueue(io_task& task) noexcept;
  [[nodiscard]] queue& queue_of(io_work& it) noexcept;
  // By a worker, or without one: refused.
  void do_work(io_work& it, worker* by, int refusal) noexcept;
  // It is over, and nobody's any more; what depends on it and is to run, or to be failed, now.
  [[nodiscard]] io_work* free_work(io_work& it, int refusal) noexcept;
  // 0, or -errno: it is to be failed with that.
  [[nodiscard]] int put(io_work& it) noexcept;
  void fail(io_work& it, int error) noexcept;
  void fail_all(work_list& items) noexcept;
  // (cancel.cc)
  io_cancel cancel(const matcher& match, io_which which) noexcept;
  io_cancel cancel_for_good() noexcept;

  // ---- limits (limits.cc) ----
  io_limits set_limits(const io_limits& wanted) noexcept;
  io_limits max_workers(const io_limits& wanted);
  void set_affinity(const std::vector<unsigned>& cpus);
  void set_cpus(const std::vector<unsigned>& cpus);  // those of the owner's; none: all of these
  void follow_cpus(const std::vector<unsigned>& usable);
  [[nodiscard]] bool may_use(unsigned cpu) const noexcept;
  void exit_on_idle(bool leave) noexcept;
  [[nodiscard]] bool exits_on_idle() const noexcept { return exits_on_idle_.load(base::order::relaxed); }
  unsigned run_notes() noexcept;

  // ---- the end (end.cc) ----
  void exit_start() noexcept;
  bool end(std::chrono::nanoseconds limit) noexcept;
  // After exit_start(): no thread is left, and nothing to do for one. Makes one if that is all there is to it.
  [[nodiscard]] bool rests() noexcept;
  [[nodiscard]] bool caller_is_inside() const noexcept;  // in an item of its own, or on its behalf (visit)
  [[nodiscard]] bool exiting() const noexcept { return exiting_.load(base::order::relaxed); }
  // What is enqueued fails; all items of that kind do.
  [[nodiscard]] bool refuses() const noexcept { return exiting() || cancelling_.load(base::order::relaxed); }
  [[nodiscard]] bool is_over_for(account_kind k) const noexcept {
    return cancelling_.load(base::order::relaxed) || (k == account_kind::unbounded && exiting());
  }
  void pin() noexcept { queues_.front().pin(); }
  void unpin() noexcept { queues_.front().unpin(); }

  // ---- the registry ----
  // Around a visit, which may be one that ends it; the destructor waits.
  void enter() noexcept { visits_.fetch_add(1, base::order::relaxed); }
  void leave() noexcept { visits_.fetch_sub(1, base::order::release); }  // pairs with ~pool()
  // Its runtime ends before it.
  void outlive() noexcept { registry_ = nullptr; }
  // The runtime has its threads now, for what was enqueued before. 0, or -errno: it has no manager.
  [[nodiscard]] int start() noexcept;
  [[nodiscard]] bool is_of_a_thread() const noexcept { return of_a_thread_; }

  // ---- workers ----
  [[nodiscard]] worker* new_worker() noexcept;  // null: no memory
  void forget_worker(worker& w) noexcept;       // it has no thread
  void has_left(worker& w) noexcept;            // the last that its thread does here
  void join_ended() noexcept;
  [[nodiscard]] bool may_make_workers_here() const noexcept;
  [[nodiscard]] bool owner_makes_workers() const noexcept { return creation_ == io_creation::by_owner; }
  [[nodiscard]] sched::place place_of(const queue& q) const;  // its workers'
  [[nodiscard]] int nice_of_workers() const noexcept { return owners_place_.nice; }
  // Changes with the CPUs of its workers.
  [[nodiscard]] std::uint32_t moves() const noexcept { return moves_.load(base::order::relaxed); }
  [[nodiscard]] std::chrono::nanoseconds idle_timeout() const noexcept { return idle_timeout_; }
  [[nodiscard]] unsigned enough() const noexcept { return enough_.load(base::order::relaxed); }
  [[nodiscard]] bool looks() const noexcept;  // at workers that have announced nothing

  // ---- profile node ----
  [[nodiscard]] bool is_of_nodes() const noexcept { return of_nodes_; }
  // It makes the workers.
  [[nodiscard]] bool has_manager() const noexcept { return manager_ && manager_->is_up() && !exiting(); }
  [[nodiscard]] manager& its_manager() noexcept { return *manager_; }
  [[nodiscard]] std::deque<queue>& queues() noexcept { return queues_; }
  // By who counts a thread in alive_, and is itself inside.
  void count_alive() noexcept { alive_.fetch_add(1, base::order::relaxed); }
  // By who may come while the pool ends; false: it does. The end says so before it asks who is alive.
  [[nodiscard]] bool begin_alive() noexcept {
    alive_.fetch_add(1, base::order::seq_cst);              // pairs with rests()
    if (!exiting_.load(base::order::seq_cst)) return true;  // pairs with exit_start()
    left_alive();
    return false;
  }
  void left_alive() noexcept;
  // IOWQ-22: a worker of that kind more, or fewer.
  void charge(account_kind k, int by) noexcept {
    if (user_ && k == account_kind::unbounded) user_->charge(by);
  }
  // IOWQ-24
  [[nodiscard]] bool admits_unbounded(unsigned running, unsigned free) const noexcept;

  [[nodiscard]] bool is_of_this_process() const noexcept { return forks_ == base::fork_generation(); }
  [[nodiscard]] detail::core& home() const noexcept { return core_; }
  [[nodiscard]] iowq::domain& domain() const noexcept { return *domain_; }
  [[nodiscard]] const std::shared_ptr<iowq::domain>& shared_domain() const noexcept { return domain_; }
  [[nodiscard]] unsigned owner_thread() const noexcept { return owner_thread_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[nodiscard]] io_pool_stats stats() const;
  [[nodiscard]] std::string describe() const;
  void audit() const;

 private:
  [[nodiscard]] unsigned clamped(unsigned workers) const noexcept;
  void use(std::vector<unsigned> asked) WRING_REQUIRES(mu_);
  [[nodiscard]] io_work* finish_task(io_task& task) noexcept;  // task.cc
  void unregister() noexcept;
  [[nodiscard]] bool run_what_waits() noexcept;
  void make_queues(const io_pool_options& options);

  detail::core& core_;
  const std::shared_ptr<iowq::domain> domain_;
  const std::string name_;
  const io_creation creation_;
  const io_callbacks callbacks_;
  const std::chrono::nanoseconds idle_timeout_;
  const unsigned hard_cap_;
  const sched::place owners_place_;
  const std::uint32_t owner_thread_;
  const std::uint32_t forks_;
  const bool of_a_thread_;
  const bool of_nodes_;
  const std::shared_ptr<user_account> user_;
  const bool owner_is_bound_;  // to some of the CPUs that the runtime might use
  registry* registry_;         // null: it has outlived its runtime
  base::atomic<unsigned> enough_;
  base::atomic<bool> exiting_{false};
  base::atomic<bool> cancelling_{false};
  base::atomic<bool> exits_on_idle_{false};
  base::atomic<std::uint32_t> alive_{0};   // workers that exist, or are being made, and the manager
  base::atomic<std::uint32_t> visits_{0};  // of the registry
  base::stable_pool<worker> memory_;
  mutable base::mutex mu_{base::rank::leaf};
  worker* ended_ WRING_GUARDED_BY(mu_) = nullptr;  // to be joined
  // Ascending: those of the owner's that may be used; those of them that were asked for, if any; of its workers.
  std::vector<unsigned> usable_ WRING_GUARDED_BY(mu_);
  std::vector<unsigned> asked_ WRING_GUARDED_BY(mu_);
  std::vector<unsigned> cpus_ WRING_GUARDED_BY(mu_);
  base::atomic<std::uint32_t> moves_{0};
  // Profile task: of bounded and of unbounded items. Profile node: of each node. Constant.
  std::deque<queue> queues_;
  std::vector<unsigned> queue_of_cpu_;                // profile node: index in queues_, by number of the CPU
  std::vector<std::vector<unsigned>> cpus_of_queue_;  // profile node: ascending
  std::unique_ptr<manager> manager_;                  // profile node
};

}  // namespace wring::iowq
