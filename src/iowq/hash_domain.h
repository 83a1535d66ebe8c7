// SPDX-License-Identifier: Apache-2.0
// hash_domain: the buckets of items that run one after another, and who waits for them, over all pools that share it;
// and the limits that its pools have, those of the future included.
//
// Threads: any. Locks: mu_ (rank io_domain), below the lock of a queue. Why no release is lost: README.md, 5.
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "sched/core.h"

#include <wring/io_pool.h>

#include <optional>
#include <string>
#include <vector>

namespace wring::iowq {

class pool;
class queue;
class registry;

// Throws std::system_error (ECANCELED).
[[noreturn]] void refuse_after_its_runtime(const char* call);

class domain {
 public:
  domain* next = nullptr;  // in the registry
  domain* prev = nullptr;

  explicit domain(detail::core& where);
  ~domain();
  domain(const domain&) = delete;
  domain& operator=(const domain&) = delete;

  [[nodiscard]] detail::core& home() const noexcept { return core_; }

  // ---- buckets ----
  // By who holds `q`. True: the bucket is the caller's, until it releases it. False: it is busy, and q is told of its
  // release.
  [[nodiscard]] bool acquire(unsigned bucket, queue& q) noexcept;
  // `own`: looks at what waits there itself, and is not told; null: all are.
  void release(unsigned bucket, const queue* own) noexcept;
  // It waits for none any more.
  void forget(queue& q) noexcept;
  [[nodiscard]] std::uint64_t busy() const noexcept { return busy_.load(base::order::relaxed); }

  // ---- pools ----
  void add(pool& p);
  void remove(pool& p) noexcept;
  io_limits max_workers(const io_limits& wanted);
  void set_affinity(const std::vector<unsigned>& cpus);  // throws std::system_error (EINVAL, ECANCELED)

  // Of this_threads_pool().
  void set_options(const io_pool_options& options);
  [[nodiscard]] io_pool_options options(std::string& name) const;

  void audit() const;

  // ---- the registry ----
  void outlive() noexcept { registry_ = nullptr; }  // its runtime ends before it
  [[nodiscard]] bool outlives_its_runtime() const noexcept { return registry_ == nullptr; }
  // Around a fork; in the child, which has none of its pools, it is as new.
  void lock_for_fork() noexcept { mu_.lock_for_fork(); }
  void unlock_after_fork() noexcept { mu_.unlock_after_fork(); }
  void renew_in_child() noexcept;

 private:
  struct links {
    static queue*& next(queue& q) noexcept;
    static queue*& prev(queue& q) noexcept;
  };
  // Pinned: it stays until unpin().
  queue* next_told(std::uint64_t bit, const queue* own) noexcept;
  template <class F>
  void for_each_pool(const F& f);

  detail::core& core_;
  registry* registry_;                      // null: it has outlived its runtime
  base::atomic<std::uint64_t> busy_{0};     // a bit for each bucket of which a chain is held
  base::atomic<std::uint32_t> waiters_{0};  // queues on waiting_
  mutable base::mutex mu_{base::rank::io_domain};
  base::list<queue, links> waiting_ WRING_GUARDED_BY(mu_);  // for a bucket
  std::vector<pool*> pools_ WRING_GUARDED_BY(mu_);
  io_limits remembered_ WRING_GUARDED_BY(mu_){};
  std::vector<unsigned> cpus_ WRING_GUARDED_BY(mu_);  // empty: all
  io_pool_options options_ WRING_GUARDED_BY(mu_);
  std::string name_ WRING_GUARDED_BY(mu_) = "io";  // of options_
};

}  // namespace wring::iowq
