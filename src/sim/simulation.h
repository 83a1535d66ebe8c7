// SPDX-License-Identifier: Apache-2.0
// simulation: the virtual machine: threads, time, futexes and locks, and one run after the other.
//
// Exactly one fiber runs. Before each operation it comes to point(), which may go on with another thread;
// the operation itself is then atomic. Everything that changes hangs off this object and is made anew by
// run(), except memory that is only kept (stacks, tables).
//
// Threads: all of them live on the OS thread that called run().
#pragma once

#include "sim/decisions.h"
#include "sim/fiber.h"
#include "sim/memory_model.h"
#include "sim/sim.h"
#include "sim/thread_self.h"
#include "sim/trace.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace wring::sim {

enum class failure_kind : std::uint8_t { none, check, stuck, livelock, race, misuse, exception, crash, leak };

struct run_result {
  failure_kind kind = failure_kind::none;
  std::string what;
  std::string waiting;  // a line for each thread that is not finished
  std::uint64_t hash = 0;
  std::uint64_t steps = 0;
};

class simulation {
 public:
  explicit simulation(const options& how);
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;
  ~simulation();

  // The simulation whose fiber is running; null on the host.
  static simulation* current() noexcept { return current_; }

  // Who decides; set before run().
  [[nodiscard]] decisions& choices() noexcept { return decisions_; }
  run_result run(const std::function<void()>& body, bool keep_steps);
  [[nodiscard]] std::string columns() const;
  // What the last run counted.
  [[nodiscard]] const totals& counted() const noexcept { return counted_; }
  [[nodiscard]] bool plants_all_met(std::string& missing) const;
  [[nodiscard]] const char* strategy_name() noexcept { return decisions_.way().name(); }

  // --- the door (door.h) ---
  std::uint64_t load(door::word w, order o, here at);
  void store(door::word w, std::uint64_t value, order o, here at);
  std::uint64_t modify(door::word w, door::rmw op, std::uint64_t operand, order o, here at);
  bool compare_exchange(door::word w, std::uint64_t& expected, std::uint64_t desired, order ok, order fail, bool weak,
                        here at);
  void born(const void* address);
  void forget(const void* low, std::size_t bytes) noexcept { memory_.forget(low, bytes); }
  void plain_read(const void* address, here at);
  void plain_write(const void* address, here at);
  void fence_light(here at);
  void fence_heavy(here at);
  int futex_wait(const std::uint32_t* address, std::uint32_t expected, std::uint64_t deadline, here at);
  int futex_wake(const std::uint32_t* address, int count, here at);
  void lock(std::uint32_t* address, here at);
  bool try_lock(std::uint32_t* address, here at);
  void unlock(std::uint32_t* address, here at);
  void relax(here at);
  int thread_create(std::uint32_t& id, const char* name, void (*entry)(void*), void* argument, bool may_fail, here at);
  void thread_join(std::uint32_t id, here at);
  bool thread_try_join(std::uint32_t id, here at);
  [[nodiscard]] std::uint32_t thread_id() const noexcept;
  void thread_stack(std::uintptr_t& low, std::uintptr_t& high) const noexcept;
  void thread_name(const char* name);
  void*& thread_slot(unsigned kind);
  bool planted(const char* name) noexcept;
  void count(const char* name, std::uint64_t times);

  // --- for bodies (sim.h) ---
  void stall(std::uint64_t ns, here at);
  void spend(std::uint64_t ns, here at);
  void gate_pass(const std::uint32_t* open, here at);
  void gate_open(std::uint32_t* open, here at);
  std::uint32_t choose(std::uint32_t n, here at);
  void mark(here at);
  void calm_down(bool begins) noexcept { calm_ = begins ? calm_ + 1 : calm_ - 1; }
  void name(const void* word, const char* name) { names_.push_back({word, name}); }
  std::uint64_t now() noexcept { return now_; }
  // Reading the clock takes time too: a loop that only waits for a deadline gets there.
  std::uint64_t read_clock() noexcept {
    me().cpu_ns += clock_read_ns;
    return now_ += clock_read_ns;
  }
  // Looks at a thread from outside (base/thread_watch.h); false: there is no such thread. Others may go on before, as
  // between what is known of a thread and a look at it there is always time.
  struct sight {
    bool waits;
    std::uint64_t cpu_ns;
  };
  [[nodiscard]] bool look(std::uint32_t id, sight& seen);
  [[nodiscard]] bool threads_are_seen() const noexcept { return options_.threads_are_seen; }
  [[nodiscard]] int cpus() const noexcept { return options_.cpus; }
  // Of the running thread; threads do not move, but to where they are bound.
  void bind(std::vector<unsigned> cpus) { me().bound_to = std::move(cpus); }
  [[nodiscard]] const std::vector<unsigned>& bound_to() const noexcept { return threads_[running_].bound_to; }
  // Who the running thread is.
  [[nodiscard]] thread_self& self() noexcept { return me().self; }
  [[nodiscard]] const thread_self& self() const noexcept { return threads_[running_].self; }
  // Does the system refuse the call that the running thread makes now?
  [[nodiscard]] bool refuses_call() { return fault(rates_.call); }

  [[noreturn]] void fail(failure_kind kind, const std::string& what);

 private:
  static constexpr std::uint64_t step_ns = 40;
  static constexpr std::uint64_t clock_read_ns = 10;
  static constexpr std::uint32_t patience = 300;         // steps one thread may take in a row while others are ready
  static constexpr std::uint64_t starving_after = 4096;  // steps of others a ready thread waits at most
  static constexpr std::uint32_t stale_in_row = 8;       // then the newest value is seen
  static constexpr unsigned slot_kinds = 16;
  static constexpr std::uint64_t no_timer = ~std::uint64_t{0};

  // Why the running thread looks for the next one.
  enum class leaving : std::uint8_t { may_stay, must_yield, blocked };
  enum class waiting : std::uint8_t { nothing, futex, lock, join, time, gate };
  enum class outcome : std::uint8_t { woken, timeout };

  struct virtual_thread {
    fiber place;
    fiber_stack stack;
    model_thread model;  // slot, id and clock
    std::string name;
    void (*entry)(void*) = nullptr;
    void* argument = nullptr;
    bool used = false;  // the slot has a thread that is not joined yet
    bool finished = false;
    bool spinning = false;  // it relaxes and is let go on all the same
    std::uint32_t steps = 0;
    std::uint64_t left_at = 0;    // when it ran last
    std::uint64_t cpu_ns = 0;     // its steps, and what it spent
    decisions::position decided;  // how far its present step is decided

    operation next = operation::mark;  // what it is about to do
    const void* next_address = nullptr;
    here at;

    waiting waits = waiting::nothing;
    const void* waits_for = nullptr;
    std::uint64_t since = 0;  // order of arrival
    std::uint64_t deadline = no_timer;
    outcome result = outcome::woken;
    std::array<void*, slot_kinds> slots{};
    std::vector<unsigned> bound_to;  // these CPUs; none: to all
    thread_self self;
  };
  struct fault_rates {
    std::uint32_t futex = 0;
    std::uint32_t weak_cas = 0;
    std::uint32_t create = 0;
    std::uint32_t call = 0;
    bool never_create = false;
  };
  struct counter {
    const char* name;
    std::uint64_t times;
  };

  static fault_rates rates_of(profile p) noexcept;
  bool fault(std::uint32_t rate) { return calm_ == 0 && decisions_.fault(rate); }
  static void fiber_entry();

  virtual_thread& me() noexcept { return threads_[running_]; }
  // The point before an operation.
  void point(operation op, const void* address, here at);
  void note(const trace_step& s) { trace_.add(s); }
  void note(operation op, const void* address, std::uint32_t place, std::uint32_t detail, std::uint64_t value);
  void choose_next(leaving why);
  void begin_step(operation op, const void* address, here at);
  void announce_access();
  void help_starving() noexcept;
  outcome block(waiting why, const void* what, std::uint64_t deadline);
  void leave_blocked();
  void finish();
  void wake(virtual_thread& t, outcome result);
  void wake_all(waiting why, const void* what);
  void fire_timers();
  void jump_to_timer();
  void find_next_timer() noexcept;
  void changed() noexcept { last_change_ = steps_; }
  virtual_thread* find_thread(std::uint32_t id) noexcept;
  virtual_thread& thread_to_join(std::uint32_t id);
  void end_thread(virtual_thread& t);
  virtual_thread* free_slot() noexcept;
  void start_thread(virtual_thread& t, const thread_self& like, const char* name, void (*entry)(void*), void* argument);
  [[nodiscard]] order weakened(order o, here at) const noexcept;
  atomic_cell& cell_of(door::word w, std::uint64_t raw);
  std::uint32_t staleness(atomic_cell& c, order o);
  [[noreturn]] void race(const char* what, const access& earlier, here at);
  [[nodiscard]] std::string who_waits() const;
  [[nodiscard]] std::string name_of(const void* address) const;
  static std::string text_of(here at);

  static simulation* current_;

  options options_;
  fault_rates rates_;
  std::uint32_t calm_ = 0;  // sim::calm objects alive: no faults
  decisions decisions_;
  memory_model memory_;
  trace trace_;
  fiber host_;
  std::array<virtual_thread, max_threads> threads_;
  std::vector<std::string> thread_names_;  // by id, for the trace
  slot_set ready_ = 0;
  std::uint32_t running_ = 0;
  std::uint32_t next_id_ = 0;
  std::uint32_t in_row_ = 0;  // steps since the last switch
  std::array<std::uint32_t, max_threads> ids_{};
  std::uint64_t steps_ = 0;
  std::uint64_t now_ = 0;
  std::uint64_t next_timer_ = no_timer;  // not later than any deadline
  std::uint64_t last_change_ = 0;        // step of the last operation that can have changed what others see
  std::uint64_t arrivals_ = 0;
  run_result result_;
  totals counted_;
  std::vector<counter> counters_;
  std::vector<trace::name_of> names_;
  std::vector<bool> plants_met_;
  const char* weaken_file_ = nullptr;
  std::string weaken_name_;
  int weaken_line_ = 0;
};

}  // namespace wring::sim
