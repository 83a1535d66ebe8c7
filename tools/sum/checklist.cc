// SPDX-License-Identifier: Apache-2.0
#include "sum/checklist.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace wring::tools {

namespace {

constexpr std::size_t buffer_size = std::size_t{64} << 10;
// No name is that long; what follows in such a line is skipped, and the line is improperly formatted.
constexpr std::size_t line_size_max = std::size_t{1} << 20;

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// The value of a hexadecimal digit, or -1.
int digit_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_digest(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return digit_value(c) >= 0; });
}

void skip_blanks(std::string_view& text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

bool unescape(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return false;
    switch (text[i]) {
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case '\\': out += '\\'; break;
      default: return false;
    }
  }
  return true;
}

}  // namespace

checklist::checklist(const algorithm& which, std::vector<std::string> lists)
    : algorithm_{which}, lists_{std::move(lists)}, buffer_(buffer_size) {}

void checklist::fill(batch& out, std::size_t count_max) {
  while (out.size() < count_max && out.names_size() < batch_names_size_max) {
    if (!open_) {
      if (next_list_ == lists_.size()) break;
      open_next(out);
      continue;
    }
    // What came through a pipe so far is answered before waiting for more.
    if (buffer_at_ == buffer_end_ && !out.empty()) break;
    int error = 0;
    if (read_line(error)) {
      take_line(out);
    } else {
      close(out, error);
    }
  }
  if (!out.empty()) out.seal(0);
}

void checklist::open_next(batch& out) {
  const std::string& path = lists_[next_list_++];
  from_stdin_ = path == "-";
  list_name_ = from_stdin_ ? "standard input" : path;
  line_number_ = 0;
  buffer_at_ = buffer_end_ = 0;
  open_ = true;
  file_ = from_stdin_ ? file_descriptor{::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)}
                      : open_at(AT_FDCWD, path, O_RDONLY, symlinks::follow);
  if (!file_.valid()) close(out, from_stdin_ ? EBADF : file_.error());
}

void checklist::close(batch& out, int error) {
  out.add(entry_kind::list_end, {}, list_name_).number = static_cast<std::uint32_t>(error);
  file_ = file_descriptor{};
  open_ = false;
}

// False: the end of the list, or an error.
bool checklist::read_line(int& error) {
  line_.clear();
  for (;;) {
    if (buffer_at_ == buffer_end_) {
      const ssize_t got = read_next(file_.get(), buffer_);
      if (got < 0) {
        error = static_cast<int>(-got);
        return false;
      }
      if (got == 0) return !line_.empty();
      buffer_at_ = 0;
      buffer_end_ = static_cast<std::size_t>(got);
    }
    const std::byte* begin = buffer_.data() + buffer_at_;
    const std::size_t left = buffer_end_ - buffer_at_;
    const void* newline = std::memchr(begin, '\n', left);
    const std::size_t size =
        newline != nullptr ? static_cast<std::size_t>(static_cast<const std::byte*>(newline) - begin) : left;
    const std::size_t room = line_size_max - line_.size();
    line_.append(reinterpret_cast<const char*>(begin), std::min(size, room));
    buffer_at_ += size;
    if (newline == nullptr) continue;
    ++buffer_at_;
    line_ += '\n';  // so that an empty line differs from the end of the list
    return true;
  }
}

void checklist::take_line(batch& out) {
  ++line_number_;
  std::string_view line = line_;
  if (line.starts_with('#')) return;
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return;
  claim found;
  if (!parse(line, found) || (from_stdin_ && found.name == "-")) {
    out.add(entry_kind::improper_line, {}, list_name_).number = line_number_;
    return;
  }
  out.add(found.name == "-" ? entry_kind::standard_input : entry_kind::named, {}, found.name);
  unsigned char* digest = out.expected_of_last();
  for (std::size_t i = 0; i < algorithm_.digest_size; ++i) {
    digest[i] =
        static_cast<unsigned char>(digit_value(found.digest[2 * i]) << 4 | digit_value(found.digest[2 * i + 1]));
  }
}

bool checklist::parse(std::string_view line, claim& out) {
  skip_blanks(line);
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  if (line.starts_with(algorithm_.tag)) {
    line.remove_prefix(algorithm_.tag.size());
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (!line.starts_with('(')) return false;
    return parse_tagged(line.substr(1), escaped, out);
  }
  const std::size_t digits = 2 * algorithm_.digest_size;
  // At least the digest, a separator and a name of one character each.
  if (line.size() < digits + 2 || !is_blank(line[digits])) return false;
  out.digest = line.substr(0, digits);
  if (!is_digest(out.digest)) return false;
  line.remove_prefix(digits + 1);
  // One space only: decided by the first line that tells, because a name may begin with a space.
  if (line.size() == 1 || (line.front() != ' ' && line.front() != '*')) {
    if (style_ == style::two_characters) return false;
    style_ = style::one_space;
  } else if (style_ != style::one_space) {
    style_ = style::two_characters;
    line.remove_prefix(1);
  }
  if (line.find('\0') != std::string_view::npos) return false;
  if (escaped) return unescape(line, out.name);
  out.name = line;
  return true;
}

// What follows "SHA256 (".
bool checklist::parse_tagged(std::string_view line, bool escaped, claim& out) const {
  const std::size_t end = line.rfind(')');
  if (end == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, end);
  if (name.find('\0') != std::string_view::npos) return false;
  line.remove_prefix(end + 1);
  skip_blanks(line);
  if (!line.starts_with('=')) return false;
  line.remove_prefix(1);
  skip_blanks(line);
  out.digest = line;
  if (line.size() != 2 * algorithm_.digest_size || !is_digest(line)) return false;
  if (escaped) return unescape(name, out.name);
  out.name = name;
  return true;
}

}  // namespace wring::tools
