// SPDX-License-Identifier: Apache-2.0

#include "sched/timekeeper.h"

#include "base/syscall.h"
#include "sched/worker_pool.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

namespace wring::sched {

namespace {
constexpr unsigned shards_max = 64;
}

timekeeper::timekeeper(unsigned cpus, std::size_t stack_bytes, reporter& report, const place& home, bool held)
    : stack_bytes_{stack_bytes}, report_{report}, home_{home}, held_{held} {
  const base::instant now = base::clock::now();
  for (unsigned i = 0; i < std::min(cpus, shards_max); ++i) shards_.push_back(std::make_unique<shard>(now));
}

timekeeper::~timekeeper() { stop(); }

int timekeeper::start() noexcept {
  const base::lock_guard lock{start_mu_};
  if (started_.load(base::order::relaxed) || stopping_.load(base::order::relaxed)) return 0;
  const int error = base::thread_create(thread_, {.name = "wring/time", .stack_bytes = stack_bytes_}, main, this);
  if (error != 0) return error;
  started_.store(true, base::order::release);  // pairs with kick()
  let_go();
  return 0;
}

void timekeeper::stop() {
  const base::lock_guard lock{start_mu_};
  stopping_.store(true, base::order::release);  // pairs with run()
  if (!thread_.joinable()) return;
  parker_.unpark();
  base::thread_join(thread_);
}

bool timekeeper::kick() noexcept {
  if (!has_thread() && !is_held()) [[unlikely]] {  // a forked child
    if (const int error = start(); error != 0) {
      report_.warn_once(reporter::topic::timekeeper,
                        "the timekeeper's thread could not be created in a forked process (" +
                            std::string{std::strerror(-error)} +
                            "); nothing runs before a later call can create it. Look at ulimit -u and pids.max");
      return false;
    }
  }
  parker_.unpark();  // also before there is a thread: it looks once more for that
  return true;
}

void timekeeper::add_pool(worker_pool& pool) noexcept {
  pool.next = pools_.load(base::order::relaxed);
  while (!pools_.compare_exchange_weak(pool.next, &pool, base::order::release, base::order::relaxed)) {  // with run()
    base::cpu_relax();
  }
}

// Nothing is destroyed: the timers in the wheels belong to users, who find them renewed, too (item_state::forks).
void timekeeper::renew_in_child() {
  const auto shards = static_cast<unsigned>(shards_.size());
  const std::size_t stack_bytes = stack_bytes_;
  reporter& report = report_;
  const place& home = home_;
  const bool held = held_.load(base::order::relaxed);
  const auto check = check_;
  void* const context = check_context_;
  const auto interval = check_interval_;
  std::construct_at(this, shards, stack_bytes, report, home, held);
  check_now_and_then(check, context, interval);
}

void timekeeper::arm(base::timer& t, base::instant deadline) noexcept {
  const auto index = static_cast<std::size_t>(std::max(base::syscall::current_cpu(), 0)) % shards_.size();
  const base::atomic_ref<std::uint64_t> tag{t.tag};
  const auto before = shard_in(tag.load(base::order::relaxed));
  if (before != index) {
    // A timer leaves its shard only under that shard's lock; so disarm(), which holds the lock of the shard that
    // the tag names, can trust it.
    const base::lock_guard lock{shards_[before]->mu};
    tag.store((tag.load(base::order::relaxed) & ~shard_mask) | index, base::order::relaxed);
  }
  {
    shard& s = *shards_[index];
    const base::lock_guard lock{s.mu};
    s.wheel.arm(t, deadline);
  }
  // (T2) after the timer is in its wheel; pairs with (T1).
  if (deadline.ns < sleep_until_.load(base::order::seq_cst)) kick();
}

bool timekeeper::disarm(base::timer& t) noexcept {
  const base::atomic_ref<std::uint64_t> tag{t.tag};
  for (;;) {
    const std::size_t index = shard_in(tag.load(base::order::relaxed));
    shard& s = *shards_[index];
    const base::lock_guard lock{s.mu};
    // Moved since we looked? While we hold the lock of the shard it names, the tag stands still.
    if (shard_in(tag.load(base::order::relaxed)) != index) continue;
    return s.wheel.disarm(t);
  }
}

base::instant timekeeper::fire_due(base::instant now) noexcept {
  base::instant next = base::never;
  for (const auto& s : shards_) {
    base::timer* due = nullptr;
    {
      const base::lock_guard lock{s->mu};
      due = s->wheel.collect(now);
      next = std::min(next, s->wheel.next_expiry());
    }
    while (due != nullptr) {
      base::timer* const t = due;
      due = t->next;  // before it fires: from then on it is its owner's
      t->fire(*t);
    }
  }
  return next;
}

void timekeeper::main(void* self) {
  auto& keeper = *static_cast<timekeeper*>(self);
  static_cast<void>(keeper.home_.take_cpus());  // refused: it keeps time wherever it is
  static_cast<void>(keeper.home_.take_nice());
  keeper.run();
}

void timekeeper::run() noexcept {
  while (!stopping_.load(base::order::acquire)) {  // pairs with stop()
    // (T1) From here on every arm() wakes us, until we know how long we may sleep: a timer that is armed before
    // its shard is looked at below is seen there, a later one finds `never` or what we compute.
    sleep_until_.store(base::never.ns, base::order::seq_cst);
    const base::instant now = base::clock::now();
    base::instant next = fire_due(now);
    bool busy = false;
    // Acquire: pairs with add_pool().
    for (worker_pool* p = pools_.load(base::order::acquire); p != nullptr; p = p->next) {
      busy |= check_ != nullptr && p->watched();  // before the look, after which it may be quiet
      next = std::min(next, p->look(now));
    }
    if (busy && now >= check_due_) {
      check_due_ = now + check_interval_;
      check_(check_context_);
    }
    sleep_until_.store(next.ns, base::order::seq_cst);
    parker_.park(next);
  }
}

std::size_t timekeeper::armed() const noexcept {
  std::size_t sum = 0;
  for (const auto& s : shards_) {
    const base::lock_guard lock{s->mu};
    sum += s->wheel.size();
  }
  return sum;
}

void timekeeper::audit() const {
  for (const auto& s : shards_) {
    const base::lock_guard lock{s->mu};
    s->wheel.audit();
  }
}

}  // namespace wring::sched
