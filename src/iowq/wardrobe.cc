// SPDX-License-Identifier: Apache-2.0

#include "iowq/wardrobe.h"

#include <new>

namespace wring::detail {

namespace {

constexpr identity_part of_namespaces = plain_spaces | identity_part::mount_namespace;
// Names lead elsewhere then, those of /proc too: nobody goes from there to another identity but by way of the own one.
constexpr identity_part moves_names = identity_part::root | identity_part::mount_namespace;

}  // namespace

wardrobe::~wardrobe() { wear(nullptr); }

dressing wardrobe::put_on(const identity_data* next) noexcept {
  if (tainted_) return dressing::tainted;
  if (next == worn_) return dressing::ok;  // I1
  if (next == nullptr || has_any(touched_ | next->parts, moves_names)) {
    if (const dressing bare = take_off(); bare != dressing::ok || next == nullptr) return bare;
  }
  if (!WRING_PLANT(credentials_kept_between) && !take_off_credentials()) return taint();  // I2
  if (learn(*next) && change(*next) && is(next)) {                                        // I3 to I5
    touched_ = next->parts;
    wear(next);
    return dressing::ok;
  }
  return come_back() ? dressing::refused : taint();
}

dressing wardrobe::take_off() noexcept {
  if (tainted_) return dressing::tainted;
  if (worn_ == nullptr) return dressing::ok;
  return take_off_credentials() && come_back() ? dressing::ok : taint();  // I6
}

// Who changed them in between, the process by the C library or the item by itself, is found out here: nobody knows
// then what the thread's own are (I7).
bool wardrobe::take_off_credentials() noexcept {
  if (!has_any(touched_, any_credentials)) return true;
  touched_ = without(touched_, any_credentials);
  return credentials_.are(worn_->who) && credentials_.take_off();
}

bool wardrobe::learn(const identity_data& next) noexcept {
  const identity_part parts = without(next.parts, touched_);
  try {
    if (has_any(parts, any_credentials)) credentials_.learn(next.who);
    if (has_any(parts, identity_part::cgroup)) groups_.learn();
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (has_any(parts, of_namespaces)) me_ = base::handle{base::self::open_self()};
  if (!spaces_.learn(parts) || !places_.learn(parts)) return false;
  priorities_.learn(parts);
  return true;
}

bool wardrobe::change(const identity_data& next) noexcept {
  const identity_part touched = WRING_PLANT(left_out_part_forgotten) ? identity_part::none : touched_;
  touched_ = touched | next.parts;
  return enter_groups(touched, &next) && spaces_.change(touched, &next) && places_.change(touched, &next) &&
         priorities_.change(touched, &next) && (!next.has(any_credentials) || credentials_.put_on(next.who));
}

bool wardrobe::enter_groups(identity_part touched, const identity_data* next) noexcept {
  if (next != nullptr && next->has(identity_part::cgroup)) return groups_.enter(next->groups);
  return !has_any(touched, identity_part::cgroup) || groups_.enter({});
}

bool wardrobe::is(const identity_data* next) noexcept {
  return spaces_.are(touched_, next, me_.fd()) && places_.are(touched_, next, me_.fd()) &&
         priorities_.are(touched_, next) &&
         (next == nullptr || !next->has(any_credentials) || credentials_.are(next->who));
}

// What is refused shows when it is asked for. Groups last: they are known by names.
bool wardrobe::come_back() noexcept {
  const bool own_credentials = !has_any(touched_, any_credentials) || credentials_.take_off();
  static_cast<void>(spaces_.change(touched_, nullptr));
  static_cast<void>(places_.change(touched_, nullptr));
  static_cast<void>(priorities_.change(touched_, nullptr));
  if (!own_credentials || !enter_groups(touched_, nullptr)) return false;
  if (!is(nullptr) && !WRING_PLANT(way_back_believed)) return false;
  touched_ = identity_part::none;
  me_ = base::handle{};
  spaces_.forget();
  places_.forget();
  groups_.forget();
  wear(nullptr);
  return true;
}

void wardrobe::wear(const identity_data* next) noexcept {
  if (next != nullptr) next->hold();
  if (worn_ != nullptr) worn_->release();
  worn_ = next;
}

dressing wardrobe::taint() noexcept {
  tainted_ = true;
  wear(nullptr);
  return dressing::tainted;
}

}  // namespace wring::detail
