// SPDX-License-Identifier: Apache-2.0
// text: names and numbers as people and machines read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace wring::tools {

// Appends lower-case hexadecimal digits.
void append_hex(std::string& out, std::span<const unsigned char> bytes);

// coreutils' way to keep a name on one line: \n, \r and \\. needs_escape() tells whether the line gets the
// leading backslash that announces it.
[[nodiscard]] bool needs_escape(std::string_view name) noexcept;
void append_escaped(std::string& out, std::string_view name);

// A name inside of a message: as it is, or as $'...' when it holds what could confuse a terminal.
[[nodiscard]] std::string quoted(std::string_view name);

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
[[nodiscard]] std::string base64(std::string_view bytes);

[[nodiscard]] std::string grouped(std::uint64_t number);                         // 1,234,567
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view noun);  // 1 file, 1,234 files
[[nodiscard]] std::string bytes_for_people(double bytes);                        // 1.4 GiB
[[nodiscard]] std::string seconds_for_people(double seconds);                    // 0.35 s, 12.1 s, 3:05, 1:02:03

}  // namespace wring::tools
