// SPDX-License-Identifier: Apache-2.0
// user: what stands behind an io_user: how many workers of unbounded items its pools have (IOWQ-12, IOWQ-22).
#pragma once

#include "base/sync.h"

#include <wring/io_pool.h>

namespace wring::iowq {

struct user_account {
  explicit user_account(unsigned most) noexcept : granted{most} {}
  static const std::shared_ptr<user_account>& of(const io_user& user) noexcept { return user.impl_; }

  void charge(int by) noexcept { charged_.fetch_add(static_cast<unsigned>(by), base::order::relaxed); }
  [[nodiscard]] unsigned charged() const noexcept { return charged_.load(base::order::relaxed); }

  const unsigned granted;

 private:
  base::atomic<unsigned> charged_{0};
};

}  // namespace wring::iowq
