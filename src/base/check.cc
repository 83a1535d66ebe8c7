// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include "base/sync.h"

namespace wring::base {

void writer::add_hex(std::uint64_t value) {
  char digits[18] = {'0', 'x'};
  const auto end = std::to_chars(digits + 2, digits + sizeof digits, value, 16);
  text_.append(digits, end.ptr);
}

namespace detail {

void check_failed(const char* file, int line, const char* expression, const char* names,
                  std::string_view values) noexcept {
  writer w;
  w.put("wring: check failed: ", expression, " at ", file, ":", line, "\n");
  if (!values.empty()) w.put("wring:   ", names, " = ", values, "\n");
  fail(std::move(w).take().c_str());
}

}  // namespace detail
}  // namespace wring::base
