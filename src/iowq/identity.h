// SPDX-License-Identifier: Apache-2.0
// identity: what all copies of a wring::identity share: a description that never changes, counted by its users.
//
// A part that `parts` does not name has no meaning.
// Threads: any. The count: relaxed up, acq_rel down; who brings it to zero destroys the description.
#pragma once

#include "base/check.h"
#include "base/sync.h"
#include "base/thread_identity.h"
#include "iowq/control_groups.h"
#include "iowq/credentials.h"

#include <wring/identity.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace wring::detail {

constexpr bool has_any(identity_part parts, identity_part of) noexcept { return (parts & of) != identity_part::none; }
constexpr identity_part without(identity_part parts, identity_part those) noexcept {
  return static_cast<identity_part>(static_cast<std::uint32_t>(parts) & ~static_cast<std::uint32_t>(those));
}

inline constexpr identity_part any_credentials = identity_part::file_credentials | identity_part::credentials;
inline constexpr identity_part all_parts = static_cast<identity_part>((1U << 13) - 1);

// The namespaces and their parts, in one order.
struct space_part {
  base::self::space which;
  identity_part part;
  const char* name;
};
inline constexpr std::array<space_part, 4> space_parts{{
    {base::self::space::net, identity_part::net_namespace, "net"},
    {base::self::space::uts, identity_part::uts_namespace, "uts"},
    {base::self::space::ipc, identity_part::ipc_namespace, "ipc"},
    {base::self::space::mount, identity_part::mount_namespace, "mount"},
}};

struct identity_data {
  identity_part parts = identity_part::none;
  credentials who;
  base::handle folder;
  base::handle root;
  std::uint32_t umask = 0;
  int io_priority = 0;
  int nice = 0;
  std::uint64_t file_size = 0;  // bytes
  std::vector<control_group> groups;
  std::array<base::handle, space_parts.size()> spaces;

  [[nodiscard]] bool has(identity_part any_of) const noexcept { return has_any(parts, any_of); }
  [[nodiscard]] const base::handle& space(base::self::space which) const noexcept {
    return spaces.at(static_cast<std::size_t>(which));
  }
  void describe(base::writer& w) const;

  // Null: the worker's own. Lives as long as `of` or a copy, or who holds it.
  static const identity_data* of(const identity& who) noexcept { return who.data_; }
  // A handle that takes over the count that `data` was born with.
  static identity handle_of(identity_data* data) noexcept;
  void hold() const noexcept;
  void release() const noexcept;

 private:
  mutable base::atomic<std::uint32_t> users_{1};
};

}  // namespace wring::detail
