// SPDX-License-Identifier: Apache-2.0
#include "sum/printer.h"

#include "sum/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace wring::tools {

namespace {

// Written out in pieces of about this size.
constexpr std::size_t write_size = std::size_t{64} << 10;

std::string explain(problem what, std::uint32_t number) {
  switch (what) {
    case problem::none: return "";
    case problem::system: return std::generic_category().message(static_cast<int>(number));
    case problem::fifo: return "Is a FIFO: not read inside of a tree";
    case problem::socket: return "Is a socket: cannot be read";
    case problem::device: return "Is a device: not read inside of a tree";
    case problem::loop: return "Directory contains itself (file system loop): not entered";
  }
  return "";
}

}  // namespace

int printer::print(batch& current) {
  for (; current.printed < current.size() && current.settled(current.printed); ++current.printed) {
    print_entry(current, current.printed);
    if (out_.size() >= write_size && flush() != 0) break;
  }
  return write_error_;
}

void printer::print_entry(const batch& from, std::size_t index) {
  const entry& e = from.at(index);
  switch (e.kind) {
    case entry_kind::improper_line:
      ++list_.improper;
      if (options_.warn) {
        complain(fmt::format("{}: {}: improperly formatted {} checksum line", quoted(from.name(e)), e.number,
                             options_.hash->tag));
      }
      return;
    case entry_kind::list_end: end_list(from, e); return;
    default:
      ++files_;
      if (options_.check) {
        print_answer(from, index);
      } else {
        print_sum(from, index);
      }
  }
}

int printer::flush() {
  if (write_error_ == 0 && !out_.empty()) write_error_ = terminal_.output(out_);
  out_.clear();
  return write_error_;
}

void printer::print_sum(const batch& from, std::size_t index) {
  const entry& e = from.at(index);
  if (e.what != problem::none) {
    failed_ = true;
    --files_;
    print_problem(from, e);
    return;
  }
  if (options_.json) {
    print_json(from, index, {});
    return;
  }
  const std::string_view name = shown_name(from, e);
  const bool escape = options_.hash->escapes_names && !options_.zero && needs_escape(name);
  if (escape) out_ += '\\';
  append_hex(out_, {from.digest(index), options_.hash->digest_size});
  out_ += "  ";
  if (escape) {
    append_escaped(out_, name);
  } else {
    out_ += name;
  }
  out_ += options_.zero ? '\0' : '\n';
}

// Checks one claim of a list.
void printer::print_answer(const batch& from, std::size_t index) {
  const entry& e = from.at(index);
  ++list_.proper;
  if (e.what == problem::system && e.number == ENOENT && options_.ignore_missing) {
    --files_;
    return;
  }
  std::string_view answer = "OK";
  std::string_view result = "ok";
  if (e.what != problem::none) {
    ++list_.unreadable;
    --files_;
    print_problem(from, e);
    answer = "FAILED open or read";
    result = "unreadable";
  } else if (std::equal(from.digest(index), from.digest(index) + options_.hash->digest_size, from.expected(index))) {
    ++list_.matched;
    if (options_.quiet) return;
  } else {
    ++list_.mismatched;
    answer = "FAILED";
    result = "failed";
  }
  if (options_.status_only) return;
  if (options_.json) {
    print_json(from, index, result);
    return;
  }
  const std::string_view name = from.name(e);
  // Answers escape only names that would break the line.
  if (name.find('\n') != std::string_view::npos) {
    out_ += '\\';
    append_escaped(out_, name);
  } else {
    out_ += name;
  }
  out_ += ": ";
  out_ += answer;
  out_ += '\n';
}

// The directories that the walk reports end in '/', which is not part of what people call them.
std::string_view printer::shown_name(const batch& from, const entry& e) const noexcept {
  if (e.kind == entry_kind::standard_input || e.kind == entry_kind::exhausted_input) return options_.hash->stdin_name;
  std::string_view name = from.name(e);
  if (e.kind == entry_kind::settled && name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
  return name;
}

void printer::print_problem(const batch& from, const entry& e) {
  complain(fmt::format("{}: {}", quoted(shown_name(from, e)), explain(e.what, e.number)));
  ++problems_;
  if (options_.json && !options_.check) print_json(from, static_cast<std::size_t>(&e - &from.at(0)), {});
}

void printer::print_json(const batch& from, std::size_t index, std::string_view result) {
  const entry& e = from.at(index);
  const std::string_view name = shown_name(from, e);
  nlohmann::ordered_json line;
  if (is_utf8(name)) {
    line["name"] = name;
  } else {
    line["name_b64"] = base64(name);
  }
  line["algorithm"] = options_.hash->name;
  if (!result.empty()) line["result"] = result;
  if (e.what == problem::none) {
    std::string digest;
    append_hex(digest, {from.digest(index), options_.hash->digest_size});
    line["digest"] = digest;
    line["bytes"] = e.bytes;
  } else {
    line["error"] = explain(e.what, e.number);
  }
  out_ += line.dump();
  out_ += '\n';
}

void printer::end_list(const batch& from, const entry& e) {
  const list_counts counts = std::exchange(list_, {});
  if (e.number != 0) {
    complain(fmt::format("{}: {}", quoted(from.name(e)), explain(problem::system, e.number)));
    ++problems_;
    failed_ = true;
    return;
  }
  if (counts.proper == 0) {
    complain(fmt::format("{}: no properly formatted checksum lines found", quoted(from.name(e))));
    failed_ = true;
    return;
  }
  if (!options_.status_only) {
    warn_count(counts.improper, "line is improperly formatted", "lines are improperly formatted");
    warn_count(counts.unreadable, "listed file could not be read", "listed files could not be read");
    warn_count(counts.mismatched, "computed checksum did NOT match", "computed checksums did NOT match");
    if (options_.ignore_missing && counts.matched == 0) {
      complain(fmt::format("{}: no file was verified", quoted(from.name(e))));
    }
  }
  failed_ |= counts.matched == 0 || counts.mismatched != 0 || counts.unreadable != 0 ||
             (options_.strict && counts.improper != 0);
}

void printer::warn_count(std::uint64_t count, std::string_view one, std::string_view many) {
  if (count != 0) complain(fmt::format("WARNING: {} {}", count, count == 1 ? one : many));
}

// After the lines before it, for those who see both on one terminal.
void printer::complain(std::string_view text) {
  if (flush() == 0) terminal_.message(fmt::format("wring sum: {}", text));
}

}  // namespace wring::tools
