// SPDX-License-Identifier: Apache-2.0

#include "iowq/interruptible_call.h"

#include <ucontext.h>

#include <cerrno>

// rdi word, rsi number, rdx a, rcx b, r8 c, r9 d; the kernel wants rax number, rdi a, rsi b, rdx c, r10 d, and keeps
// all but rax, rcx and r11.
#if defined(__x86_64__)
asm(R"(
  .pushsection .text
  .type wring_test_call, @function
  .hidden wring_test_call, wring_test_look, wring_test_enter, wring_test_behind, wring_test_skipped
  .globl wring_test_call, wring_test_look, wring_test_enter, wring_test_behind, wring_test_skipped
wring_test_call:
  .cfi_startproc
  mov %rsi, %rax
  mov %rdi, %r11
  mov %rdx, %rdi
  mov %rcx, %rsi
  mov %r8, %rdx
  mov %r9, %r10
wring_test_look:
  testl $2, (%r11)
  jnz wring_test_skipped
wring_test_enter:
  syscall
wring_test_behind:
  ret
wring_test_skipped:
  mov $-4, %rax
  ret
  .cfi_endproc
  .size wring_test_call, . - wring_test_call
  .popsection
)");
#elif defined(__aarch64__)
asm(R"(
  .pushsection .text
  .type wring_test_call, @function
  .hidden wring_test_call, wring_test_look, wring_test_enter, wring_test_behind, wring_test_skipped
  .globl wring_test_call, wring_test_look, wring_test_enter, wring_test_behind, wring_test_skipped
wring_test_call:
  .cfi_startproc
  mov x9, x0
  mov x8, x1
  mov x0, x2
  mov x1, x3
  mov x2, x4
  mov x3, x5
wring_test_look:
  ldr w10, [x9]
  tbnz w10, #1, wring_test_skipped
wring_test_enter:
  svc #0
wring_test_behind:
  ret
wring_test_skipped:
  mov x0, #-4
  ret
  .cfi_endproc
  .size wring_test_call, . - wring_test_call
  .popsection
)");
#endif

#if defined(__x86_64__) || defined(__aarch64__)

extern "C" {
long wring_test_call(const void* word, long number, long a, long b, long c, long d);
extern const char wring_test_look[];
extern const char wring_test_enter[];
extern const char wring_test_behind[];
extern const char wring_test_skipped[];
}

namespace wring::test {

static_assert(EINTR == 4 && cancelled == 2);

namespace {

std::uintptr_t address(const char* label) noexcept { return reinterpret_cast<std::uintptr_t>(label); }

auto& program_counter(void* context) noexcept {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return machine.gregs[REG_RIP];
#else
  return machine.pc;
#endif
}

}  // namespace

long interruptible_call(const std::atomic<std::uint32_t>& word, long number, long a, long b, long c, long d) {
  return wring_test_call(&word, number, a, b, c, d);
}

std::uintptr_t first_instruction() noexcept { return address(wring_test_look); }
std::uintptr_t call_instruction() noexcept { return address(wring_test_enter); }
std::uintptr_t instruction_behind() noexcept { return address(wring_test_behind); }

std::uintptr_t instruction_of(void* context) noexcept { return static_cast<std::uintptr_t>(program_counter(context)); }

void skip_the_call(void* context) noexcept {
  auto& pc = program_counter(context);
  const auto at = static_cast<std::uintptr_t>(pc);
  if (at < first_instruction() || at >= instruction_behind()) return;
  pc = static_cast<std::remove_reference_t<decltype(pc)>>(address(wring_test_skipped));
}

}  // namespace wring::test

#else

#include <sys/syscall.h>
#include <unistd.h>

namespace wring::test {
long interruptible_call(const std::atomic<std::uint32_t>&, long number, long a, long b, long c, long d) {
  const long r = ::syscall(number, a, b, c, d);
  return r == -1 ? -errno : r;
}
void skip_the_call(void*) noexcept {}
std::uintptr_t first_instruction() noexcept { return 0; }
std::uintptr_t call_instruction() noexcept { return 0; }
std::uintptr_t instruction_behind() noexcept { return 0; }
std::uintptr_t instruction_of(void*) noexcept { return 0; }
}  // namespace wring::test

#endif
