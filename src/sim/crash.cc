// SPDX-License-Identifier: Apache-2.0
#include "sim/crash.h"

#include "sim/sanitizers.h"
#include "sim/simulation.h"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#ifdef WRING_SIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace wring::sim {

namespace {

struct present_seed {
  std::uint64_t seed = 0;
  std::string (*command)() = nullptr;
} now_running;  // for the last words of a dying process, and a hanging one, only

[[maybe_unused]] bool abandoned = false;  // likewise: read when the process ends

const char* name_of(int signal) noexcept {
  switch (signal) {
    case SIGABRT: return "the code aborted";
    case SIGSEGV: return "invalid memory access (SIGSEGV); perhaps a stack overflow";
    case SIGBUS: return "invalid memory access (SIGBUS)";
    case SIGFPE: return "division by zero (SIGFPE)";
    case SIGILL: return "illegal instruction (SIGILL)";
    default: return "signal";
  }
}

void on_signal(int signal) {
  simulation* s = simulation::current();
  if (s == nullptr) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  s->fail(failure_kind::crash, name_of(signal));
}

void last_words() {
  if (now_running.command == nullptr) return;
  std::fprintf(stderr, "replay: WRING_SIM_SEED=%llu %s\n", static_cast<unsigned long long>(now_running.seed),
               now_running.command().c_str());
}

// The process cannot be saved: its only thread waits for something that no virtual thread can bring about.
void on_hang(int) {
  std::fputs("wring simulator: a run hangs; does it call something that really blocks?\n", stderr);
  last_words();
  std::_Exit(1);
}

}  // namespace

#ifdef WRING_SIM_ASAN
// What an abandoned run had on its stacks is lost, and would be reported as leaked.
extern "C" __attribute__((visibility("default"), used)) int __lsan_is_turned_off() { return abandoned ? 1 : 0; }
// A fake stack for each fiber would be mapped and unmapped a million times.
extern "C" __attribute__((visibility("default"), used)) const char* __asan_default_options() {
  return "detect_stack_use_after_return=0";
}
#endif

void crash_guard::run_abandoned() noexcept { abandoned = true; }

crash_guard::crash_guard() {
  std::signal(SIGALRM, &on_hang);
  constexpr std::size_t size = std::size_t{64} * 1024;
  stack_ = std::make_unique<std::byte[]>(size);
  stack_t own{};
  own.ss_sp = stack_.get();
  own.ss_size = size;
  ::sigaltstack(&own, &stack_before_);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = &on_signal;
    // The handler never returns, so the signal must not stay blocked.
    action.sa_flags = SA_NODEFER | SA_ONSTACK;
#ifdef WRING_SIM_ASAN
    // Its own report of a bad access says more than ours.
    if (signals[i] != SIGABRT) continue;
    action.sa_flags = SA_NODEFER;
#endif
    ::sigaction(signals[i], &action, &before_[i]);
  }
#ifdef WRING_SIM_ASAN
  __sanitizer_set_death_callback(&last_words);
#endif
}

crash_guard::~crash_guard() {
  for (std::size_t i = 0; i < signals.size(); ++i) {
#ifdef WRING_SIM_ASAN
    if (signals[i] != SIGABRT) continue;
#endif
    ::sigaction(signals[i], &before_[i], nullptr);
  }
  ::sigaltstack(&stack_before_, nullptr);
  ::alarm(0);
  now_running = {};
}

void crash_guard::present(std::uint64_t seed, std::string (*command)()) noexcept {
  constexpr unsigned patience_s = 60;
  constexpr std::uint64_t seeds_per_call = 64;  // a system call for each seed would be felt
  if (now_running.command == nullptr || seed % seeds_per_call == 0) ::alarm(patience_s);
  now_running = {seed, command};
}

}  // namespace wring::sim
