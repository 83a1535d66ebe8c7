// SPDX-License-Identifier: Apache-2.0
// credentials: as whom a thread goes: user, group, supplementary groups, effective capabilities.
//
// Real and saved ids, and permitted capabilities, are never changed: they are the way back (IOWQ-U4).
// Threads: changed_credentials belong to the thread that they are of.
#pragma once

#include "base/thread_identity.h"

#include <cstdint>
#include <span>
#include <vector>

namespace wring::detail {

// Somebody to become.
struct credentials {
  // Effective user and group too, and all capabilities; else those for files only.
  bool effective = false;
  std::uint32_t file_user = 0;
  std::uint32_t file_group = 0;
  std::uint32_t effective_user = 0;
  std::uint32_t effective_group = 0;
  std::vector<std::uint32_t> groups = {};  // supplementary, ascending
  std::uint64_t capabilities = 0;
  bool all_capabilities = false;  // whatever the thread may have
};

// Those of the calling thread, as far as a credentials has it. Throws std::bad_alloc.
credentials ask_credentials(bool effective);

// The thread's own, and what became of them.
class changed_credentials {
 public:
  // Asks what is the thread's own, before a change to `next`. Throws std::bad_alloc.
  void learn(const credentials& next);
  // False: something was refused; what is changed is not said.
  bool put_on(const credentials& next) noexcept;
  // Has it what a put_on() gives it? Asked.
  [[nodiscard]] bool are(const credentials& worn) noexcept;
  // Back to what was learned. False: asked, they are not.
  bool take_off() noexcept;

 private:
  struct goal;
  [[nodiscard]] goal goal_of(const credentials& next) const noexcept;
  [[nodiscard]] bool have(const goal& wanted) noexcept;
  [[nodiscard]] bool have_groups(std::span<const std::uint32_t> wanted) noexcept;

  base::self::id_set user_;
  base::self::id_set group_;
  std::vector<std::uint32_t> groups_;
  base::self::capability_set capabilities_;
  std::vector<std::uint32_t> asked_;  // room for groups, so that asking again needs no memory
};

}  // namespace wring::detail
