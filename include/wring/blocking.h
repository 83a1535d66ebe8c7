// SPDX-License-Identifier: Apache-2.0
// blocking: how a callback says "I am about to wait", so that another worker takes its place at once.
#pragma once

#include <wring/version.h>

#include <cstdint>

namespace wring {

// While one lives, the calling worker does not count as running: pending items start on another worker
// (created if need be) instead of waiting for this one (WQ-73, WQ-U1). Exact and immediate; about 100 ns
// when nothing is pending. Scopes nest; only the outermost does anything. Outside of a callback it does
// nothing. Never fails.
//
//   { wring::blocking_scope scope;  ::read(fd, buffer, size); }
//
// All waits of wring itself (flush, cancel_sync, task_group::wait, future::get) announce themselves.
class WRING_EXPORT blocking_scope {
 public:
  [[nodiscard]] blocking_scope() noexcept;
  ~blocking_scope();
  blocking_scope(const blocking_scope&) = delete;
  blocking_scope& operator=(const blocking_scope&) = delete;

 private:
  void* worker_;  // whose count this scope has to restore; null when it did nothing
  std::uint64_t since_ns_;
};

}  // namespace wring
