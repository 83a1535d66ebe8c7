// SPDX-License-Identifier: Apache-2.0
// result: a value, or the reason why there is none.
#pragma once

#include <optional>
#include <system_error>
#include <utility>

namespace wring {

// What `create(options)` returns. Not thread-safe, like any value. `value()` on an error throws
// std::system_error with that error, so `auto q = workqueue::create(o).value();` is the short form.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : value_{std::move(value)} {}
  // An error that says “success” is none: EINVAL takes its place.
  result(std::error_code error) : error_{error ? error : std::make_error_code(std::errc::invalid_argument)} {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  T& value() & {
    check();
    return *value_;
  }
  T&& value() && {
    check();
    return std::move(*value_);
  }
  // As value(): they throw where there is none.
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }

 private:
  void check() const {
    if (!value_) throw std::system_error{error_};
  }

  std::optional<T> value_;
  std::error_code error_;
};

}  // namespace wring
