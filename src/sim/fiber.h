// SPDX-License-Identifier: Apache-2.0
// fiber: a stack of its own and the switch to it. All fibers of a simulation live on one OS thread.
//
// A switch saves the callee-saved registers, and the exception state that the C++ runtime keeps per OS
// thread: two fibers may both be inside a catch block. About 5 ns on x86-64; elsewhere ucontext, 50
// times slower, does the same.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace wring::sim {

// Memory for a stack, with a page below it that traps. Kept from run to run.
class fiber_stack {
 public:
  fiber_stack() noexcept = default;
  fiber_stack(const fiber_stack&) = delete;
  fiber_stack& operator=(const fiber_stack&) = delete;
  ~fiber_stack();

  // Maps the memory at first use; aborts if there is none.
  void prepare(std::size_t bytes);
  [[nodiscard]] char* low() const noexcept { return low_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  char* low_ = nullptr;
  std::size_t size_ = 0;
};

// A place to come back to. The host (the test's OS thread) has one without a stack of ours.
class fiber {
 public:
  // Makes the next switch here call `entry`, which never returns.
  void start(fiber_stack& stack, void (*entry)());
  // Leaves `from`, goes on in `to`. `from_is_over`: nobody will ever come back to it.
  static void switch_to(fiber& from, fiber& to, bool from_is_over) noexcept;
  // The first thing an entry function calls.  The first fiber of a run is entered from the host.
  static void arrived(fiber& host) noexcept;

 private:
  // What the Itanium C++ ABI keeps per thread: the caught exceptions and the number of uncaught ones.
  struct exception_state {
    void* caught = nullptr;
    unsigned uncaught = 0;
  };

#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
  exception_state exceptions_;
  void* fake_stack_ = nullptr;  // the three below are for the address sanitizer
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace wring::sim
