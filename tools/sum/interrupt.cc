// SPDX-License-Identifier: Apache-2.0
#include "sum/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

namespace wring::tools {

interrupt::interrupt() {
  sigset_t caught;
  sigemptyset(&caught);
  for (const int each : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    ::sigaction(each, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaddset(&caught, each);
  }
  ::pthread_sigmask(SIG_BLOCK, &caught, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  signals_ = file_descriptor{::signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK)};
  done_ = file_descriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!signals_.valid() || !done_.valid()) throw std::system_error{errno, std::generic_category()};
}

void interrupt::notify() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(done_.get(), &one, sizeof one));  // fails only if it was told already
}

interrupt::event interrupt::wait(std::chrono::milliseconds tick) {
  std::array<pollfd, 2> watched{{{signals_.get(), POLLIN, 0}, {done_.get(), POLLIN, 0}}};
  int ready = 0;
  do ready = ::poll(watched.data(), watched.size(), static_cast<int>(tick.count()));
  while (ready < 0 && errno == EINTR);
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    signal_ = static_cast<int>(info.ssi_signo);
    return event::signal;
  }
  std::uint64_t count = 0;
  return ::read(done_.get(), &count, sizeof count) == sizeof count ? event::done : event::tick;
}

void interrupt::end_by_closed_pipe() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &standard, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGPIPE);
  ::raise(SIGPIPE);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::_exit(128 + SIGPIPE);
}

}  // namespace wring::tools
