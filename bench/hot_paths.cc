// SPDX-License-Identifier: Apache-2.0
// hot_paths: how many instructions does each hot path take?
//
// Made for callgrind: `dev/test hot_paths` runs it and compares. A thread is counted between start_counting() and
// stop_counting(), and no other thread is. After each path callgrind writes down what it has counted, under the number
// of items and the name of the path.
//
// Each pool has one worker. While items are queued it waits in an item of another queue, so what it finds then is the
// same each time.
#include "gate.h"
#include "pinned.h"

#include <valgrind/callgrind.h>

#include <wring/wring.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>
#include <string>

// For the library, time stands still. Valgrind makes instructions some fifty times as slow, but not the clock: hardly
// an item would be short, and whenever others use the machine, one would look stuck. So these two stand in for
// functions of the library. The macro makes the names that valgrind looks for: Zd is a dot, Za is anything.
#define INSTEAD_OF(function) I_REPLACE_SONAME_FNNAME_ZU(libwringZdsoZa, function)

namespace {
std::atomic<bool> now_was_asked{false};
std::atomic<bool> rate_was_asked{false};
}  // namespace

// base::clock::now(). A moment that will not come, so who sleeps until some time after it is woken, or sleeps on.
extern "C" std::uint64_t INSTEAD_OF(_ZN5wring4base5clock3nowEv)();
extern "C" std::uint64_t INSTEAD_OF(_ZN5wring4base5clock3nowEv)() {
  now_was_asked.store(true, std::memory_order_relaxed);
  std::timespec ignored{};
  clock_gettime(CLOCK_MONOTONIC, &ignored);  // a call out of the library, as it is there
  return std::uint64_t{1} << 62;
}

// base::clock::ticks_per_us(). A tick is next to nothing.
extern "C" std::uint64_t INSTEAD_OF(_ZN5wring4base5clock12ticks_per_usEv)();
extern "C" std::uint64_t INSTEAD_OF(_ZN5wring4base5clock12ticks_per_usEv)() {
  rate_was_asked.store(true, std::memory_order_relaxed);
  return 1'000'000'000;
}

namespace bench {

namespace {

constexpr std::uint64_t items = 4'000;
constexpr unsigned rounds = 5;
constexpr unsigned children = 16;  // of a group
static_assert(items % children == 0);

void start_counting() noexcept { CALLGRIND_TOGGLE_COLLECT; }
void stop_counting() noexcept { CALLGRIND_TOGGLE_COLLECT; }

void write_down(const char* path) {
  const std::string text = std::to_string(items) + ' ' + path;
  CALLGRIND_DUMP_STATS_AT(text.c_str());
}

// A call that did nothing would be a cheap one.
void must(bool done) noexcept {
  if (done) [[likely]]
    return;
  std::fputs("hot_paths: a call was refused\n", stderr);
  std::abort();
}

// Nothing depends on the machine, and no worker comes to take the place of one that waits.
wring::runtime_options one_worker() {
  return {.cpus = 1,
          .topology = "core:1 pu:1",
          .max_workers = 1,
          .replan_interval = std::chrono::milliseconds{0},
          .stall_floor = std::chrono::milliseconds{0},
          .detect = wring::detection::announced,
          .watchdog_threshold = std::chrono::milliseconds{0}};
}

// Two queues of one kind: the one that is measured, and the one in whose item the worker waits meanwhile.
class lane {
 public:
  lane(wring::runtime& where, const wring::workqueue_options& options)
      : queue_{where, options}, before_{where, options} {
    // Now it is known that the items are short, and there is memory for closures.
    for (unsigned turn = 0; turn < 10; ++turn) {
      for (std::uint64_t i = 0; i < 10; ++i) must(queue_.submit([] {}));
      must(queue_.flush());
    }
  }

  [[nodiscard]] wring::workqueue& queue() noexcept { return queue_; }

  // What the submitter does; then what the worker does, from the end of its waiting to the item behind the last one.
  template <class Submit>
  void submit_and_run(const char* submitting, const char* running, Submit submit) {
    gate held;
    gate ended;
    must(before_.submit([&held] {
      held.wait();
      start_counting();
    }));
    held.await_waiting(1);

    start_counting();
    for (std::uint64_t i = 0; i < items; ++i) must(submit(i));
    stop_counting();
    write_down(submitting);

    must(queue_.submit([&ended] {
      stop_counting();
      ended.open();
    }));
    held.open();
    ended.wait();
    write_down(running);
    must(before_.flush() && queue_.flush());  // who opens a gate has let go of it
  }

  // What the worker does in `body`.
  template <class Body>
  void inside(const char* path, Body body) {
    must(queue_.submit([&body] {
      start_counting();
      body();
      stop_counting();
    }));
    must(queue_.flush());
    write_down(path);
    must(queue_.flush());  // of what the body has queued
  }

  // What the caller does in `body`.
  template <class Body>
  void outside(const char* path, Body body) {
    start_counting();
    body();
    stop_counting();
    write_down(path);
  }

 private:
  wring::workqueue queue_;
  wring::workqueue before_;
};

class hot_paths {
 public:
  void measure() {
    closures();
    works();
    groups();
    timers();
    standard_.outside("flush an idle queue", [this] {
      for (std::uint64_t i = 0; i < items; ++i) must(standard_.queue().flush());
    });
  }

 private:
  void closures() {
    wring::workqueue& queue = standard_.queue();
    const auto submit = [&queue](std::uint64_t) { return queue.submit([] {}); };
    standard_.submit_and_run("submit a closure", "run a closure", submit);
    standard_.inside("submit a closure, inside", [&submit] {
      for (std::uint64_t i = 0; i < items; ++i) must(submit(i));
    });
  }

  void works() {
    pinned<wring::work> works{items, [](void* storage, std::size_t) { ::new (storage) wring::work{[] {}}; }};
    const auto queue_on = [&works](lane& where) {
      return [&works, &queue = where.queue()](std::uint64_t i) { return queue.queue(works[i]); };
    };
    standard_.submit_and_run("queue a work", "run a work", queue_on(standard_));
    ordered_.submit_and_run("queue a work, ordered", "run a work, ordered", queue_on(ordered_));
    unmanaged_.submit_and_run("queue a work, one at a time", "run a work, one at a time", queue_on(unmanaged_));
  }

  void groups() {
    standard_.inside("fork and join a child", [&queue = standard_.queue()] {
      for (std::uint64_t i = 0; i < items; i += children) {
        wring::task_group group{queue};
        for (unsigned child = 0; child < children; ++child) must(group.run([] {}));
        group.wait();
      }
    });
  }

  void timers() {
    pinned<wring::delayed_work> works{items,
                                      [](void* storage, std::size_t) { ::new (storage) wring::delayed_work{[] {}}; }};
    standard_.outside("arm a delayed_work", [this, &works] {
      for (wring::delayed_work& each : works) must(standard_.queue().queue_delayed(each, std::chrono::minutes{1}));
    });
    standard_.outside("cancel a delayed_work", [&works] {
      for (wring::delayed_work& each : works) must(each.cancel());
    });
  }

  wring::runtime runtime_{one_worker()};
  lane standard_{runtime_, {.name = "standard"}};
  lane ordered_{runtime_, {.name = "ordered", .ordered = true}};
  lane unmanaged_{runtime_, {.name = "unmanaged", .unmanaged = true}};  // its items are taken as long ones are
};

}  // namespace

}  // namespace bench

int main() {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fputs("hot_paths: callgrind counts what this does: dev/test hot_paths\n", stderr);
    return 2;
  }
  bench::hot_paths paths;
  for (unsigned round = 0; round < bench::rounds; ++round) paths.measure();
  if (!now_was_asked.load(std::memory_order_relaxed) || !rate_was_asked.load(std::memory_order_relaxed)) {
    std::fputs("hot_paths: time did not stand still; are these the names of the library's clock functions?\n", stderr);
    return 1;
  }
}
