// SPDX-License-Identifier: Apache-2.0

#include "iowq/pool.h"

#include "base/interruptible.h"
#include "base/patience.h"
#include "base/syscall.h"
#include "base/thread_identity.h"
#include "iowq/registry.h"
#include "sched/cpu_masks.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace wring::iowq {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw std::system_error{std::make_error_code(std::errc::invalid_argument), "wring::io_pool_options::" + what};
}

void choose_interrupt(int signal) {
  const int error = base::choose_interrupt(signal);
  if (error == 0) return;
  throw std::system_error{-error, std::system_category(),
                          error == -EBUSY ? "wring::io_pool_options::interrupt_signal is handled by the program"
                                          : "wring::io_pool_options::interrupt_signal is no real-time signal, or "
                                            "another pool has chosen another one"};
}

// What the calling thread may.
bool may_exceed_limits() noexcept {
  base::self::capability_set its;
  constexpr std::uint64_t either =
      base::self::capability_bit(CAP_SYS_RESOURCE) | base::self::capability_bit(CAP_SYS_ADMIN);
  return base::self::capabilities(its) == 0 && (its.effective & either) != 0;
}

// "min(queue_size, 4 x CPUs)"
unsigned bounded_by_default(const io_pool_options& o, std::size_t cpus) {
  return static_cast<unsigned>(std::min<std::size_t>(o.queue_size, 4 * std::max<std::size_t>(cpus, 1)));
}

}  // namespace

pool::pool(detail::core& where, const io_pool_options& options, std::shared_ptr<iowq::domain> its_domain,
           bool of_a_thread)
    : core_{where},
      domain_{std::move(its_domain)},
      name_{valid(options).name},
      creation_{options.creation},
      callbacks_{options.callbacks},
      idle_timeout_{options.idle_timeout},
      hard_cap_{options.hard_cap},
      owners_place_{sched::place::of_program()},
      owner_thread_{base::thread_id()},
      forks_{base::fork_generation()},
      of_a_thread_{of_a_thread},
      of_nodes_{options.profile == io_profile::node},
      user_{options.user != nullptr ? user_account::of(*options.user) : nullptr},
      owner_is_bound_{owners_place_.cpus != where.pools().masks().usable()},
      registry_{&where.part<registry>()},
      enough_{of_nodes_ ? 1 : static_cast<unsigned>(std::max<std::size_t>(owners_place_.cpus.size(), 1))},
      usable_{owners_place_.cpus},
      cpus_{owners_place_.cpus} {
  make_queues(options);
  choose_interrupt(options.interrupt_signal);
  registry_->add(*this);
  try {
    domain_->add(*this);
    if (!of_nodes_ || core_.is_early()) return;
    const int error = manager_->start();
    if (error == -EPERM) {
      throw std::system_error{
          EPERM, std::system_category(),
          "wring: io_pool '" + name_ +
              "' of profile node is made by an item with an identity, whom all its workers would be; "
              "make it elsewhere"};
    }
    if (error != 0) {  // IOWQ-11
      throw std::system_error{ENOMEM, std::system_category(),
                              "wring: io_pool '" + name_ + "': its manager, or a first worker, was refused (" +
                                  std::system_category().message(-error) + ")"};
    }
  } catch (...) {
    end(std::chrono::nanoseconds::max());
    unregister();
    throw;
  }
}

void pool::make_queues(const io_pool_options& options) {
  const unsigned bounded =
      clamped(options.bounded != io_pool_options::by_default ? options.bounded
                                                             : bounded_by_default(options, owners_place_.cpus.size()));
  if (!of_nodes_) {
    queues_.emplace_back(*this, account_kind::bounded, bounded);
    queues_.emplace_back(*this, account_kind::unbounded, clamped(options.unbounded));
    return;
  }
  const unsigned granted = user_ ? std::min(options.unbounded, user_->granted) : 0;  // IOWQ-12
  const io_limits limits{.bounded = bounded, .unbounded = granted != 0 ? clamped(granted) : 0};
  const base::topology& machine = core_.topology();
  queue_of_cpu_.resize(machine.possible());
  for (const unsigned node : machine.nodes()) {
    std::vector<unsigned>& its = cpus_of_queue_.emplace_back();  // those too that may be used only later
    for (const base::topology::cpu& c : machine.all()) {
      if (c.node != node) continue;
      queue_of_cpu_[c.id] = static_cast<unsigned>(queues_.size());
      its.push_back(c.id);
    }
    std::ranges::sort(its);
    queues_.emplace_back(*this, node, limits);
  }
  manager_ = std::make_unique<manager>(*this);
}

// IOWQ-32: of the caller's node, or of the first one if it has none; but of what has a key always the same one, since a
// thread that moves to another node would overtake itself there.
queue& pool::queue_of(io_work& it) noexcept {
  if (!of_nodes_) return queues_[account_of(it) == account_kind::bounded ? 0 : 1];
  if (has(it, item_word::hashed) && !WRING_PLANT(node_of_the_caller_for_a_key)) {
    return queues_[bucket_of(it) % queues_.size()];
  }
  const auto cpu = static_cast<unsigned>(std::max(base::syscall::current_cpu(), 0));
  return queues_[cpu < queue_of_cpu_.size() ? queue_of_cpu_[cpu] : 0];
}

// Asked under the lock of a queue: of what the system says, only if the rest says no.
bool pool::admits_unbounded(unsigned running, unsigned free) const noexcept {
  const unsigned charged = user_->charged();
  return admits(running, free, charged, user_->granted, false) ||
         admits(running, free, charged, user_->granted, may_exceed_limits());
}

pool::~pool() {
  if (!is_of_this_process()) return;  // its threads are the parent's, and so may be its locks
  end(std::chrono::nanoseconds::max());
  unregister();
}

void pool::unregister() noexcept {
  if (registry_ == nullptr) return;
  registry_->remove(*this);
  for (base::patience p; visits_.load(base::order::acquire) != 0; p.pause()) continue;  // pairs with leave()
}

// Whom the system refuses is tried again, or its items are failed, as ever.
int pool::start() noexcept {
  const int error = manager_ && !exiting() ? manager_->start() : 0;
  for (queue& q : queues_) q.run_note();
  return error;
}

const io_pool_options& valid(const io_pool_options& o) {
  constexpr auto by_default = io_pool_options::by_default;
  if (o.bounded == 0) refuse("bounded is 0; files need at least one worker");
  if (o.unbounded == 0) refuse("unbounded is 0; an item of that kind needs at least one worker");
  if (o.bounded != by_default && o.bounded > 32'768) refuse("bounded is above 32768");
  if (o.unbounded != by_default && o.unbounded > 32'768) refuse("unbounded is above 32768");
  if (o.queue_size == 0) refuse("queue_size is 0");
  if (o.hard_cap < 1 || o.hard_cap > 32'768) refuse("hard_cap is not in 1..32768");
  if (o.idle_timeout.count() < 1) refuse("idle_timeout is below 1 ms");
  if (o.idle_timeout > std::chrono::hours{24 * 365}) refuse("idle_timeout is above a year");
  if (o.creation > io_creation::by_owner) refuse("creation is none of its values");
  if (o.profile > io_profile::node) refuse("profile is none of its values");
  if (o.profile == io_profile::node && o.creation == io_creation::by_owner) {
    refuse("creation is by_owner; in the profile node a manager makes the workers");
  }
  if ((o.callbacks.do_work == nullptr) != (o.callbacks.free_work == nullptr)) {
    refuse("callbacks has one of do_work and free_work; it has both or neither");
  }
  return o;
}

// ---- items ----

bool pool::enqueue(io_work& it) noexcept {
  const int error = put(it);
  if (error < 0) fail(it, error);
  return error == 0;
}

// Above 0: it has been failed already.
int pool::put(io_work& it) noexcept {
  if (!is_of_this_process()) return -EOWNERDEAD;
  if (of_nodes_ && !user_ && has(it, item_word::unbounded)) {  // IOWQ-12
    core_.report().warn_once(
        sched::reporter::topic::unbounded_without_user,
        "io_pool '" + name_ + "' has no io_pool_options::user, so unbounded items fail. Said once");
    return -ECANCELED;
  }
  if (owner_makes_workers()) run_notes();
  if (exits_on_idle_.load(base::order::relaxed)) exits_on_idle_.store(false, base::order::relaxed);  // IOWQ-48
  switch (queue_of(it).enqueue(it)) {
    case queue::entry::taken: return 0;
    case queue::entry::failed: return 1;
    case queue::entry::refused: break;
  }
  return -ECANCELED;
}

void pool::fail(io_work& it, int error) noexcept {
  for (io_work* failing = &it; failing != nullptr;) {
    do_work(*failing, nullptr, error);
    io_work* const follower = free_work(*failing, error);
    // A task that runs anyway, unless it is refused, too.
    const bool runs_anyway =
        follower != nullptr && kind_of(*follower) == item_kind::task && !has(*follower, item_word::cancelled);
    if (runs_anyway && put(*follower) >= 0) return;
    failing = follower;
    if (error != -EOWNERDEAD) error = -ECANCELED;
  }
}

void pool::fail_all(work_list& items) noexcept {
  while (io_work* const it = items.pop_front()) fail(*it, -ECANCELED);
}

namespace {

// An exception out of a callable has no one to go to.
template <class F>
long call_callable(const std::string& pool, const F& f) noexcept {
  const char* what = "something that is no std::exception";
  try {
    return f();
  } catch (const std::exception& e) {
    what = e.what();
    std::fprintf(stderr, "wring: a callable of the io_pool '%s' ended with an exception: %s\n", pool.c_str(), what);
  } catch (...) {
    std::fprintf(stderr, "wring: a callable of the io_pool '%s' ended with an exception: %s\n", pool.c_str(), what);
  }
  std::terminate();
}

}  // namespace

void pool::do_work(io_work& it, worker* by, int refusal) noexcept {
  access::with_call(by, it, refusal, [&](io_call& call) {
    switch (kind_of(it)) {
      case item_kind::work: callbacks_.do_work(it, call, callbacks_.context); return;
      case item_kind::task: {
        io_task& task = access::task(it);
        access::value(task) =
            refusal != 0 ? refusal : call_callable(name_, [&] { return access::entry(task)(task, &call); });
        return;
      }
      case item_kind::closure: {
        if (refusal != 0) return;
        auto& closure = static_cast<detail::io_closure_base&>(it);
        call_callable(name_, [&] {
          closure.entry(closure, &call, 0);
          return 0L;
        });
        return;
      }
    }
  });
}

io_work* pool::free_work(io_work& it, int refusal) noexcept {
  switch (kind_of(it)) {
    case item_kind::work: return callbacks_.free_work(it, callbacks_.context);
    case item_kind::task: return finish_task(access::task(it));
    case item_kind::closure: break;
  }
  auto& closure = static_cast<detail::io_closure_base&>(it);
  closure.entry(closure, nullptr, refusal);
  return nullptr;
}

// ---- workers ----

worker* pool::new_worker() noexcept {
  try {
    worker& w = memory_.acquire();
    alive_.fetch_add(1, base::order::relaxed);
    return &w;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// The last touch of somebody who does not join: end() waits for it, and then for the threads that have left.
void pool::forget_worker(worker& w) noexcept {
  memory_.release(w);
  left_alive();
}

void pool::has_left(worker& w) noexcept {
  {
    const base::lock_guard lock{mu_};
    w.next_ended = ended_;
    ended_ = &w;
  }
  left_alive();
}

void pool::join_ended() noexcept {
  worker* all = nullptr;
  {
    const base::lock_guard lock{mu_};
    all = std::exchange(ended_, nullptr);
  }
  while (all != nullptr) {
    worker& w = *std::exchange(all, all->next_ended);
    if (w.thread_id() == base::thread_id()) {  // in a destructor of something local to its thread
      const base::lock_guard lock{mu_};
      w.next_ended = std::exchange(ended_, &w);
      continue;
    }
    w.join();
    memory_.release(w);
  }
}

bool pool::may_make_workers_here() const noexcept {
  if (owner_makes_workers() && !exiting() && base::thread_id() != owner_thread_) return false;
  const worker* const self = worker::current();
  return self == nullptr || self->may_make_threads();
}

sched::place pool::place_of(const queue& q) const {
  sched::place there{.cpus = {}, .nice = owners_place_.nice};
  {
    const base::lock_guard lock{mu_};
    there.cpus = cpus_;
  }
  if (!of_nodes_) return there;
  const auto index = std::ranges::find_if(queues_, [&](const queue& other) { return &other == &q; }) - queues_.begin();
  const std::vector<unsigned>& of_node = cpus_of_queue_[static_cast<std::size_t>(index)];
  there.cpus = sched::common(there.cpus, of_node);
  if (there.cpus.empty()) there.cpus = of_node;  // who would have no CPU stays on its node
  return there;
}

bool pool::looks() const noexcept { return core_.detect().keeps_floor(); }

}  // namespace wring::iowq
