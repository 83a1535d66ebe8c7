// SPDX-License-Identifier: Apache-2.0
// system: what the queues that always exist are like (WQ-36).
#pragma once

#include <wring/system.h>

#include <cstddef>

namespace wring::detail {

inline constexpr std::size_t system_kinds = static_cast<std::size_t>(system_kind::bh_highpri) + 1;

[[nodiscard]] workqueue_options options_of(system_kind which) noexcept;

}  // namespace wring::detail
