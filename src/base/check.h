// SPDX-License-Identifier: Apache-2.0
// check: conditions that must hold, and the text builder that everything with state describes itself to.
//
// WRING_CHECK(condition, values...) is always on: if the condition is false it prints the expression, the
// values and the place to stderr, and aborts. WRING_ASSERT is the same in builds without NDEBUG and nothing
// in others. A value is an integer, an enum, a pointer, text, hex{...}, or anything that has
// `void describe(writer&) const`. Values are evaluated only on failure, so they may cost something.
// Threads: a writer belongs to one thread.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace wring::base {

// Written as 0x1f.
struct hex {
  std::uint64_t value;
};

class writer {
 public:
  // Appends every argument, with nothing between them.
  template <class... Values>
  writer& put(const Values&... values) {
    (add(values), ...);
    return *this;
  }

  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::string take() && noexcept { return std::move(text_); }

 private:
  template <class T>
  void add(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      add_text(value ? "true" : "false");
    } else if constexpr (std::is_same_v<T, char>) {
      text_.push_back(value);
    } else if constexpr (std::is_same_v<T, hex>) {
      add_hex(value.value);
    } else if constexpr (std::is_null_pointer_v<T>) {
      add_hex(0);
    } else if constexpr (std::is_enum_v<T>) {
      add(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_integral_v<T>) {
      add_integer(value);
    } else if constexpr (std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>) {
      const char* const chars = value;
      add_text(chars != nullptr ? std::string_view{chars} : std::string_view{"(null)"});
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      add_text(value);
    } else if constexpr (std::is_pointer_v<T>) {
      add_hex(reinterpret_cast<std::uintptr_t>(value));
    } else {
      value.describe(*this);
    }
  }

  template <class Integer>
  void add_integer(Integer value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    text_.append(digits, end.ptr);
  }
  void add_text(std::string_view text) { text_.append(text); }
  void add_hex(std::uint64_t value);

  std::string text_;
};

namespace detail {

[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* expression, const char* names,
                                          std::string_view values) noexcept;

template <class... Values>
[[noreturn, gnu::cold, gnu::noinline]] void check_failed_with(const char* file, int line, const char* expression,
                                                              const char* names, const Values&... values) noexcept {
  writer w;
  [[maybe_unused]] const char* separator = "";
  ((w.put(separator, values), separator = ", "), ...);
  check_failed(file, line, expression, names, w.text());
}

}  // namespace detail
}  // namespace wring::base

#define WRING_CHECK(condition, ...)                                                      \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      ::wring::base::detail::check_failed_with(__FILE__, __LINE__, #condition,           \
                                               #__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__); \
    }                                                                                    \
  } while (false)

#ifdef NDEBUG
// Compiled, never executed: what an assertion names must exist and counts as used.
#define WRING_ASSERT(condition, ...)                              \
  do {                                                            \
    if (false) WRING_CHECK(condition __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)
#else
#define WRING_ASSERT(condition, ...) WRING_CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif
