// SPDX-License-Identifier: Apache-2.0
#include "sum/name_list.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <wring/blocking.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace wring::tools {

namespace {

name_type type_of(mode_t mode) noexcept {
  if (S_ISREG(mode)) return name_type::regular;
  if (S_ISDIR(mode)) return name_type::directory;
  if (S_ISLNK(mode)) return name_type::symlink;
  if (S_ISFIFO(mode)) return name_type::fifo;
  if (S_ISSOCK(mode)) return name_type::socket;
  return name_type::device;
}

// Some file systems leave the type to a stat. What cannot be told is tried as a file, so that opening it
// reports the reason.
name_type type_of(int directory, const dirent64& found) {
  if (found.d_type != DT_UNKNOWN) return type_of(static_cast<mode_t>(DTTOIF(found.d_type)));
  blocking_scope scope;
  struct stat status;
  if (::fstatat(directory, found.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return name_type::unknown;
  return type_of(status.st_mode);
}

std::uint64_t head_of(std::string_view key) noexcept {
  std::uint64_t head = 0;
  std::memcpy(&head, key.data(), std::min(key.size(), sizeof head));  // names hold no zero byte
  if constexpr (std::endian::native == std::endian::little) head = __builtin_bswap64(head);
  return head;
}

}  // namespace

int name_list::load(int fd, std::size_t bytes_max) {
  drop();
  cut_ = false;
  std::string last_kept;  // once something had to be left out: what follows it is left out too
  std::string key;
  alignas(dirent64) std::array<char, 32 << 10> buffer;
  for (;;) {
    ssize_t got = 0;
    {
      blocking_scope scope;
      got = ::getdents64(fd, buffer.data(), buffer.size());
    }
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const int error = got < 0 ? errno : 0;
      sort();
      return error;
    }
    for (ssize_t at = 0; at < got;) {
      const auto& found = *reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += found.d_reclen;
      key = found.d_name;
      if (key == "." || key == "..") continue;
      const name_type type = type_of(fd, found);
      if (type == name_type::directory) key += '/';
      if (key <= after_) continue;
      if (cut_ && key > last_kept) continue;
      add(key, type);
      if (cost() < 2 * bytes_max) continue;
      shrink(bytes_max);
      last_kept = this->key(names_.back());
    }
  }
}

bool name_list::next(std::string_view& key_out, name_type& type) noexcept {
  if (given_ == names_.size()) return false;
  const name& n = names_[given_++];
  key_out = key(n);
  type = n.type;
  return true;
}

void name_list::drop() {
  if (given_ > 0) after_ = key(names_[given_ - 1]);
  cut_ = cut_ || given_ < names_.size();
  given_ = 0;
  names_ = {};
  keys_ = {};
}

void name_list::add(std::string_view text, name_type type) {
  names_.push_back({.head = head_of(text),
                    .offset = static_cast<std::uint32_t>(keys_.size()),
                    .size = static_cast<std::uint16_t>(text.size()),
                    .type = type});
  keys_ += text;
}

void name_list::sort() {
  std::ranges::sort(
      names_, [this](const name& a, const name& b) { return a.head != b.head ? a.head < b.head : key(a) < key(b); });
}

// Keeps the first names, at least one, and forgets the others.
void name_list::shrink(std::size_t bytes_max) {
  sort();
  std::string kept_keys;
  std::size_t kept = 0;
  for (; kept < names_.size(); ++kept) {
    name& n = names_[kept];
    if (kept > 0 && kept_keys.size() + n.size + (kept + 1) * sizeof(name) > bytes_max) break;
    const std::string_view text = key(n);
    n.offset = static_cast<std::uint32_t>(kept_keys.size());
    kept_keys += text;
  }
  names_.resize(kept);
  keys_ = std::move(kept_keys);
  cut_ = true;
}

}  // namespace wring::tools
