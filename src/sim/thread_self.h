// SPDX-License-Identifier: Apache-2.0
// thread_self: who and where a virtual thread is (base/thread_identity.h). A new one is its creator's likeness.
//
// The program begins as root, with all capabilities. Descriptors are the numbers of what they lead to.
#pragma once

#include "base/thread_identity.h"

#include <array>
#include <cstdint>

namespace wring::sim {

struct thread_self {
  static constexpr std::uint32_t groups_max = 8;
  static constexpr std::uint64_t all_capabilities = (std::uint64_t{1} << 41) - 1;

  base::self::id_set user;
  base::self::id_set group;
  std::array<std::uint32_t, groups_max> groups{};
  std::uint32_t group_count = 0;
  base::self::capability_set capabilities{.effective = all_capabilities, .permitted = all_capabilities};
  bool unshared = false;  // folder, root and umask; else they are the process's, and nobody changes these
  int folder = 1;
  int root = 2;
  std::uint32_t umask = 022;
  std::array<int, 4> spaces{3, 4, 5, 6};
  int io_priority = 0;
  int nice = 0;
};

}  // namespace wring::sim
