// SPDX-License-Identifier: Apache-2.0
// checklist: the lines of lists made by `wring sum`, sha256sum and their kin, to be checked (-c).
//
// It accepts what sha256sum -c of coreutils accepts: "hash  name", "hash *name" (binary), "hash name"
// (when the first line of all is of that form), "SHA256 (name) = hash", a leading backslash for escaped
// names, comments (#) and empty lines. Anything else is counted as improperly formatted.
// Threads: fill() one thread at a time.
#pragma once

#include "sum/file.h"
#include "sum/source.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wring::tools {

class checklist final : public source {
 public:
  checklist(const algorithm& which, std::vector<std::string> lists);

  void fill(batch& out, std::size_t count_max) override;

 private:
  // What a line said: a name and the digest it should have.
  struct claim {
    std::string_view digest;  // hexadecimal
    std::string name;
  };

  void open_next(batch& out);
  void close(batch& out, int error);
  [[nodiscard]] bool read_line(int& error);
  void take_line(batch& out);
  [[nodiscard]] bool parse(std::string_view line, claim& out);
  [[nodiscard]] bool parse_tagged(std::string_view line, bool escaped, claim& out) const;

  const algorithm& algorithm_;
  const std::vector<std::string> lists_;
  std::size_t next_list_ = 0;

  file_descriptor file_;  // the list being read
  bool open_ = false;
  bool from_stdin_ = false;
  std::string list_name_;
  std::string line_;
  std::uint32_t line_number_ = 0;
  enum class style : std::uint8_t { unknown, two_characters, one_space } style_ = style::unknown;

  std::vector<std::byte> buffer_;
  std::size_t buffer_at_ = 0;
  std::size_t buffer_end_ = 0;
};

}  // namespace wring::tools
