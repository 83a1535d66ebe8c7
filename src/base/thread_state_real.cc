// SPDX-License-Identifier: Apache-2.0
// thread_state_real: what /proc and the dynamic linker say.

#include "base/thread_state.h"

#include "base/check.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace wring::base {

namespace {

enum class first_argument : std::uint8_t { of_no_interest, descriptor, process };

struct known_call {
  long number;
  const char* name;
  first_argument first;
};

#define WRING_BARE(name) \
  { SYS_##name, #name, first_argument::of_no_interest }
#define WRING_ON_FD(name) \
  { SYS_##name, #name, first_argument::descriptor }

// The calls in which threads are found when they wait, or are slow; others go by their number. What is guarded
// exists on some machines only.
constexpr known_call known_calls[] = {
    WRING_ON_FD(read),
    WRING_ON_FD(write),
    WRING_ON_FD(readv),
    WRING_ON_FD(writev),
    WRING_ON_FD(pread64),
    WRING_ON_FD(pwrite64),
    WRING_ON_FD(preadv),
    WRING_ON_FD(pwritev),
    WRING_ON_FD(recvfrom),
    WRING_ON_FD(recvmsg),
    WRING_ON_FD(recvmmsg),
    WRING_ON_FD(sendto),
    WRING_ON_FD(sendmsg),
    WRING_ON_FD(sendmmsg),
    WRING_ON_FD(accept),
    WRING_ON_FD(accept4),
    WRING_ON_FD(connect),
    WRING_ON_FD(epoll_pwait),
    WRING_ON_FD(fsync),
    WRING_ON_FD(fdatasync),
    WRING_ON_FD(syncfs),
    WRING_ON_FD(flock),
    WRING_ON_FD(fcntl),
    WRING_ON_FD(ioctl),
    WRING_ON_FD(close),
    WRING_ON_FD(getdents64),
    WRING_ON_FD(ftruncate),
    WRING_ON_FD(fallocate),
    WRING_ON_FD(copy_file_range),
    WRING_ON_FD(sendfile),
    WRING_ON_FD(splice),
    WRING_BARE(futex),
    WRING_BARE(nanosleep),
    WRING_BARE(clock_nanosleep),
    WRING_BARE(ppoll),
    WRING_BARE(pselect6),
    WRING_BARE(rt_sigtimedwait),
    WRING_BARE(rt_sigsuspend),
    WRING_BARE(waitid),
    WRING_BARE(msgrcv),
    WRING_BARE(msgsnd),
    WRING_BARE(semop),
    WRING_BARE(semtimedop),
    WRING_BARE(mq_timedreceive),
    WRING_BARE(mq_timedsend),
    WRING_BARE(io_getevents),
    WRING_BARE(sync),
    WRING_BARE(openat),
    WRING_BARE(newfstatat),
    WRING_BARE(statx),
    WRING_BARE(unlinkat),
    WRING_BARE(renameat2),
    WRING_BARE(getrandom),
    WRING_BARE(mmap),
    WRING_BARE(munmap),
    WRING_BARE(madvise),
    WRING_BARE(membarrier),
    WRING_BARE(sched_yield),
    WRING_BARE(clone),
    WRING_BARE(execve),
    WRING_BARE(exit_group),
    WRING_BARE(restart_syscall),
    {SYS_wait4, "wait4", first_argument::process},
#ifdef SYS_epoll_pwait2
    WRING_ON_FD(epoll_pwait2),
#endif
#ifdef SYS_epoll_wait
    WRING_ON_FD(epoll_wait),
#endif
#ifdef SYS_io_uring_enter
    WRING_ON_FD(io_uring_enter),
#endif
#ifdef SYS_futex_waitv
    WRING_BARE(futex_waitv),
#endif
#ifdef SYS_clone3
    WRING_BARE(clone3),
#endif
#ifdef SYS_poll
    WRING_BARE(poll),
#endif
#ifdef SYS_select
    WRING_BARE(select),
#endif
#ifdef SYS_pause
    WRING_BARE(pause),
#endif
#ifdef SYS_unlink
    WRING_BARE(unlink),
#endif
#ifdef SYS_rename
    WRING_BARE(rename),
#endif
#ifdef SYS_vfork
    WRING_BARE(vfork),
#endif
};

#undef WRING_BARE
#undef WRING_ON_FD

// Longer than what the files below hold, up to the fields that are looked at.
using short_text = std::array<char, 512>;

// What fits into `text`; empty if there is no such file.
std::string_view read_file(const char* path, short_text& text) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  ssize_t bytes = 0;
  do bytes = ::read(fd, text.data(), text.size());
  while (bytes < 0 && errno == EINTR);
  ::close(fd);
  return {text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
}

std::string_view read_of_thread(std::uint32_t tid, const char* file, short_text& text) {
  writer path;
  path.put("/proc/self/task/", tid, '/', file);
  return read_file(std::move(path).take().c_str(), text);
}

// "1234 (a name) S ...": the name may contain anything, but nothing behind it contains a parenthesis.
char state_in(std::string_view stat) {
  const auto name_end = stat.rfind(')');
  return name_end != std::string_view::npos && name_end + 2 < stat.size() ? stat[name_end + 2] : '?';
}

// "pipe:[1234]", a path, or nothing.
std::string_view target_of(int fd, short_text& text) {
  writer path;
  path.put("/proc/self/fd/", fd);
  const ssize_t bytes = ::readlink(std::move(path).take().c_str(), text.data(), text.size());
  return {text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
}

void put_first_argument(writer& w, first_argument kind, std::uint64_t value) {
  // Registers are wider than descriptors and process numbers; what is above them means nothing.
  const auto number = static_cast<int>(static_cast<std::uint32_t>(value));
  if (kind == first_argument::process && number > 0) w.put(" for process ", number);
  if (kind != first_argument::descriptor) return;
  w.put(" of fd ", number);
  short_text text;
  if (const std::string_view target = target_of(number, text); !target.empty()) w.put(" (", target, ')');
}

// "0 0x3 0x7ffe... ...": the call's number and its arguments; "running", or "-1 ..." where it is in no call.
std::string call_in(std::string_view line) {
  long number = -1;
  const char* const end = line.data() + line.size();
  const auto [after_number, error] = std::from_chars(line.data(), end, number);
  if (error != std::errc{} || number < 0) return {};
  constexpr std::string_view before_argument = " 0x";
  std::uint64_t argument = 0;
  if (std::string_view{after_number, end}.starts_with(before_argument)) {
    std::from_chars(after_number + before_argument.size(), end, argument, 16);
  }
  writer w;
  for (const known_call& known : known_calls) {
    if (known.number != number) continue;
    w.put(known.name);
    put_first_argument(w, known.first, argument);
    return std::move(w).take();
  }
  w.put("system call ", number);
  return std::move(w).take();
}

void put_symbol(writer& w, const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> plain{abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                     std::free};
  w.put(plain ? plain.get() : mangled);
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

thread_state look_at_thread(std::uint32_t tid) {
  thread_state seen;
  short_text text;
  seen.state = state_in(read_of_thread(tid, "stat", text));
  seen.call = call_in(read_of_thread(tid, "syscall", text));
  if (const std::string_view wchan = read_of_thread(tid, "wchan", text); wchan != "0") seen.kernel_function = wchan;
  return seen;
}

std::string describe_code(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  writer w;
  Dl_info info{};
  link_map* module = nullptr;
  if (::dladdr1(address, &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0 || module == nullptr) {
    w.put(address);
    return std::move(w).take();
  }
  const bool named = info.dli_sname != nullptr;
  if (named) {
    put_symbol(w, info.dli_sname);
    w.put('+', hex{at - reinterpret_cast<std::uintptr_t>(info.dli_saddr)}, " (");
  }
  // Relative to where the module would be loaded according to its own headers: what its symbol table counts from.
  w.put(last_part(info.dli_fname), '+', hex{at - module->l_addr});
  if (named) w.put(')');
  return std::move(w).take();
}

}  // namespace wring::base
