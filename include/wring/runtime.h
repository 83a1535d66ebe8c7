// SPDX-License-Identifier: Apache-2.0
// runtime: everything wring keeps; worker pools, timekeeper, recycled memory. There is no other state.
//
// Most programs never name one: objects made without a runtime use `runtime::default_instance()`, which
// is made at first use and lives until the process ends. Tests and embedders make their own.
#pragma once

#include <wring/attributes.h>
#include <wring/result.h>
#include <wring/stats.h>
#include <wring/version.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace wring {

namespace detail {
class core;
}

// Receives one line of text without a newline. May be called from any thread, also from several at
// once; must not call back into wring.
using report_handler = void (*)(const char* text, void* context);

// How callbacks that block without a word are found. Each kind also has what comes before it in this list, and the
// stall floor, which `announced` has not.
enum class detection : std::uint8_t {
  automatic,  // the last of the following that works here, as a test at the first need finds out
  announced,  // only what is said: blocking_scope, and the waits of wring
  cpu_clock,  // a worker whose CPU time stands still; late, and mistaken where threads wait for a CPU
  stat,       // the state of the thread in /proc; a microsecond a look
  perf,       // stat, and context switches read from memory where blocking has been seen; no system call
};

struct runtime_options {
  // CPUs to plan for; 0 means as many as the affinity mask has, or as the quota of the process's cgroups is
  // worth (rounded up) if that is less; the environment variable WRING_CPUS (1..4096) overrides both.
  unsigned cpus = 0;
  // What per-CPU and per-node queues take for the machine, in hwloc's synthetic syntax ("node:2 core:4 pu:2"), for
  // tests; copied. Null means the machine. A worker that cannot be bound to such a CPU runs anywhere.
  const char* topology = nullptr;
  // Hard limit of threads in each pool. Reaching it is counted in the stats, and reported once with what the workers
  // wait for; work then waits for one to become free.
  unsigned max_workers = 512;
  // Address space of a worker's stack; a guard page comes on top.
  std::size_t stack_bytes = std::size_t{1} << 20;
  // A surplus worker leaves after it has been idle this long (WQ-106).
  std::chrono::milliseconds idle_timeout{300'000};
  // So many idle workers always stay (at least 1); beyond them, a worker is surplus when there is more than one idle
  // per `busy_workers_per_idle` busy ones (WQ-105).
  unsigned idle_workers_kept = 2;
  unsigned busy_workers_per_idle = 4;
  // A queue that is divided, per CPU or per node, takes its pools in turn instead of the caller's (WQ-41), for tests.
  bool force_round_robin = false;
  // Queues made with workqueue_options::power_efficient are unbound, so that idle CPUs may sleep, instead of per CPU
  // (WQ-29). On as well where the system has CPUs without a tick.
  bool power_efficient = false;
  // Which CPUs unbound queues may use, "0-3,8"; null or "": all but the isolated ones. Copied. What the process may not
  // use is left out; if that leaves nothing, it is ignored with a warning (WQ-119).
  const char* unbound_cpus = nullptr;
  // What affinity_scope::by_default means, cpu to system (WQ-118); and about how many cores a cache_shard has, at least
  // 1 (WQ-116).
  affinity_scope default_scope = affinity_scope::cache_shard;
  unsigned cache_shard_size = 8;
  // While work waits for workers, it is looked once in so long whether the affinity mask, the cpuset or the quota has
  // changed, as by replan() (WQ-U7). 0: never.
  std::chrono::milliseconds replan_interval{1'000};
  // How long to wait before trying again after the system refused a thread (WQ-103).
  std::chrono::milliseconds creation_retry{1'000};
  // If nobody can be woken for work of a queue that has a rescuer, that one is called after so long, and again each
  // time as long as the other says (WQ-110). At least 1 ms.
  std::chrono::milliseconds mayday_initial{10};
  std::chrono::milliseconds mayday_interval{100};
  // If work is pending and no item started or finished for this long, a worker that is stuck in its item
  // leaves the count, so that one more worker starts. 0 turns the floor off, as detection::announced does.
  std::chrono::milliseconds stall_floor{100};
  // How blocked callbacks are found; the environment variable WRING_DETECT ("announced", "cpu_clock", "stat", "perf")
  // overrides it. What does not work here is replaced by the next lower kind; runtime::stats() says why.
  detection detect = detection::automatic;
  // A callback that has used so much CPU time without blocking while others wait leaves the count until it ends
  // (WQ-79). 0 turns that off.
  std::chrono::microseconds cpu_intensive_threshold{10'000};
  // Of such a callback, the how manieth time is warned about, and from then on each time its number doubles; at most
  // 128 different callbacks (WQ-80). 0: never.
  unsigned cpu_intensive_warning_threshold = 4;
  // Watchdog (WQ-135): if work waits in a pool and its workers have started nothing for so long, that is warned about,
  // with what they are in, and again each time as much has passed. 0: off; at most a year.
  std::chrono::milliseconds watchdog_threshold{30'000};
  // The so manieth such report of a runtime, or one of a stall that has lasted so long, is misuse (WQ-136): ends the
  // process, if `on_misuse` says nothing else. 0: never.
  unsigned panic_on_stall = 0;
  std::chrono::milliseconds panic_on_stall_time{0};
  // Watches which queues' callbacks wait for which other queues of this runtime, and warns, with both places, when such
  // waits form a circle, before the one that closes it: also if nothing hangs this time (WQ-86). Each wait in a
  // callback takes a lock that all share. The environment variable WRING_DEADLOCK_GRAPH ("0", "1") overrides it.
  bool deadlock_graph = false;
  // No thread is made before runtime::start() (WQ-145): for programs that set everything up before they fork,
  // daemonise, drop privileges or enter namespaces. Until then queues and items can be made, queued, delayed, cancelled
  // and disabled, and nothing runs. What would wait for something that has been queued does not: flush() and drain()
  // return false, with one warning; run_on(), future::wait() and task_group::wait() throw std::system_error (EDEADLK).
  // Only who ends a queue, a task_group, or by shutdown() a runtime, with something in it that has to run, starts it,
  // with a warning.
  bool start_later = false;
  // Where warnings go; default: one line to stderr with the prefix "wring: ", at most 10 a second.
  report_handler on_warning = nullptr;
  // Where misuse goes that would otherwise hang or corrupt (flush of the own queue from its callback);
  // default: print the sentence to stderr and abort. If the handler returns, the call gives up: it
  // returns false without waiting.
  report_handler on_misuse = nullptr;
  void* report_context = nullptr;
};

// The options of the same names, which may change while the runtime lives.
struct runtime_thresholds {
  std::chrono::microseconds cpu_intensive_threshold;
  unsigned cpu_intensive_warning_threshold;
  std::chrono::milliseconds watchdog_threshold;
  unsigned panic_on_stall;
  std::chrono::milliseconds panic_on_stall_time;
};

class WRING_EXPORT runtime {
 public:
  // Starts the first worker and the timekeeper, if runtime_options::start_later does not say otherwise. Throws
  // std::system_error if the system refuses them (EAGAIN) or an option is out of range (EINVAL).
  explicit runtime(runtime_options options = {});
  static result<runtime> create(runtime_options options = {});
  // All queues of this runtime must be gone; otherwise that is reported as misuse, naming one. Waits
  // for the threads to end.
  ~runtime();
  runtime(runtime&&) noexcept;
  runtime& operator=(runtime&&) = delete;

  // The runtime of objects that name none; made at first use, never destroyed. Throws like the
  // constructor.
  static runtime& default_instance();
  // Options for the default instance; false if it exists already.
  static bool configure_default(const runtime_options& options);

  // What runtime_options::start_later has put off: makes the timekeeper, and the first worker of each pool and the
  // rescuer of each queue that exist; what has been queued runs. They run where the caller does, and the CPUs are those
  // of now, as replan() finds them. Throws as replan(), and std::system_error (EAGAIN) if the system refuses a thread;
  // nothing is lost, and it may be called again. Without such an option, a second time, or after shutdown() it does
  // nothing; in a forked child it makes the threads that would be made at need. Any thread.
  void start();

  // Reads the affinity mask, the CPU quota and WRING_CPUS again and plans for them from now on; returns the number of
  // CPUs. Running items go on. If runtime_options::cpus was given, that stays. Any thread.
  // CPUs that have left the affinity mask are used no more: what is queued there runs on the others, and per-CPU queues
  // take none of their own for it (WQ-131). CPUs that have come are used (WQ-130). Throws std::bad_alloc, or
  // std::system_error (EINVAL, EAGAIN) if queues cannot get pools for them; then these use the pools they had, on the
  // CPUs that there are now.
  unsigned replan();
  // The same, as if the affinity mask had these CPUs, until the next call. Throws std::system_error (EINVAL): none, or
  // one that does not exist. A program that is told by others which CPUs to leave alone says it so.
  unsigned replan(const std::vector<unsigned>& cpus);

  // What affinity_scope::by_default means from now on; queues that say so are mapped to other pools (WQ-118). Throws
  // std::system_error (EINVAL: by_default, or no value of the type) or std::bad_alloc; then nothing has changed. Any
  // thread.
  [[nodiscard]] affinity_scope default_scope() const noexcept;
  void set_default_scope(affinity_scope scope);
  // The CPUs that unbound queues may use from now on, isolated ones too if they are among them; all queues follow, or
  // it throws std::system_error (EINVAL: none, or one that does not exist; EAGAIN) or std::bad_alloc and none does
  // (WQ-119). Any thread.
  void set_unbound_cpus(const std::vector<unsigned>& cpus);
  // CPUs that are to be left to others, in place of those that the system told of at the start: unbound queues use the
  // requested ones without these, or, if that leaves none, the requested ones. Errors as set_unbound_cpus(), but none
  // at all is fine. Any thread.
  void set_isolated_cpus(const std::vector<unsigned>& cpus);
  [[nodiscard]] wring::unbound_cpus unbound_cpus() const;
  // The CPUs that per-CPU queues use, by number: those the process may run on. The first call reads the machine's
  // topology. Any thread.
  [[nodiscard]] std::vector<cpu_info> cpus();

  // From the next look on (WQ-79, WQ-80, WQ-135, WQ-136). Throws std::system_error (EINVAL), and changes nothing, if a
  // value is out of the range of the option. Any thread.
  [[nodiscard]] runtime_thresholds thresholds() const noexcept;
  void set_thresholds(const runtime_thresholds& values);

  // What takes long is meant to: the watchdog begins to count anew in all pools (WQ-135). Any thread.
  void touch_watchdog() noexcept;

  // For checkpoints (WQ-125): from now on no item of a freezable queue starts, those of new queues included; queue
  // calls still succeed. Callbacks that run go on, and so does what each of them holds back: the children of the group
  // it waits for, and its own item if it was queued again (WQ-61). Once freeze_busy() is false, none runs. A callback
  // that waits for another item of a frozen queue ends after the thaw. False, and misuse: it is frozen already. Any
  // thread.
  bool freeze_begin();
  // Whether callbacks of freezable queues are still running. Any thread.
  [[nodiscard]] bool freeze_busy() const;
  // What has been queued starts, in order. Without freeze_begin() nothing happens; the end of a queue, or of the
  // runtime by shutdown(), thaws it. Any thread.
  void thaw() noexcept;

  // Ends the work of this runtime within `limit`: from now on all its queues refuse items from outside, what is queued
  // runs, also what it queues in turn, and then all threads end. If that takes longer, the report names what is
  // stuck and where; the runtime goes on refusing, and another call waits on.
  // Afterwards queue calls return false, making a queue fails with ECANCELED, and queues, items and the runtime
  // may be destroyed. Delayed items that have not come due stay pending and never run (WQ-92); one that comes due
  // meanwhile is refused and becomes idle. The limit is for callbacks: a worker's thread-local destructor that waits is
  // waited for beyond it.
  // Any thread, but no callback of this runtime, which would wait for itself: that is misuse.
  shutdown_report shutdown(std::chrono::nanoseconds limit);

  // Any thread.
  [[nodiscard]] runtime_stats stats() const;
  // Multi-line text for people: pools, workers and what each one runs.
  [[nodiscard]] std::string describe() const;
  // Recounts everything that is kept in two places; aborts with a description if they differ. For tests.
  void audit() const;

  [[nodiscard]] detail::core& core() const noexcept { return *core_; }

 private:
  explicit runtime(std::unique_ptr<detail::core> core) noexcept;
  std::unique_ptr<detail::core> core_;
};

// runtime::shutdown() of the default runtime, if there is one.
WRING_EXPORT shutdown_report shutdown(std::chrono::nanoseconds limit);

}  // namespace wring
