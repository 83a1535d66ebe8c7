// SPDX-License-Identifier: Apache-2.0
// snapshot: what a pool does, for programs and for people; and the audit (IOWQ-111, IOWQ-120).

#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

namespace wring::iowq {

io_account_stats queue::stats() const {
  const base::lock_guard lock{mu_};
  io_account_stats s{};
  s.workers = workers_;
  s.workers_max = limit_;
  s.workers_most = most_;
  s.running = running_.load(base::order::relaxed);
  s.free = free_count_;
  s.queued = queued_;
  for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
    s.held += w->held();
    s.blocked += !w->is_free && !w->counts() ? 1U : 0U;
  }
  s.stalled = stalled_;
  s.started = started.load(base::order::relaxed);
  s.cancelled = only_failed.load(base::order::relaxed);
  s.refused = refused_identities.load(base::order::relaxed);
  s.interrupts = interrupts.load(base::order::relaxed);
  s.identity_changes = identity_changes.load(base::order::relaxed);
  s.created = created_;
  return s;
}

io_worker_stats worker::stats() const {
  const base::lock_guard lock{mu_};
  io_worker_stats s{};
  s.name = name_;
  s.thread_id = tid_.load(base::order::relaxed);
  s.bounded = home_->bounded();
  s.state = is_free    ? io_worker_stats::state_kind::free
            : counts() ? io_worker_stats::state_kind::running
                       : io_worker_stats::state_kind::blocked;
  if (current_ != nullptr) {
    s.tag = access::tag(*current_);
    s.running = base::clock::now() - began_;
    s.cancelled = is_cancelled();
    if (const identity& as = access::as(*current_); as.parts() != identity_part::none) s.identity = as.describe();
  }
  return s;
}

io_pool_stats pool::stats() const {
  io_pool_stats s{};
  s.name = name_;
  s.owner = owner_thread_;
  if (!is_of_this_process()) return s;
  s.exiting = exiting();
  s.exit_on_idle = exits_on_idle();
  s.bounded = bounded_.stats();
  s.unbounded = unbounded_.stats();
  for (const queue* q : {&bounded_, &unbounded_}) {
    q->for_each_worker([&](const worker& w) { s.workers.push_back(w.stats()); });
  }
  s.busy_buckets = domain_->busy();
  return s;
}

namespace {

void describe_account(base::writer& w, const char* kind, const io_account_stats& a) {
  w.put("  ", kind, ": ", a.workers, " of at most ", a.workers_max, " workers (", a.running, " run, ", a.blocked,
        " blocked, ", a.free, " idle), ", a.queued, " items wait", a.stalled ? ", all for busy keys" : "",
        a.held != 0 ? ", behind others of their keys " : "");
  if (a.held != 0) w.put(a.held);
  w.put("; ", a.started, " begun, ", a.cancelled, " only failed, ", a.interrupts, " interrupts\n");
}

}  // namespace

std::string pool::describe() const {
  const io_pool_stats s = stats();
  base::writer w;
  w.put("io_pool '", name_, "' of thread ", owner_thread_, s.exiting ? ", ending" : "",
        s.exit_on_idle ? ", leaves when idle" : "", "\n");
  describe_account(w, "bounded", s.bounded);
  describe_account(w, "unbounded", s.unbounded);
  for (const io_worker_stats& worker : s.workers) {
    if (worker.state == io_worker_stats::state_kind::free) continue;
    w.put("  ", worker.name, " (thread ", worker.thread_id, "), ", worker.bounded ? "bounded" : "unbounded",
          worker.state == io_worker_stats::state_kind::blocked ? ", blocked" : ", runs", ", in its item for ",
          std::chrono::duration_cast<std::chrono::milliseconds>(worker.running).count(), " ms",
          worker.cancelled ? ", cancelled" : "");
    if (!worker.identity.empty()) w.put(", as ", worker.identity);
    w.put("\n");
  }
  return std::move(w).take();
}

// Exact under the lock: what is linked, and what is counted of it.
void queue::audit() const {
  const base::lock_guard lock{mu_};
  unsigned waiting = 0;
  std::array<io_work*, hash_domain::buckets> last{};
  io_work* before = nullptr;
  for (io_work* it = waiting_.front(); it != nullptr; before = it, it = work_list::next(*it)) {
    ++waiting;
    if (!has(*it, item_word::hashed)) continue;
    const unsigned bucket = bucket_of(*it);
    WRING_CHECK(last.at(bucket) == nullptr || last.at(bucket) == before, bucket);  // in one piece
    last.at(bucket) = it;
  }
  WRING_CHECK(waiting == queued_, waiting, queued_);
  WRING_CHECK(last == tail_);
  WRING_CHECK(!stalled_ || waiting != 0, waiting);
  unsigned all = 0;
  unsigned idle = 0;
  for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
    ++all;
    idle += w->is_free ? 1U : 0U;
  }
  unsigned listed = 0;
  for (worker* w = free_.front(); w != nullptr; w = free_links::next(*w)) ++listed;
  WRING_CHECK(all == workers_ && idle == free_count_ && listed == free_count_, all, workers_, idle, listed,
              free_count_);
  WRING_CHECK(has_free_.load(base::order::relaxed) == (free_count_ != 0), free_count_);
  WRING_CHECK(running_.load(base::order::relaxed) + free_count_ <= workers_, running_.load(base::order::relaxed),
              free_count_, workers_);
}

void pool::audit() const {
  if (!is_of_this_process()) return;
  bounded_.audit();
  unbounded_.audit();
  domain_->audit();
  memory_.audit();
}

void domain::audit() const {
  const base::lock_guard lock{mu_};
  std::uint32_t waiting = 0;
  for (queue* q = waiting_.front(); q != nullptr; q = links::next(*q)) {
    ++waiting;
    WRING_CHECK(q->mask.load(base::order::relaxed) != 0, q);
  }
  WRING_CHECK(waiting == waiters_.load(base::order::relaxed), waiting);
}

}  // namespace wring::iowq
