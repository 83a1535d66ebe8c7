// SPDX-License-Identifier: Apache-2.0
// snapshot: what a pool does, for programs and for people; and the audit (IOWQ-111, IOWQ-120).

#include "iowq/hash_domain.h"
#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

namespace wring::iowq {

void queue::add_stats(account_kind k, io_account_stats& to) const {
  const base::lock_guard lock{mu_};
  const ledger& l = of(k);
  to.workers += l.workers;
  to.workers_max += l.limit;
  to.workers_most += l.most;
  to.running += l.running.load(base::order::relaxed);
  to.free += l.free_count;
  to.queued += l.queued;
  for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
    if (w->kind != k) continue;
    to.held += w->held();
    to.blocked += !w->is_free && !w->counts() ? 1U : 0U;
  }
  to.stalled = to.stalled || (stalled_ && l.queued != 0);
  const counters& c = counted_[static_cast<std::size_t>(k)];
  to.started += c.started.load(base::order::relaxed);
  to.cancelled += c.only_failed.load(base::order::relaxed);
  to.refused += c.refused_identities.load(base::order::relaxed);
  to.interrupts += c.interrupts.load(base::order::relaxed);
  to.identity_changes += c.identity_changes.load(base::order::relaxed);
  to.created.enqueue += l.created.enqueue;
  to.created.note += l.created.note;
  to.created.retry += l.created.retry;
  to.created.manager += l.created.manager;
  to.created.refused += l.created.refused;
}

io_worker_stats worker::stats() const {
  const base::lock_guard lock{mu_};
  io_worker_stats s{};
  s.name = name_;
  s.thread_id = tid_.load(base::order::relaxed);
  s.bounded = kind == account_kind::bounded;
  s.node = home_->node();
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
  for (const queue& q : queues_) {
    q.add_stats(account_kind::bounded, s.bounded);
    q.add_stats(account_kind::unbounded, s.unbounded);
    q.for_each_worker([&](const worker& w) { s.workers.push_back(w.stats()); });
    if (!of_nodes_) continue;
    io_node_stats& n = s.nodes.emplace_back(io_node_stats{.node = q.node(), .bounded = {}, .unbounded = {}});
    q.add_stats(account_kind::bounded, n.bounded);
    q.add_stats(account_kind::unbounded, n.unbounded);
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
  for (const io_node_stats& n : s.nodes) {
    w.put("  node ", n.node, ": ", n.bounded.workers, " bounded and ", n.unbounded.workers, " unbounded workers, ",
          n.bounded.queued + n.unbounded.queued, " items wait\n");
  }
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
  const unsigned queued = of(account_kind::bounded).queued + of(account_kind::unbounded).queued;
  WRING_CHECK(waiting == queued, waiting, queued);
  WRING_CHECK(last == tail_);
  WRING_CHECK(!stalled_ || waiting != 0, waiting);
  for (const account_kind k : both_kinds) {
    const ledger& l = of(k);
    unsigned all = 0;
    unsigned idle = 0;
    for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
      if (w->kind != k) continue;
      ++all;
      idle += w->is_free ? 1U : 0U;
    }
    unsigned listed = 0;
    for (worker* w = l.free.front(); w != nullptr; w = free_links::next(*w)) ++listed;
    WRING_CHECK(all == l.workers && idle == l.free_count && listed == l.free_count, all, l.workers, idle, listed,
                l.free_count);
    WRING_CHECK(l.has_free.load(base::order::relaxed) == (l.free_count != 0), l.free_count);
    const unsigned running = l.running.load(base::order::relaxed);
    WRING_CHECK(running + l.free_count <= l.workers, running, l.free_count, l.workers);
    WRING_CHECK(serves(k) || (all == 0 && l.queued == 0), all, l.queued);
  }
}

void pool::audit() const {
  if (!is_of_this_process()) return;
  for (const queue& q : queues_) q.audit();
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
