// SPDX-License-Identifier: Apache-2.0

#include "iowq/user.h"

#include "base/syscall.h"

#include <algorithm>

namespace wring {

io_user::io_user() : io_user{~0U} {}
io_user::io_user(unsigned granted)
    : impl_{std::make_shared<iowq::user_account>(std::max(1U, std::min(granted, base::syscall::process_limit())))} {}

unsigned io_user::granted() const noexcept { return impl_->granted; }
unsigned io_user::charged() const noexcept { return impl_->charged(); }

}  // namespace wring
