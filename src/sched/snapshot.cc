// SPDX-License-Identifier: Apache-2.0
// snapshot: a pool's state for people and tests: stats, description, audit.

#include "sched/worker_pool.h"

#include <string>

namespace wring::sched {

namespace {

// In a description.
constexpr std::size_t idle_named_most = 16;

worker_stats snapshot_of(worker& w) {
  worker_stats s{
      .name = w.pool.name_of(w), .description = {}, .state = worker_stats::state_kind::idle, .items_started = 0};
  s.items_started = w.items_started();
  const source* const serving = w.serving.load(base::order::acquire);
  if (serving == nullptr) return s;
  s.state = (w.out_of_count.load(base::order::relaxed) & worker::waits) != 0 ? worker_stats::state_kind::blocked
                                                                             : worker_stats::state_kind::running;
  s.description = w.description_text();
  if (s.description.empty()) s.description = serving->name();
  return s;
}

}  // namespace

// "wring/u0:3", "wring/5:2H", "wring/R-log" (WQ-108).
std::string worker_pool::name_of(const worker& w) const {
  if (w.is_rescuer) {
    const source* const s = w.serving.load(base::order::acquire);  // pairs with the source's store
    return "wring/R-" + (s != nullptr ? s->name() : "?");
  }
  const std::string index = ":" + std::to_string(w.index);
  if (config_.cpu < 0) return "wring/" + name() + index;
  const std::string cpu = std::to_string(config_.cpu);
  return "wring/" + cpu + index + name().substr(cpu.size());
}

void worker_pool::append_workers(std::vector<worker_stats>& out) const {
  for_each_worker([&out](worker& w) {
    const bool idle_rescuer = w.is_rescuer && w.serving.load(base::order::relaxed) == nullptr;
    if (!w.leaving.load(base::order::relaxed) && !idle_rescuer) out.push_back(snapshot_of(w));
    return false;
  });
}

pool_stats worker_pool::stats() const {
  pool_stats s{};
  s.name = name();
  s.target = target();
  {
    const base::lock_guard lock{idle_mu_};
    s.workers = alive_;
    s.idle = idle_count_;
  }
  std::uint64_t blocked_ns = 0;
  for_each_worker([&](const worker& w) {
    s.items_started += w.items_started();
    blocked_ns += w.blocked_ns.load(base::order::relaxed);
    if (w.serving.load(base::order::relaxed) == nullptr) return false;
    const std::uint8_t reasons = w.out_of_count.load(base::order::relaxed);
    ++((reasons & worker::waits) != 0 ? s.blocked : s.running);
    if ((reasons & worker::cpu_intensive) != 0) ++s.cpu_intensive;
    return false;
  });
  s.blocked_time = std::chrono::nanoseconds{blocked_ns};
  s.workers_max = alive_max_.load(base::order::relaxed);
  s.blocked_max = static_cast<unsigned>(blocked_max_.load(base::order::relaxed));
  s.wakeups = wakeups_.load(base::order::relaxed);
  s.workers_created = created_.load(base::order::relaxed);
  s.workers_retired = retired_.load(base::order::relaxed);
  s.creation_failures = refused_.load(base::order::relaxed);
  s.limit_reached = limit_reached_.load(base::order::relaxed);
  s.stalls = stalls_.load(base::order::relaxed);
  s.stall_reports = watchdog_.reports();
  s.blocks_seen = blocks_seen_.load(base::order::relaxed);
  s.cpu_intensive_seen = cpu_intensive_seen_.load(base::order::relaxed);
  s.looks = looks_.load(base::order::relaxed);
  s.restored = restored_.load(base::order::relaxed);
  s.repatriated = repatriated_.load(base::order::relaxed);
  {
    const base::lock_guard lock{place_mu_};
    s.disassociated = place_.away || disassociated_.load(base::order::relaxed);
    s.cpus = place_.cpus;
    s.pod = place_.pod;
  }
  s.nice = config_.nice;
  s.priority_refused = priority_refused_.load(base::order::relaxed);
  return s;
}

void worker_pool::describe(base::writer& w) const {
  const pool_stats s = stats();
  if (s.workers == 0) return;
  const pool_word::counts c = word_.load();
  std::vector<unsigned> idle;
  bool managing = false;
  {
    const base::lock_guard lock{idle_mu_};
    managing = managing_;
    for (worker* k = idle_.front(); k != nullptr && idle.size() < idle_named_most; k = base::list<worker>::next(*k))
      idle.push_back(k->index);
  }
  w.put("pool ", name(), s.disassociated ? " (not on its CPU)" : "",
        s.priority_refused ? " (without its priority)" : "", ": target ", s.target, ", awake ", c.awake, ", searching ",
        c.searching, ", workers ", s.workers, " (idle ", s.idle, ", running ", s.running, ", blocked ", s.blocked,
        "), most ", s.workers_max, managing ? ", one is being made" : "", more() ? ", sources wait" : "");
  if (const std::uint64_t since = stands_since_ns_.load(base::order::relaxed); since != 0 && more())
    w.put(", has started nothing for ", (base::clock::now().ns - since) / 1'000'000, " ms");
  w.put("\n");
  if (!idle.empty()) {
    w.put("  idle, the next one first:");
    for (const unsigned index : idle) w.put(" ", index);
    w.put(idle.size() < s.idle ? " ...\n" : "\n");
  }
  std::vector<worker_stats> workers;
  append_workers(workers);
  for (const worker_stats& k : workers) {
    if (k.state == worker_stats::state_kind::idle) continue;
    w.put("  ", k.name, k.state == worker_stats::state_kind::blocked ? " blocked in " : " runs ", k.description,
          ", item ", k.items_started, "\n");
  }
}

// Exact only while nobody comes and goes; what can be recounted under the locks is checked always.
void worker_pool::audit() const {
  {
    const base::lock_guard lock{idle_mu_};
    unsigned idle = 0;
    for (worker* w = idle_.front(); w != nullptr; w = base::list<worker>::next(*w)) {
      ++idle;
      WRING_CHECK(w->serving.load(base::order::relaxed) == nullptr, w->index);
    }
    WRING_CHECK(idle == idle_count_, idle, idle_count_);
    WRING_CHECK(idle_count_ <= alive_ && alive_ <= most_workers(), idle_count_, alive_);
    const pool_word::counts c = word_.load();
    // One claim may be on its way here: none is made while another stands.
    WRING_CHECK(c.searching <= c.awake && c.awake <= alive_ + owed_ + 1, c.searching, c.awake, alive_, owed_);
  }
  const base::lock_guard lock{sources_mu_};
  WRING_CHECK(sources_.empty() || list_in_use_.load(base::order::relaxed) != 0);
  for (source* s = sources_.front(); s != nullptr; s = base::list<source>::next(*s)) WRING_CHECK(s->listed, s->name());
}

}  // namespace wring::sched
