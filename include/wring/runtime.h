// SPDX-License-Identifier: Apache-2.0
// runtime: everything wring keeps; worker pools, timekeeper, recycled memory. There is no other state.
//
// Most programs never name one: objects made without a runtime use `runtime::default_instance()`, which
// is made at first use and lives until the process ends. Tests and embedders make their own.
#pragma once

#include <wring/result.h>
#include <wring/stats.h>
#include <wring/version.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace wring {

namespace detail {
class core;
}

// Receives one line of text without a newline. May be called from any thread, also from several at
// once; must not call back into wring.
using report_handler = void (*)(const char* text, void* context);

struct runtime_options {
  // CPUs to plan for; 0 means the affinity mask of the process, and the environment variable WRING_CPUS
  // (1..4096) overrides that.
  unsigned cpus = 0;
  // Hard limit of threads in each pool. Reaching it is warned about once and counted in the stats; work
  // then waits for a worker to become free.
  unsigned max_workers = 512;
  // Address space of a worker's stack; a guard page comes on top.
  std::size_t stack_bytes = std::size_t{1} << 20;
  // A surplus worker leaves after it has been idle this long (WQ-106).
  std::chrono::milliseconds idle_timeout{300'000};
  // So many idle workers always stay (at least 1); beyond them, a worker is surplus when there is more than one idle
  // per `busy_workers_per_idle` busy ones (WQ-105).
  unsigned idle_workers_kept = 2;
  unsigned busy_workers_per_idle = 4;
  // How long to wait before trying again after the system refused a thread (WQ-103).
  std::chrono::milliseconds creation_retry{1'000};
  // If work is pending and no item started or finished for this long, a worker that is stuck in its item
  // leaves the count, so that one more worker starts. 0 turns the floor off.
  std::chrono::milliseconds stall_floor{100};
  // Where warnings go; default: one line to stderr with the prefix "wring: ", at most 10 a second.
  report_handler on_warning = nullptr;
  // Where misuse goes that would otherwise hang or corrupt (flush of the own queue from its callback);
  // default: print the sentence to stderr and abort. If the handler returns, the call gives up: it
  // returns false without waiting.
  report_handler on_misuse = nullptr;
  void* report_context = nullptr;
};

class WRING_EXPORT runtime {
 public:
  // Starts the first worker and the timekeeper. Throws std::system_error if the system refuses them
  // (EAGAIN) or an option is out of range (EINVAL).
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

}  // namespace wring
