// SPDX-License-Identifier: Apache-2.0
// crash: a signal or an abort inside a run becomes a failed seed, with its replay, instead of a dead process.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace wring::sim {

class crash_guard {
 public:
  crash_guard();
  crash_guard(const crash_guard&) = delete;
  crash_guard& operator=(const crash_guard&) = delete;
  ~crash_guard();

  // Another seed begins. Its number and the test's command are printed if the process dies all the same (a
  // sanitizer's report), or if the seed takes a minute of real time.
  static void present(std::uint64_t seed, std::string (*command)()) noexcept;
  // A run was left without unwinding its stacks.
  static void run_abandoned() noexcept;

 private:
  static constexpr std::array<int, 5> signals{SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

  std::array<struct sigaction, signals.size()> before_{};
  stack_t stack_before_{};
  std::unique_ptr<std::byte[]> stack_;  // the fiber's own may be what overflowed
};

}  // namespace wring::sim
