// SPDX-License-Identifier: Apache-2.0
// places: the folder, root, umask and mounts of a thread (IOWQ-U5).
//
// Only a thread that has unshared them may go anywhere; that is for good, so what is its own is asked where the
// process is now. Order: mounts move root and folder, the root moves the folder.
// Threads: changed_places belong to the thread that they are of.
#pragma once

#include "base/thread_identity.h"
#include "iowq/identity.h"

#include <cstdint>

namespace wring::detail {

inline constexpr identity_part all_places = identity_part::places | identity_part::mount_namespace;

class changed_places {
 public:
  // `home`: by thread_id(), the thread in whose folder, and with whose umask, this one is when it wears none; 0: that
  // of main(). Where /proc does not tell, because that thread has ended say, it is where it was.
  explicit changed_places(std::uint32_t home) noexcept : home_{home} {}

  // Asks what is the thread's own, before a change to the first identity that has one of `parts`. False: refused.
  bool learn(identity_part parts) noexcept;
  // To what `next` has; what it leaves out, of `touched`, becomes the thread's own. False: something was refused.
  bool change(identity_part touched, const identity_data* next) noexcept;
  // The same as a question; `me`: by open_self(), needed for mounts.
  [[nodiscard]] bool are(identity_part touched, const identity_data* next, int me) const noexcept;
  // Threads that it makes would share its folder, root and umask with it.
  [[nodiscard]] bool have_unshared() const noexcept { return unshared_; }
  // Forgets what was learned, once all of that is the thread's own.
  void forget() noexcept;

 private:
  [[nodiscard]] bool change_mounts(const identity_data* next) const noexcept;
  [[nodiscard]] bool change_root(const identity_data* next) const noexcept;
  [[nodiscard]] bool change_folder(const identity_data* next) noexcept;
  [[nodiscard]] std::uint32_t own_umask() noexcept;
  // Null: where the mounts, or the root, have led.
  [[nodiscard]] const base::handle* goal_root(const identity_data* next) const noexcept;
  [[nodiscard]] const base::handle* goal_folder(const identity_data* next) const noexcept;

  const std::uint32_t home_;
  bool unshared_ = false;
  base::handle mounts_;
  base::handle root_;
  base::handle folder_;
  std::uint32_t umask_ = 0;
};

}  // namespace wring::detail
