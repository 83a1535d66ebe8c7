// SPDX-License-Identifier: Apache-2.0

#include "iowq/identity.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace wring {

namespace detail {

namespace {

// "user 1000, group 1000 (4, 27)"
void describe_who(base::writer& w, const credentials& who) {
  if (who.effective) {
    w.put("effective user ", who.effective_user, ", group ", who.effective_group);
    if (who.file_user != who.effective_user || who.file_group != who.effective_group) {
      w.put(", for files user ", who.file_user, ", group ", who.file_group);
    }
  } else {
    w.put("user ", who.file_user, ", group ", who.file_group);
  }
  const char* separator = " (";
  for (const std::uint32_t id : who.groups) {
    w.put(separator, id);
    separator = ", ";
  }
  if (!who.groups.empty()) w.put(')');
  // What nobody expects of a user.
  const bool root = (who.effective ? who.effective_user : who.file_user) == 0;
  const std::uint64_t shown = who.effective ? who.capabilities : who.capabilities & base::self::file_capabilities;
  if (!root && shown != 0) w.put(", capabilities ", base::hex{shown});
}

void describe_handle(base::writer& w, const char* what, const base::handle& h) {
  std::array<char, 4096> text{};
  w.put(what, ' ', std::string_view{text.data(), base::self::name_of(h.fd(), text)});
}

void describe_io_priority(base::writer& w, int value) {
  constexpr std::array<const char*, 4> classes{"none", "real-time", "best-effort", "idle"};
  constexpr int class_shift = 13;
  const auto kind = static_cast<unsigned>(value >> class_shift);
  w.put("I/O priority ", classes.at(kind % classes.size()));
  if (kind == 1 || kind == 2) w.put(' ', value & 7);
}

void describe_umask(base::writer& w, std::uint32_t bits) {
  w.put("umask 0");
  for (const unsigned shift : {6U, 3U, 0U}) w.put(bits >> shift & 7);
}

}  // namespace

identity identity_data::handle_of(identity_data* data) noexcept {
  identity handle;
  handle.data_ = data;
  return handle;
}

void identity_data::hold() const noexcept { users_.fetch_add(1, base::order::relaxed); }

void identity_data::release() const noexcept {
  // Pairs with itself: what others did with the description is before its end.
  if (users_.fetch_sub(1, base::order::acq_rel) == 1) delete this;
}

void identity_data::describe(base::writer& w) const {
  const char* separator = "";
  const auto next = [&] { w.put(std::exchange(separator, ", ")); };
  const auto say = [&](identity_part part, const auto& tell) {
    if (!has(part)) return;
    next();
    tell();
  };
  say(any_credentials, [&] { describe_who(w, who); });
  say(identity_part::folder, [&] { describe_handle(w, "folder", folder); });
  say(identity_part::root, [&] { describe_handle(w, "root", root); });
  say(identity_part::umask, [&] { describe_umask(w, umask); });
  say(identity_part::io_priority, [&] { describe_io_priority(w, io_priority); });
  say(identity_part::nice, [&] { w.put("nice ", nice); });
  say(identity_part::file_size, [&] {
    if (file_size == ~std::uint64_t{0}) {
      w.put("files of any size");
    } else {
      w.put("files of ", file_size, " bytes");
    }
  });
  for (const control_group& group : groups) {
    next();
    describe_handle(w, "cgroup", group.folder);
  }
  for (const space_part& s : space_parts) {
    say(s.part, [&] { describe_handle(w, "namespace", space(s.which)); });
  }
}

}  // namespace detail

identity::~identity() {
  if (data_ != nullptr) data_->release();
}

identity::identity(const identity& other) noexcept : data_{other.data_} {
  if (data_ != nullptr) data_->hold();
}

identity::identity(identity&& other) noexcept : data_{std::exchange(other.data_, nullptr)} {}

identity& identity::operator=(const identity& other) noexcept {
  identity copy{other};
  std::swap(data_, copy.data_);
  return *this;
}

identity& identity::operator=(identity&& other) noexcept {
  identity taken{std::move(other)};
  std::swap(data_, taken.data_);
  return *this;
}

identity_part identity::parts() const noexcept { return data_ != nullptr ? data_->parts : identity_part::none; }

std::string identity::describe() const {
  if (data_ == nullptr) return "the worker's own";
  base::writer w;
  data_->describe(w);
  return std::move(w).take();
}

}  // namespace wring
