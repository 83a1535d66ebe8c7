// SPDX-License-Identifier: Apache-2.0
// pool_workqueue: the join of one queue and one pool (WQ-6): items, who may start them, and who waits.
//
// Publishing is one compare-and-swap on `word_`. Everything else belongs to whoever *holds* the queue:
//   - the leader, a worker that runs the items of the queue one after another, inside its bias (bias.h);
//   - anybody else through `visit`, which locks mu_ and keeps the leader out of its bias.
// word_: address of the newest item of the inbox in the upper bits, and
//   scheduled : 1   a worker serves the queue, or it is on the pool's list, or on its way there. Exact.
//   full      : 1   max_active workers are inside items; the next to finish schedules. Exact, never
//                   together with `scheduled`.
//   closed    : 1   drained or destroyed: only chained items may enter (WQ-46)
//   retired   : 1   its queue uses another pool by now (mapping.h): items go to that; only what belongs to what still
//                   runs here may enter
// Invariant (I1): inbox or run_ not empty implies scheduled or full.
//
// Memory is type-stable: a stale pointer may always be visited; `generation` tells the lives apart.
// Threads: any. Locks: mu_ (rank queue). States, protocols and proofs: README.md.
#pragma once

#include "base/fork.h"
#include "base/list.h"
#include "base/mutex.h"
#include "sched/core.h"
#include "sched/rescuer.h"
#include "sched/source.h"
#include "workqueue/execution.h"
#include "workqueue/group_wait.h"
#include "workqueue/item.h"
#include "workqueue/mapping.h"
#include "workqueue/slots.h"
#include "workqueue/wait_graph.h"

#include <wring/stats.h>
#include <wring/workqueue.h>

#include <array>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace wring::detail {

// A flush of a queue that is under way: the marker ends the colour it waits for (WQ-85).
struct flusher : waiter {
  flusher() noexcept {
    marker.flush = this;
    state_of(marker).init(item_state::marker);
  }
  struct marker_item : item {
    flusher* flush = nullptr;
  } marker;
  unsigned colour = 0;
  waiter_chain followers;         // flushers that share this colour
  flusher* next_flush = nullptr;  // in passed_ or overflow_
};

struct barrier_item : item {
  barrier_item() noexcept { state_of(*this).init(item_state::barrier); }
  waiter end;
};

class visit;

class alignas(base::cache_line) pool_workqueue : public sched::source {
 public:
  static constexpr unsigned colours = 16;
  static constexpr unsigned max_active_most = 2048;
  static constexpr unsigned max_active_default = 1024;

  // One life of the object, from the registry; nobody else knows it yet, or knows it only as a stale pointer.
  // `its_first`: of its queue, null if it is that itself.
  void open(core& where, const workqueue_options& options, sched::worker_pool& its_pool, unsigned its_max_active,
            pool_workqueue* its_first);
  // The same for one more of the queue that `its_first` is the first of.
  void open_beside(pool_workqueue& its_first, sched::worker_pool& its_pool, unsigned its_max_active);
  // From now on so many items may be in progress: more start at once, fewer as those that run end (WQ-127).
  void set_max_active(unsigned most) noexcept;
  // Nothing starts any more until the thaw, but children of groups that callbacks wait for (WQ-125).
  void set_frozen(bool frozen) noexcept;
  [[nodiscard]] bool freezable() const noexcept { return freezable_; }
  [[nodiscard]] bool ordered() const noexcept { return ordered_; }
  [[nodiscard]] bool per_cpu() const noexcept { return per_cpu_; }
  [[nodiscard]] bool unmanaged() const noexcept { return unmanaged_; }

  // ---- which pools the queue uses (mapping.cc, slots.cc) ----
  // Of its queue; the one that the queue's handle knows.
  [[nodiscard]] pool_workqueue& first() noexcept { return *first_; }
  [[nodiscard]] pool_workqueue* next_member() const noexcept {
    return next_member_.load(base::order::acquire);  // pairs with add_member()
  }
  // At the end; of the first. They stay until the end of the queue. Under registry::mapping_mu_.
  void add_member(pool_workqueue& member) noexcept;
  // As for_each_member(), of the first, once the queue keeps its pools for good.
  template <class F>
  void for_each_at_the_end(const F& call);
  // Null: all items of the queue go to its first.
  [[nodiscard]] slots* division() const noexcept {
    return first_->slots_.load(base::order::acquire);  // pairs with divide()
  }
  // Of the first, once in its life, which then owns them.
  void divide(std::unique_ptr<slots> its_slots) noexcept;
  // Back to the caller, at the end.
  [[nodiscard]] std::unique_ptr<slots> take_division() noexcept;
  // From now on items go elsewhere; to `heir`, if that is not null, which is unplugged once the last item has ended.
  void retire(pool_workqueue* heir) noexcept;
  // At the end: it counts among the users of its pool.
  [[nodiscard]] bool uses_its_pool() const noexcept { return (first_ == this && !has_members_) || !is_retired(); }
  [[nodiscard]] bool is_retired() const noexcept { return (word_.load(base::order::relaxed) & retired) != 0; }
  // Of a retired one of an ordered queue: nothing is left of its time.
  [[nodiscard]] bool may_be_used_again() noexcept;
  // The opposite of retire(). plug() comes before it if its items have to wait for unplug().
  void plug() noexcept;
  void reinstate() noexcept;
  // The older one has ended.
  void unplug() noexcept;
  // Where items go that found this one retired; null: as the queue's slots say.
  [[nodiscard]] pool_workqueue* heir() const noexcept {
    return heir_.load(base::order::acquire);  // pairs with retire()
  }
  // One of those that always exist (WQ-36); of the first pool_workqueue, before anybody else knows it.
  void mark_as_system() noexcept { system_ = true; }
  [[nodiscard]] bool is_system() const noexcept { return system_; }
  [[nodiscard]] bool is_active() noexcept;  // some item is in progress
  [[nodiscard]] bool is_ending() noexcept;  // refuse() was called
  // Refuses outside items for good.
  void refuse() noexcept;
  // Nothing is queued or runs, and nobody is in charge of the queue. True once, it stays so after refuse(), unless
  // a callback of a sibling or, while the runtime shuts down, of another queue, queues something.
  [[nodiscard]] bool at_rest() noexcept;
  // The end of the life that began with open().
  void end() noexcept;
  // In a forked child: empty, without those who wait, run or publish in the parent.
  void renew_in_child() noexcept;

  // ---- items ----
  // The caller owns the item's `pending` (or it is one_shot). Not `taken`: the item is still the caller's. `runs_here`:
  // a worker of this one runs it.
  enum class answer : std::uint8_t { taken, refused, moved };
  [[nodiscard]] answer submit(item& it, bool runs_here = false) noexcept;
  // Takes the item from this queue if it is in one of its lists; `pending` is then the caller's.
  bool unlist(item& it) noexcept;

  // ---- waiting (flush.cc) ----
  // Puts a marker behind what is queued; false: nothing is, or runs.
  bool begin_flush(flusher& f) noexcept;
  void begin_drain() noexcept;
  void end_drain() noexcept;
  [[nodiscard]] bool is_idle() noexcept;
  [[nodiscard]] std::uint64_t items_started() const noexcept { return started_.load(base::order::relaxed); }
  // Puts a barrier behind the item if it is in a list here.
  struct barrier_attempt {
    bool placed = false;
    bool refused = false;  // it could only deadlock
    waited_queue of = {};  // where it was placed
  };
  barrier_attempt place_barrier(item& it, barrier_item& barrier) noexcept;
  // Takes over `ends`, which are told when the run of `it` by `w` is over, and says where that is; nothing: w does not
  // run it here.
  std::optional<waited_queue> watch_run(sched::worker& w, const item& it, waiter_chain& ends) noexcept;
  // Nobody will be told any more; false: it is over, and `end` has been told, or is about to be.
  bool unwatch_run(sched::worker& w, waiter& end) noexcept;
  // That of the run of `it` by `w`, if it has one.
  std::optional<std::stop_source> stop_source_of(sched::worker& w, const item& it) noexcept;
  [[nodiscard]] bool is_run_by(sched::worker& w, const item& it) noexcept;
  // The same, if this belongs to the same queue as `sibling`.
  [[nodiscard]] bool runs_for(const pool_workqueue& sibling, sched::worker& w, const item& it) noexcept;

  // ---- task groups (task_group.cc) ----
  // An unstarted child of the group, taken off the queue and counted as in progress; null: none that the caller
  // may run.
  struct helping {
    item* it = nullptr;
    unsigned colour = 0;
    bool own_slot = false;  // helping took a slot of max_active
  };
  helping take_child(const task_group& group) noexcept;
  void child_done(const helping& h) noexcept;
  // A worker that serves another source has run children for so long (WQ-137).
  void charge_helper(sched::worker& w, std::uint64_t ticks) noexcept;
  // The caller is inside an item of this queue and is about to sleep. Listed until end_group_wait().
  struct outlook {
    bool child_waits;  // one that the caller may run
    bool full;         // nobody else could
  };
  [[nodiscard]] outlook begin_group_wait(group_wait& w) noexcept;
  void end_group_wait(group_wait& w) noexcept;
  [[nodiscard]] bool has_child(const task_group& group) noexcept;  // that a callback of the queue may run
  // Who sleeps for that group, in whatever pool, looks again, if nobody else can start its children.
  void call_back_if_full(const task_group& group) noexcept;
  [[nodiscard]] bool is_the_callers_only_slot() const noexcept {
    return max_active_.load(base::order::relaxed) == 1 && (ordered_ ? inside_queue_of(*this) : inside(*this));
  }

  // ---- children that their worker keeps (spawn.cc) ----
  // By the worker of `x`, which is inside an item of this queue. False: it has to be queued.
  [[nodiscard]] bool keep(execution& x, item& child) noexcept;
  // The callback of one of the group has ended, perhaps; the newest one, to be run by the caller, if another is wanted
  // and it belongs to the group.
  [[nodiscard]] item* next_kept(execution& x, task_group& group, bool one_has_ended, bool another) noexcept;
  // Queues what x keeps, or the older half.
  enum class portion : std::uint8_t { half, all };
  void queue_kept(execution& x, portion most) noexcept;
  // The children of the group that a worker of this queue keeps, or runs then, are outstanding from now on.
  void queue_kept_of(task_group& group) noexcept;
  [[nodiscard]] bool keeps_children() const noexcept { return !per_cpu_ && !unmanaged_ && !one_at_a_time(); }

  // ---- sched::source ----
  void serve(sched::worker& w) override;
  bool leave_count(sched::worker& w, std::uint8_t why, const std::uint64_t* seq) override;
  void join_count(sched::worker& w, std::uint8_t reasons, bool self) override;
  bool relieve(sched::worker& w, std::uint64_t seq) override;
  bool look(sched::worker& w, sight& seen) override;
  [[nodiscard]] std::string name() const override;

  // ---- looking ----
  [[nodiscard]] bool accepts() noexcept {
    return (word_.load(base::order::relaxed) & closed) == 0 || chained_or_reject();
  }
  // The only one of its queue.
  [[nodiscard]] bool is_alone() const noexcept { return first_->next_member() == nullptr; }
  // The same for all pool_workqueues of a queue.
  [[nodiscard]] const void* queue_id() const noexcept { return first_; }
  // Opened since the last fork.
  [[nodiscard]] bool is_of_this_process() const noexcept { return forks_ == base::fork_generation(); }
  [[nodiscard]] core& home() const noexcept { return *core_; }
  [[nodiscard]] sched::worker_pool& pool() const noexcept { return *pool_; }
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_.load(base::order::relaxed); }
  [[nodiscard]] workqueue_stats stats();
  [[nodiscard]] std::size_t waiting() noexcept;
  void audit();
  void describe(base::writer& w);
  void misuse(const char* what, const std::string& with = {});
  [[nodiscard]] bool one_at_a_time() const noexcept { return max_active_.load(base::order::relaxed) == 1; }
  // By who holds it.
  [[nodiscard]] waited_queue waited_here() noexcept {
    return {first_, first_->waits.life.load(base::order::relaxed), first_->waits.has_rescuer};
  }
  // Runs the callback of an item under this queue's policy for exceptions.
  void call(item& it, item::entry_point entry) noexcept;

 private:
  friend class visit;

  static constexpr std::uint64_t scheduled = 1;
  static constexpr std::uint64_t full = 2;
  static constexpr std::uint64_t closed = 4;
  static constexpr std::uint64_t retired = std::uint64_t{1} << 63;  // no address has it
  static constexpr std::uint64_t word_flags = 7 | retired;
  static item* head_of(std::uint64_t w) noexcept { return reinterpret_cast<item*>(w & ~word_flags); }

  // Everything from here on needs the queue held.
  void drain_inbox() noexcept;
  void begin(execution& x, item& it) noexcept;
  item* next_handed(execution& x, waiter_chain& ended) noexcept;
  item* next_item(execution& x, waiter_chain& ended) noexcept;
  [[nodiscard]] bool take_out_if_intensive(execution& x) noexcept;
  execution* runs(const item& it, std::uint64_t state) noexcept;
  [[nodiscard]] bool runs(const sched::worker& w, const item& it) const noexcept {
    return w.serving.load(base::order::relaxed) == this && static_cast<execution*>(w.frame)->running == &it;
  }
  void take_linked(item* first, item_list& from, execution& x) noexcept;
  void start_serving(execution& x) noexcept;
  void stop_serving(execution& x, waiter_chain& ended) noexcept;
  [[nodiscard]] bool settle() noexcept;
  [[nodiscard]] bool reopen() noexcept;
  bool list_kept(execution& x, portion most) noexcept;
  bool list_kept_of(sched::worker& w) noexcept;
  [[nodiscard]] bool give_up_lead(execution& x, visit& hold) noexcept;
  [[nodiscard]] bool schedule() noexcept;
  item* find_child(const task_group& group, bool own_slot) noexcept;
  void call_back(const task_group* group) noexcept;  // null: all
  void take_average(std::uint64_t ticks, std::uint64_t items) noexcept;
  void charge_cpu(sched::worker& w, std::uint64_t ticks) noexcept;
  void forget_short_items() noexcept;
  [[nodiscard]] bool leads(const sched::worker& w) const noexcept {
    return !cpu_intensive_ && !w.is_rescuer && (one_at_a_time() || short_items_.load(base::order::relaxed));
  }
  [[nodiscard]] bool change_limit(visit& hold) noexcept;
  void append_marker(flusher& f, waiter_chain& ended) noexcept;
  void pass_marker(flusher& f, waiter_chain& ended) noexcept;
  void flush_progress(waiter_chain& ended) noexcept;
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] pool_workqueue* take_heir() noexcept;
  [[nodiscard]] bool turn_may_end(const execution& x, bool in_the_middle) const noexcept;

  // Without holding it.
  template <class F>
  void with_kept(execution& x, const F& f) noexcept;
  void share_kept(execution& x) noexcept;
  void publish(bool offer) noexcept;
  void call_back_elsewhere() noexcept;
  [[nodiscard]] bool run(execution& x, item& it) noexcept;
  void lead(execution& x, item* it) noexcept;
  bool resign(execution& x, waiter_chain& ended, pool_workqueue*& heir, std::uint64_t ticks, std::uint64_t items,
              std::uint64_t counted) noexcept;  // held
  void finish(execution& x, std::uint64_t start_ticks, bool alone) noexcept;
  void on_callback_exception(const char* what) noexcept;
  void report_leaked_scope(sched::worker& w) noexcept;
  [[nodiscard]] bool chained_or_reject() noexcept;
  [[nodiscard]] answer may_enter(const item& it, std::uint64_t word, bool runs_here) noexcept;

  // Line 0: publishers and takers.
  base::atomic<std::uint64_t> word_{closed};
  sched::worker_pool* pool_ = nullptr;   // constant during a life
  core* core_ = nullptr;                 // constant for ever
  base::atomic<slots*> slots_{nullptr};  // of the first; what follows is constant during a life, but the hint
  pool_workqueue* first_ = this;
  base::atomic<bool> short_items_{false};  // a hint: items are so short that one leader is fastest
  bool unmanaged_ = false;
  bool cpu_intensive_ = false;
  bool freezable_ = false;
  bool ordered_ = false;
  bool per_cpu_ = false;
  bool system_ = false;
  bool is_divided_ = false;   // slots_ is not null; as the next one
  bool has_members_ = false;  // besides the first; written and read under registry::mapping_mu_, or at the end
  wring::on_exception on_exception_{};
  error_handler on_error_ = nullptr;
  void* error_context_ = nullptr;

  // Line 1: who holds the queue.
  alignas(base::cache_line) mutable base::mutex mu_{base::rank::queue};
  base::atomic<sched::worker*> leader_{nullptr};  // set with mu_ held; cleared by the leader or a visitor
  item_list run_;                                 // the order in which items start (WQ-66)
  unsigned active_ = 0;                           // workers inside items, helpers with a slot included
  unsigned limit_ = 0;                    // what `active_` must not reach: max_active_, or 0 while frozen or plugged
  base::atomic<unsigned> max_active_{1};  // written by who holds the queue
  bool frozen_ = false;
  bool plugged_ = false;             // an older one of the queue has to end first
  bool heir_waits_ = false;          // for this one to end
  bool lowered_ = false;             // `active_` may still be above the limit
  bool full_ = false;                // mirrors word_'s bit
  std::uint8_t colour_ = 0;          // of the item at the head of run_
  std::uint8_t tail_colour_ = 0;     // of the next item to join run_
  std::uint8_t colours_used_ = 0;    // markers in run_ or passed_
  std::uint64_t average_ticks_ = 0;  // of an item, exponentially weighted

  // Line 2: flushes and the rest.
  std::array<std::uint16_t, colours> in_flight_{};  // executions and helpers per colour
  flusher* passed_ = nullptr;                       // markers passed, oldest first; wait for in_flight_
  flusher* passed_last_ = nullptr;
  flusher* overflow_ = nullptr;  // wait for a colour
  base::list<group_wait> group_waits_;
  base::atomic<bool> sleeper_elsewhere_{false};  // set by list_kept(): call_back_elsewhere() is owed
  std::int64_t cpu_ns_ = 0;                      // of what was charged (cpu_meter.h)
  std::int64_t cpu_told_ns_ = 0;                 // the most that was said of it
  std::uint64_t cpu_intensive_seen_ = 0;
  std::uint64_t cm_wakeups_ = 0;
  std::uint64_t repatriated_ = 0;
  base::atomic<pool_workqueue*> next_member_{nullptr};
  base::atomic<pool_workqueue*> heir_{nullptr};
  unsigned draining_ = 0;
  bool destroying_ = true;   // or not open (yet)
  std::uint32_t forks_ = 0;  // when it was opened
  base::atomic<bool> rejection_reported_{false};
  base::atomic<std::uint64_t> generation_{0};
  base::atomic<std::uint64_t> started_{0};
  base::atomic<std::uint64_t> exceptions_{0};
  base::atomic<std::uint64_t> rejected_{0};
  char name_[32] = {};

 public:
  pool_workqueue* next_open = nullptr;  // in the registry's list; guarded by its lock
  pool_workqueue* prev_open = nullptr;
  std::shared_ptr<sched::rescuer> rescuer;   // of the queue, kept by the first of it; likewise
  std::unique_ptr<queue_settings> settings;  // likewise, but guarded by registry::mapping_mu_; null: see settings_of()
  wait_node waits;                           // of the queue, kept by the first of it
};

// Calls it for each pool_workqueue of the queue that `q` belongs to.
template <class F>
void for_each_member(pool_workqueue& q, const F& call) {
  for (pool_workqueue* member = &q.first(); member != nullptr;) {
    pool_workqueue* const next = member->next_member();  // first: the call may end the member's life
    call(*member);
    member = next;
  }
}

// A queue that has never had another pool, as most, is spared the looks.
template <class F>
void pool_workqueue::for_each_at_the_end(const F& call) {
  if (has_members_) {
    for_each_member(*this, call);
  } else {
    call(*this);
  }
}

// Holds a queue on behalf of a thread that does not lead it (or of its leader, outside its bias).
class visit {
 public:
  explicit visit(pool_workqueue& q) noexcept : queue_{q} {
    q.mu_.lock();
    sched::worker* const leader = q.leader_.load(base::order::acquire);  // pairs with the leader's resignation
    if (leader == nullptr || leader == sched::worker::current()) return;
    leader->bias.exclude();
    if (q.leader_.load(base::order::acquire) == leader) {
      excluded_ = leader;
    } else {
      leader->bias.readmit();  // it resigned in the section we waited for
    }
  }
  ~visit() {
    if (excluded_ != nullptr) excluded_->bias.readmit();
    queue_.mu_.unlock();
  }
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;

  // If the owner of `x` leads the queue, it will come here before it takes another item.
  void leave_message(execution& x) noexcept {
    if (queue_.leader_.load(base::order::relaxed) != &x.worker) return;  // it comes here anyway
    ++x.messages;
    if (excluded_ == &x.worker) {
      excluded_ = nullptr;  // stays counted as a visitor until the owner acknowledges
    } else {
      x.worker.bias.knock();
    }
  }

 private:
  pool_workqueue& queue_;
  sched::worker* excluded_ = nullptr;
};

}  // namespace wring::detail
