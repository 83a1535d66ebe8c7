// SPDX-License-Identifier: Apache-2.0
// thread_watch: which of the ways to see a thread tell the truth. How they see is the shells' business.
#include "base/thread_watch.h"

#include "base/sync.h"

#include <cstring>
#include <utility>

namespace wring::base {

namespace {

using namespace std::chrono_literals;

// A source is given so many rounds, of so long and of so many looks, to say what is so. A round begins when the thread
// watched has answered, so a busy machine makes rounds longer instead of fewer. To be misjudged, the thread would have
// to lose its CPU between its answer and what it announced, in every round.
constexpr int rounds_max = 8;
constexpr std::chrono::nanoseconds look_time = 2ms;
constexpr int looks_min = 64;
// A clock that stands still for so long does not tell the time of day.
constexpr std::chrono::nanoseconds standstill = 50us;

// A thread that sleeps or runs as it is told.
class subject {
 public:
  enum deed : std::uint32_t { sleep, run, end, deeds };

  subject() noexcept = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  ~subject() {
    if (!thread_.joinable()) return;
    tell(end);
    thread_join(thread_);
  }

  // 0 or -errno: there is no such thread.
  int begin() noexcept {
    constexpr std::size_t small_stack = std::size_t{64} << 10;
    const auto entry = [](void* self) { static_cast<subject*>(self)->obey(); };
    return thread_create(thread_, {.name = "wring/probe", .stack_bytes = small_stack}, entry, this);
  }
  // Returns when it is about to.
  void tell(deed what) noexcept {
    told_now_ += deeds;
    const std::uint32_t word = told_now_ + what;
    told_.store(word, order::release);  // pairs with obey()
    futex_wake(told_, 1);
    while (answered_.load(order::acquire) != word) yield();  // pairs with obey()
  }
  // After the first tell().
  [[nodiscard]] std::uint32_t tid() const noexcept { return tid_.get(); }

 private:
  void obey() noexcept {
    tid_.set(thread_id());
    for (std::uint32_t word = 0;;) {
      const std::uint32_t before = std::exchange(word, told_.load(order::acquire));  // pairs with tell()
      if (word != before) answered_.store(word, order::release);                     // pairs with tell()
      switch (word % deeds) {
        case end: return;
        case run: yield(); break;  // and not only spin: the watcher may have to share its CPU, by a strict policy
        default: futex_wait(told_, word);
      }
    }
  }

  thread thread_;
  std::uint32_t told_now_ = 0;
  atomic<std::uint32_t> told_{sleep};  // a deed, and a multiple of `deeds` that tells one order from the next
  atomic<std::uint32_t> answered_{sleep};
  checked<std::uint32_t> tid_{0};
};

// What one source has shown so far. It passes if a waiting thread is seen to wait and then, running, to run.
class verdict {
 public:
  void wish(bool wished) {
    if (!wished) refuse("not asked for");
  }
  void refuse(std::string why) {
    refused_ = true;
    why_ = std::move(why);
  }
  // The watched thread does what `truth` says, and was seen to do `seen`.
  void take(thread_sight truth, thread_sight seen) noexcept {
    if (seen != truth) return;
    if (truth == thread_sight::waiting) waited_ = true;
    if (truth == thread_sight::running && waited_) ran_ = true;
  }
  [[nodiscard]] bool refused() const noexcept { return refused_; }
  [[nodiscard]] bool has_seen(thread_sight truth) const noexcept {
    return refused_ || (truth == thread_sight::waiting ? waited_ : ran_);
  }
  [[nodiscard]] bool passed() const noexcept { return ran_ && !refused_; }
  [[nodiscard]] std::string why() && {
    if (passed() || refused_) return std::move(why_);
    return waited_ ? "a running thread is not seen to run" : "a waiting thread is not seen to wait";
  }

 private:
  bool refused_ = false;
  bool waited_ = false;
  bool ran_ = false;
  std::string why_;
};

std::string of_call(const char* call, std::int64_t error) {
  return std::string{call} + ": " + std::strerror(static_cast<int>(-error));
}

// Looks at one thread with all sources.
class watcher {
 public:
  watcher(const watch_wish& wish, std::uint32_t tid) : tid_{tid} {
    rings_.wish(wish.rings);
    stat_.wish(wish.stat);
    cpu_clock_.wish(wish.cpu_clock);
    if (wish.rings) {
      if (const int r = ring_.open(tid); r == -ENOMEM) {
        rings_.refuse("no memory may be locked for a ring");
      } else if (r < 0) {
        rings_.refuse(of_call("perf_event_open", r));
      }
    }
    if (wish.stat && look_at_stat(tid) == thread_sight::unknown) {
      stat_.refuse("the state of a thread in /proc cannot be read");
    }
    if (const std::int64_t t = wish.cpu_clock ? cpu_time_of(tid) : 0; t < 0) {
      cpu_clock_.refuse(of_call("clock_gettime of a thread's CPU clock", t));
    }
  }

  // Until all sources have seen the truth, or had time enough to.
  void look_for(thread_sight truth) noexcept {
    // Since it waited, a thread that runs has used some, if only to answer; so no later one of its looks may be too
    // late.
    if (truth == thread_sight::waiting) cpu_time_ = -1;  // not known
    const instant until = clock::now() + look_time;
    for (int looks = 0; !all_have_seen(truth) && (looks < looks_min || clock::now() < until); ++looks) {
      if (!rings_.has_seen(truth)) rings_.take(truth, ring_.look());
      if (!stat_.has_seen(truth)) stat_.take(truth, look_at_stat(tid_));
      if (!cpu_clock_.has_seen(truth)) cpu_clock_.take(truth, look_at_cpu_clock());
      yield();
    }
  }
  // The thread is the calling one: it cannot be seen to wait.
  void look_at_caller() noexcept {
    atomic<std::uint32_t> nobody_wakes{0};
    for (verdict* v : {&rings_, &stat_, &cpu_clock_}) v->take(thread_sight::waiting, thread_sight::waiting);
    futex_wait(nobody_wakes, 0, clock::now() + look_time / 4);  // so that it has switched
    look_for(thread_sight::running);
  }

  [[nodiscard]] bool decided() const noexcept {
    return all_have_seen(thread_sight::waiting) && all_have_seen(thread_sight::running);
  }
  [[nodiscard]] watch_probe result() && {
    return {.rings = rings_.passed(),
            .stat = stat_.passed(),
            .cpu_clock = cpu_clock_.passed(),
            .rings_why = std::move(rings_).why(),
            .stat_why = std::move(stat_).why(),
            .cpu_clock_why = std::move(cpu_clock_).why()};
  }

 private:
  [[nodiscard]] bool all_have_seen(thread_sight truth) const noexcept {
    return rings_.has_seen(truth) && stat_.has_seen(truth) && cpu_clock_.has_seen(truth);
  }
  // A clock tells waiting by standing still, which needs a while.
  thread_sight look_at_cpu_clock() noexcept {
    const std::int64_t t = cpu_time_of(tid_);
    const instant at = clock::now();
    if (t == cpu_time_) return at - cpu_time_since_ >= standstill ? thread_sight::waiting : thread_sight::unknown;
    const bool is_first = cpu_time_ < 0;
    cpu_time_ = t;
    cpu_time_since_ = at;
    return is_first ? thread_sight::unknown : thread_sight::running;
  }

  const std::uint32_t tid_;
  switch_ring ring_;
  std::int64_t cpu_time_ = -1;
  instant cpu_time_since_;  // when it was first seen to be so much
  verdict rings_;
  verdict stat_;
  verdict cpu_clock_;
};

}  // namespace

watch_probe probe_by_looking(const watch_wish& wish) {
  subject helper;
  if (helper.begin() != 0) {
    watcher own{wish, thread_id()};
    own.look_at_caller();
    return std::move(own).result();
  }
  helper.tell(subject::run);
  watcher w{wish, helper.tid()};
  for (int round = 0; round < rounds_max && !w.decided(); ++round) {
    helper.tell(subject::sleep);
    w.look_for(thread_sight::waiting);
    helper.tell(subject::run);
    w.look_for(thread_sight::running);
  }
  return std::move(w).result();
}

}  // namespace wring::base
