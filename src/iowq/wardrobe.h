// SPDX-License-Identifier: Apache-2.0
// wardrobe: what a worker has put on of other identities, and what is its own (IOWQ-70, IOWQ-72, IOWQ-128).
//
// Bare: nothing is worn. Dressed: the identity worn() is, all of it, and what it leaves out is the worker's own. Both
// are what the system answered when it was asked. Tainted: neither is known; final, the thread must run nothing more.
// A wardrobe that is destroyed leaves its thread as it is.
//
// Threads: its worker's, which creates it, and makes no threads from the first put_on() of a folder, root, umask or
//          mount namespace on, nor while dressed: these would be as it is.
// Locks:   none may be held: takes a leaf, waits for it, and allocates.
// Protocol: I1 to I7 in README.md, 9.
#pragma once

#include "iowq/control_groups.h"
#include "iowq/credentials.h"
#include "iowq/identity.h"
#include "iowq/places.h"
#include "iowq/priorities.h"
#include "iowq/spaces.h"

#include <cstdint>

namespace wring::detail {

enum class dressing : std::uint8_t {
  ok,
  refused,  // bare; the item fails with EPERM
  tainted,
};

class wardrobe {
 public:
  // `home` as in changed_places.
  explicit wardrobe(std::uint32_t home = 0) noexcept : places_{home} {}
  wardrobe(const wardrobe&) = delete;
  wardrobe& operator=(const wardrobe&) = delete;
  ~wardrobe();

  // ok: the calling thread is that now, and `next` is held until it is taken off. Null: as take_off().
  dressing put_on(const identity_data* next) noexcept;
  // ok: bare. Never refused.
  dressing take_off() noexcept;
  // Null: bare, or tainted.
  [[nodiscard]] const identity_data* worn() const noexcept { return worn_; }
  // A thread is who the one is that makes it: only who is bare, and shares its places with the process, makes any.
  [[nodiscard]] bool may_make_threads() const noexcept {
    return worn_ == nullptr && !tainted_ && !places_.have_unshared();
  }

 private:
  [[nodiscard]] bool take_off_credentials() noexcept;
  [[nodiscard]] bool learn(const identity_data& next) noexcept;
  [[nodiscard]] bool change(const identity_data& next) noexcept;
  [[nodiscard]] bool enter_groups(identity_part touched, const identity_data* next) noexcept;
  [[nodiscard]] bool is(const identity_data* next) noexcept;
  [[nodiscard]] bool come_back() noexcept;
  void wear(const identity_data* next) noexcept;
  dressing taint() noexcept;

  const identity_data* worn_ = nullptr;
  identity_part touched_ = identity_part::none;  // what may not be the thread's own; that is known, then
  bool tainted_ = false;
  base::handle me_;  // in /proc; while namespaces are touched
  changed_credentials credentials_;
  changed_groups groups_;
  changed_spaces spaces_;
  changed_places places_;
  changed_priorities priorities_;
};

}  // namespace wring::detail
