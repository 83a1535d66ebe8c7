// SPDX-License-Identifier: Apache-2.0
// sim: runs a piece of code under many schedules, from seeds, and says how to run the bad one again.
//
//   const auto r = sim::explore({.seeds = 2000}, [] {
//     my_queue q;                                       // library code, built with WRING_SIM
//     sim::thread producer{[&] { q.push(1); }};
//     const int got = q.pop();
//     producer.join();
//     sim::check(got == 1, "what was pushed is popped", got);
//   });
//   EXPECT_SIM_OK(r);                                   // tests/sim/support/sim_test.h
//
// The body runs once per seed, as a virtual thread of its own, and must build everything anew: nothing
// may live on from one seed to the next. Code between two calls of base/sync.h is one atomic step. All
// virtual threads share one OS thread, so anything that really blocks (std::mutex held across a call,
// sleep, a pipe) hangs the run.
//
// Environment: WRING_SIM_SEED=n runs that seed only; WRING_SIM_SEEDS=n replaces the number of seeds,
// WRING_SIM_SKIP=n leaves out the first n; WRING_SIM_AT='T2.8=1 ...' runs the one schedule given by its deviations from
// the quiet one.
#pragma once

#include "sim/door.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace wring::sim {

enum class profile : std::uint8_t {
  none,                  // nothing fails
  usual,                 // spurious futex returns, EINTR, weak CAS failures; one thread creation in 8 is refused,
                         // and one change of a thread's CPUs, nice value or identity
  hostile,               // the same, far more often
  creation_never_works,  // usual, and the library never gets a thread
};

struct options {
  std::uint32_t seeds = 1000;
  std::uint64_t first_seed = 0;
  profile faults = profile::usual;
  std::vector<std::string> plants{};   // the WRING_PLANTs to switch on
  std::uint64_t step_limit = 100'000;  // a run that takes longer is reported as livelock
  int cpus = 4;                        // base::syscall::affinity() says 0 .. cpus - 1
  bool weak_memory = true;             // loads may be stale; plain data is checked for races in any case
  bool timers = true;                  // timers may fire although threads could run
  bool threads_are_seen = true;        // base/thread_watch.h works
  bool explain = true;                 // shrink a failure and show its steps; not needed where a failure is expected
  std::string weaken{};                // "file.cc:123": the operation of that line loses its order
  std::size_t stack_bytes = 0;         // of each virtual thread; 0: 128 KiB, 512 KiB with the address sanitizer
};

struct event_count {
  std::uint64_t times = 0;
  std::uint64_t seeds = 0;  // in which it happened
};

// What all seeds together did, up to and without the failing one.
struct totals {
  std::uint64_t seeds = 0;
  std::uint64_t steps = 0;
  std::uint64_t switches = 0;
  std::uint64_t threads = 0;
  std::uint64_t creations_refused = 0;
  std::uint64_t stale_loads = 0;
  std::uint64_t futex_waits = 0;     // that went to sleep
  std::uint64_t spurious_wakes = 0;  // and EINTR
  std::uint64_t timeouts = 0;
  std::uint64_t unannounced_blocks = 0;  // stall() and gate::pass()
  std::uint64_t steps_in_smallest_seed = ~std::uint64_t{0};
  std::map<std::string, event_count, std::less<>> events;  // count() of tests and sometimes() of the library

  void add(const totals& other);
};

struct report : totals {
  bool failed = false;
  std::string failure;  // everything to be shown: what, which seed, how to replay, the last steps
  std::string what;     // the first line of it
  std::uint64_t failing_seed = 0;
  std::string schedule;    // WRING_SIM_AT of the shrunk failure
  std::uint64_t hash = 0;  // over the traces of all seeds
  bool complete = false;   // exhaust(): every schedule within the bounds was run

  [[nodiscard]] bool ok() const noexcept { return !failed; }
  [[nodiscard]] event_count event(std::string_view name) const;
  // In how many of the seeds it happened, 0 to 1.
  [[nodiscard]] double share(std::string_view name) const;
};

// Runs the body with seeds first_seed .. first_seed + seeds - 1, up to the first failure.
report explore(const options& how, const std::function<void()>& body);

struct bounds {
  // Switches away from a thread that could go on, timers that fire early, and spins that nobody interrupts.
  std::uint32_t preemptions = 2;
  std::uint32_t stale_loads = 0;
  std::uint32_t faults = 0;  // answers of the fault profile
  std::uint64_t most_runs = 1'000'000;
  options with{.faults = profile::none};
};

// Runs the body under every schedule within the bounds; totals::seeds is their number.
report exhaust(const bounds& within, const std::function<void()>& body);

// --- for the body -------------------------------------------------------------------------------------------

// A thread of the test. Its creation never fails. Join it before it goes out of scope.
class thread {
 public:
  explicit thread(std::function<void()> body, const char* name = "test thread", here at = here::now());
  thread(thread&& other) noexcept;
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  thread& operator=(thread&&) = delete;
  ~thread();
  void join(here at = here::now());

 private:
  std::uint32_t id_ = 0;
};

namespace detail {
[[noreturn]] void check_failed(const char* what, const std::string& values, here at) noexcept;
template <class... Values>
std::string to_text(const Values&... values) {
  std::ostringstream text;
  ((text << ' ' << values), ...);
  return text.str();
}
}  // namespace detail

struct claim {
  const char* text;
  here at;
  // NOLINTNEXTLINE(google-explicit-constructor): a string literal is meant to become a claim
  constexpr claim(const char* t, here where = here::now()) noexcept : text{t}, at{where} {}
};

// Fails the run unless the condition holds; the values are printed.
template <class... Values>
void check(bool holds, claim what, const Values&... values) {
  if (!holds) [[unlikely]]
    detail::check_failed(what.text, detail::to_text(values...), what.at);
}

// Blocks the calling thread for so long without telling the library, as a page fault does.
void stall(std::uint64_t ns, here at = here::now());
// Works for so long.
void spend(std::uint64_t ns, here at = here::now());
// Virtual time.
std::uint64_t now_ns() noexcept;

// Blocks whoever passes before it is open, without telling the library.
class gate {
 public:
  void pass(here at = here::now());
  void open(here at = here::now());

 private:
  std::uint32_t open_ = 0;
};

// While one exists nothing fails (thread creation, futexes, weak CAS), whatever the profile: for setting up.
class calm {
 public:
  calm() noexcept;
  ~calm();
  calm(const calm&) = delete;
  calm& operator=(const calm&) = delete;
};

// Any of 0 .. n-1, decided by the seed.
std::uint32_t choose(std::uint32_t n, here at = here::now());
// A point where another thread may go on, for test code that shares things of its own.
void point(here at = here::now());
// Counts an event by name.
void count(const char* name, std::uint64_t times = 1) noexcept;
// Shows the word under this name in traces and reports.
void name(const void* word, const char* name);

// --- for test programs --------------------------------------------------------------------------------------

// What a test frame tells the simulator, once, before the first test.
struct frame {
  // The command line that runs the present test alone, without environment.
  std::string (*command)() = nullptr;
  // Called with every finished report.
  void (*finished)(const report&) = nullptr;
};
void set_frame(frame f) noexcept;

}  // namespace wring::sim
