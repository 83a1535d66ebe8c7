// SPDX-License-Identifier: Apache-2.0
// user: what stands behind an io_user: how many workers of unbounded items its pools have (IOWQ-12, IOWQ-22).
#pragma once

#include "base/fork.h"
#include "base/sync.h"

#include <wring/io_pool.h>

namespace wring::iowq {

struct user_account {
  explicit user_account(unsigned most) noexcept : granted{most} {}
  static const std::shared_ptr<user_account>& of(const io_user& user) noexcept { return user.impl_; }

  void charge(int by) noexcept {
    std::uint64_t seen = charged_.load(base::order::relaxed);
    while (!charged_.compare_exchange_weak(seen, here() | static_cast<unsigned>(static_cast<int>(count(seen)) + by),
                                           base::order::relaxed, base::order::relaxed)) {
      base::cpu_relax();
    }
  }
  [[nodiscard]] unsigned charged() const noexcept { return count(charged_.load(base::order::relaxed)); }

  const unsigned granted;

 private:
  // A forked child has none of its parent's workers (IOWQ-U16).
  static std::uint64_t here() noexcept { return std::uint64_t{base::fork_generation()} << 32; }
  static unsigned count(std::uint64_t seen) noexcept {
    return (seen >> 32 << 32) == here() ? static_cast<unsigned>(seen) : 0;
  }

  base::atomic<std::uint64_t> charged_{0};  // upper half: in which process, by the number of its forks
};

}  // namespace wring::iowq
