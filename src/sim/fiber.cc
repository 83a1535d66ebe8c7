// SPDX-License-Identifier: Apache-2.0
#include "sim/fiber.h"

#include "sim/sanitizers.h"

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#ifdef WRING_SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
extern "C" void wring_sim_switch(void** save_stack_pointer, void* load_stack_pointer);

// System V: rbx, rbp and r12 to r15 belong to the callee. The library never changes the floating point modes.
asm(R"(
.text
.p2align 4
.globl wring_sim_switch
.hidden wring_sim_switch
.type wring_sim_switch,@function
wring_sim_switch:
  .cfi_startproc
  pushq %rbp
  .cfi_adjust_cfa_offset 8
  pushq %rbx
  .cfi_adjust_cfa_offset 8
  pushq %r12
  .cfi_adjust_cfa_offset 8
  pushq %r13
  .cfi_adjust_cfa_offset 8
  pushq %r14
  .cfi_adjust_cfa_offset 8
  pushq %r15
  .cfi_adjust_cfa_offset 8
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  .cfi_adjust_cfa_offset -8
  popq %r14
  .cfi_adjust_cfa_offset -8
  popq %r13
  .cfi_adjust_cfa_offset -8
  popq %r12
  .cfi_adjust_cfa_offset -8
  popq %rbx
  .cfi_adjust_cfa_offset -8
  popq %rbp
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
.size wring_sim_switch,.-wring_sim_switch
)");
#endif

namespace wring::sim {

fiber_stack::~fiber_stack() {
  if (low_ == nullptr) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  ::munmap(low_ - page, size_ + page);
}

void fiber_stack::prepare(std::size_t bytes) {
  if (low_ == nullptr) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    size_ = (bytes + page - 1) / page * page;
    void* memory = ::mmap(nullptr, size_ + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || ::mprotect(memory, page, PROT_NONE) != 0) {
      std::fputs("wring simulator: no memory for a stack\n", stderr);
      std::abort();
    }
    low_ = static_cast<char*>(memory) + page;
  }
#ifdef WRING_SIM_ASAN
  // A failed run leaves its fibers without unwinding them, and with them poisoned red zones.
  __asan_unpoison_memory_region(low_, size_);
#endif
}

void fiber::start(fiber_stack& stack, void (*entry)()) {
  exceptions_ = {};
  fake_stack_ = nullptr;
  bottom_ = stack.low();
  size_ = stack.size();
#if defined(__x86_64__)
  // From the top: a zero return address, which ends back traces; the entry, which the switch returns to;
  // six registers. The entry finds the stack as after a call: 8 below a multiple of 16.
  auto** top = reinterpret_cast<void**>(stack.low() + stack.size() - 8);
  *top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
#else
  ::getcontext(&context_);
  context_.uc_stack.ss_sp = stack.low();
  context_.uc_stack.ss_size = stack.size();
  context_.uc_link = nullptr;
  ::makecontext(&context_, entry, 0);
#endif
}

void fiber::switch_to(fiber& from, fiber& to, [[maybe_unused]] bool from_is_over) noexcept {
  auto* exceptions = reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
  from.exceptions_ = *exceptions;
  *exceptions = to.exceptions_;
#ifdef WRING_SIM_ASAN
  __sanitizer_start_switch_fiber(from_is_over ? nullptr : &from.fake_stack_, to.bottom_, to.size_);
#endif
#if defined(__x86_64__)
  wring_sim_switch(&from.stack_pointer_, to.stack_pointer_);
#else
  ::swapcontext(&from.context_, &to.context_);
#endif
#ifdef WRING_SIM_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
}

void fiber::arrived([[maybe_unused]] fiber& host) noexcept {
#ifdef WRING_SIM_ASAN
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  // The first fiber of a run is entered from the host, whose stack nobody else can tell us.
  if (host.bottom_ == nullptr) {
    host.bottom_ = bottom;
    host.size_ = size;
  }
#endif
}

}  // namespace wring::sim
