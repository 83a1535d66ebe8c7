// SPDX-License-Identifier: Apache-2.0
// wq_model: queues and items that keep their own books, so that a random mix of operations can be checked.
//
// The books are plain counters. What one of them says is exact when nobody is inside a call; in between, calls
// under way are counted too, so that a check errs on the lenient side only while somebody cancels.
// Rules: WQ-53, 60, 61, 66, 82, 84, 90, 98, 125, 127, 151, 153, 154, 156.
#pragma once

#include "support/wq_world.h"

#include "base/syscall.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace wring::sim::test {

// "Before a flush" is a matter of happens-before, not of the simulator's clock: a flusher that is to know of the
// calls of other threads has to synchronise with them.
class happened_before {
 public:
  void note() noexcept { word_.fetch_add(1, base::order::release); }  // pairs with look()
  void look() noexcept { word_.fetch_add(0, base::order::acquire); }  // pairs with note()

 private:
  base::atomic<std::uint32_t> word_{0};
};

// One queue and everything that was asked of it.
class model_queue {
 public:
  model_queue(world& w, workqueue_options o) : most_{slots(o)}, in_order_{most_ == 1}, queue{w, o} {}

  // A closure whose number grows with every call of this producer.
  template <class Body>
  void submit(unsigned producer, Body body) {
    const std::size_t id = done_.size();
    done_.push_back(false);
    const unsigned turn = ++made_[producer];
    const bool accepted = queue.submit([this, id, producer, turn, body]() mutable {
      enter();
      if (in_order_) check(started_[producer] < turn, "closures of one producer start in order", producer, turn);
      started_[producer] = turn;
      body();
      check(!done_[id], "a closure runs once", id);
      done_[id] = true;
      leave();
    });
    if (!accepted) return;
    calls.note();  // then the book, in the same step
    accepted_.push_back(id);
  }

  void flush() {
    calls.look();
    const std::size_t before = accepted_.size();
    check(queue.flush(), "a flush from outside is no misuse");
    check_done(before);
  }
  void drain() {
    calls.look();
    const std::size_t before = accepted_.size();
    check(queue.drain(), "a drain from outside is no misuse");
    check_done(before);
  }

  // More start, or those that run go on (WQ-127).
  void set_max_active(unsigned n) {
    most_ = std::max(most_, n);
    check(queue.set_max_active(n), "this queue's limit may change");
  }
  // Of a frozen queue in which nothing runs any more: nothing starts (WQ-125).
  void expect_stillness(bool still) { still_ = still; }

  void enter() {
    ++inside_;
    check(!still_, "nothing starts while the queue is frozen");
    check(inside_ <= most_, "max_active is kept", inside_, most_);
  }
  void leave() { --inside_; }

  void check_quiet() {
    check(inside_ == 0, "nobody is inside an item", inside_);
    check_done(accepted_.size());
    const workqueue_stats s = queue.stats();
    check(s.active == 0, "no slot is taken", s.active);
  }

  happened_before calls;

 private:
  void check_done(std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) check(done_[accepted_[i]], "what was queued before has finished", accepted_[i]);
  }

  static unsigned slots(const workqueue_options& o) {
    if (o.ordered) return 1;
    const unsigned on_each_cpu = o.max_active != 0 ? o.max_active : 1024;
    return o.per_cpu ? on_each_cpu * static_cast<unsigned>(base::syscall::affinity().size()) : on_each_cpu;
  }

  unsigned most_;  // ever
  bool still_ = false;
  const bool in_order_;
  unsigned inside_ = 0;
  std::vector<bool> done_;              // by closure
  std::vector<std::size_t> accepted_;   // closures
  std::array<unsigned, 32> made_{};     // by producer
  std::array<unsigned, 32> started_{};  // by producer

 public:
  workqueue queue;  // last: its end runs what is left, which writes all of the above
};

// The books of one item; Item is work or delayed_work.
template <class Item>
class model_item {
 public:
  template <class Body>
  model_item(model_queue& its_queue, Body body) : queue_{its_queue}, body_{std::move(body)}, item_{[this] { run(); }} {}

  bool queue() {
    const calling call{*this};
    const bool accepted = queue_.queue.queue(item_);
    note_queued(accepted);
    return accepted;
  }
  bool queue_delayed(std::uint64_t ns) {
    const calling call{*this};
    const bool accepted = queue_.queue.queue_delayed(item_, std::chrono::nanoseconds{ns});
    note_queued(accepted);
    return accepted;
  }
  // Exact only for an item that is never disabled, on a queue that is never drained.
  void modify(std::uint64_t ns) {
    const calling call{*this};
    note_queued(!queue_.queue.modify(item_, std::chrono::nanoseconds{ns}));
  }
  void cancel() {
    ++cancelling_;
    if (item_.cancel()) {
      ++cancelled_;
      count("cancelled");
    }
    --cancelling_;
  }
  void cancel_sync() {
    ++cancelling_;
    const unsigned calls = calls_begun_;
    const bool alone = calls_ == 0;
    if (running_) count("cancel_sync while it ran");
    if (item_.cancel_sync()) ++cancelled_;
    const bool idle = !running_ && completed_ == started_;
    const bool idle_too = !item_.pending() && !item_.running();
    if (alone && calls_begun_ == calls) check(idle && idle_too, "neither pending nor running after cancel_sync");
    --cancelling_;
  }
  // For the length of a call of `meanwhile` nothing is queued (WQ-98).
  template <class Meanwhile>
  void disable_during(bool sync, const Meanwhile& meanwhile) {
    ++cancelling_;
    if (sync ? item_.disable_sync() : item_.disable()) ++cancelled_;
    const unsigned queued = queued_;
    const bool alone = calls_ == 0 && !queues_itself_;
    if (sync && alone) check(!running_ && !item_.running(), "not running after disable_sync");
    meanwhile();
    if (alone) check(queued_ == queued, "nothing is queued while it is disabled", queued_, queued);
    item_.enable();
    --cancelling_;
    count("disabled");
  }
  void flush() {
    queue_.calls.look();
    const unsigned before = queued_;
    if (item_.flush()) count("item flush waited");
    check(completed_ + cancelled_ + cancelling_ >= before, "what was asked for before the flush has finished",
          completed_, cancelled_, before);
  }
  // What flushes of the whole queue have to wait for.
  [[nodiscard]] unsigned asked_for() const noexcept { return queued_; }
  void check_finished(unsigned asked) const {
    check(completed_ + cancelled_ + cancelling_ >= asked, "items queued before a flush have finished", completed_,
          cancelled_, asked);
  }

  void check_quiet() {
    check(!running_ && !item_.pending(), "the item is idle");
    check(started_ + cancelled_ == queued_, "runs + cancels = queue calls", started_, cancelled_, queued_);
  }

 private:
  struct calling {
    explicit calling(model_item& of) : item{of} {
      ++item.calls_;
      ++item.calls_begun_;
    }
    ~calling() { --item.calls_; }
    calling(const calling&) = delete;
    calling& operator=(const calling&) = delete;
    model_item& item;
  };

  void note_queued(bool accepted) {
    if (!accepted) return;
    queue_.calls.note();  // then the book, in the same step
    ++queued_;
  }
  void run() {
    check(!running_, "an item is never run by two workers at once");
    running_ = true;
    ++started_;
    queue_.enter();
    body_();
    if (again_ != 0 && choose(2) != 0) {
      --again_;
      // Not counted as a call: cancel_sync has to win against it (WQ-96).
      queues_itself_ = true;
      const bool accepted = queue_.queue.queue(item_);
      note_queued(accepted);
      queues_itself_ = false;
      if (accepted) count("queued itself again");
    }
    queue_.leave();
    running_ = false;
    ++completed_;
  }

  model_queue& queue_;
  std::function<void()> body_;
  unsigned queued_ = 0;
  unsigned cancelled_ = 0;
  unsigned cancelling_ = 0;  // calls under way
  unsigned calls_ = 0;       // queue calls under way
  unsigned calls_begun_ = 0;
  unsigned started_ = 0;
  unsigned completed_ = 0;
  unsigned again_ = 3;
  bool running_ = false;
  bool queues_itself_ = false;  // such a call is under way, or not in the books yet
  Item item_;
};

// Lives on the heap and ends itself in its callback (WQ-63).
class ephemeral {
 public:
  static void start(model_queue& q, unsigned& alive) {
    auto* e = new ephemeral{q, alive};
    if (!q.queue.queue(e->item_)) delete e;
  }
  ephemeral(const ephemeral&) = delete;
  ephemeral& operator=(const ephemeral&) = delete;

 private:
  ephemeral(model_queue& q, unsigned& alive) : queue_{q}, alive_{alive}, item_{[this] { end(); }} { ++alive_; }
  ~ephemeral() { --alive_; }
  void end() {
    model_queue& q = queue_;
    q.enter();
    delete this;
    point();
    q.leave();
  }

  model_queue& queue_;
  unsigned& alive_;
  work item_;
};

// A delayed item of one owner, who knows what its next run has to wait for (WQ-53).
class punctual {
 public:
  explicit punctual(model_queue& q) : queue_{q}, item_{[this] { run(); }} {}

  void queue(std::uint64_t ns) {
    if (waiting_) return;
    waiting_ = true;
    due_ = now_ns() + ns;
    check(queue_.queue.queue_delayed(item_, std::chrono::nanoseconds{ns}), "an idle delayed item can be queued");
  }
  void cancel() {
    if (item_.cancel()) waiting_ = false;
  }
  void check_quiet() const { check(!waiting_, "what was delayed has run"); }
  void flush() { item_.flush(); }

 private:
  void run() {
    check(now_ns() >= due_ || hurried_, "a delayed item does not run early", due_);
    waiting_ = false;
  }
  model_queue& queue_;
  bool waiting_ = false;
  bool hurried_ = false;
  std::uint64_t due_ = 0;
  delayed_work item_;

 public:
  // From here on a flush may cut the delay short.
  void hurry() {
    hurried_ = true;
    item_.flush();
  }
};

}  // namespace wring::sim::test
