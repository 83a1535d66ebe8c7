// SPDX-License-Identifier: Apache-2.0
// future: the result of one closure. Like std::future, but its wait counts as blocking for a worker.
#pragma once

#include <wring/version.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace wring {

class workqueue;

namespace detail {

class core;
class pool_workqueue;

// A flag that is set once and can be waited for; waiting in a worker is announced blocking.
class WRING_EXPORT once_event {
 public:
  once_event() noexcept;
  void set() noexcept;
  // A callback of that queue will set it.
  void comes_from(const pool_workqueue& q) noexcept;
  // False: it will never be set, because this process was forked since. Throws std::system_error (EDEADLK): the runtime
  // that it comes from has not been started (runtime_options::start_later).
  bool wait();
  // False: that, or `timeout` passed first.
  bool wait_for(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] bool is_set() const noexcept;

 private:
  alignas(4) std::uint32_t word_ = 0;
  std::uint32_t forks_;          // when it was made
  const core* early_ = nullptr;  // of its queue, if that had not been started; it may be gone
};

template <class T>
struct future_state {
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;
  std::optional<stored> value;
  std::exception_ptr error;
  once_event ready;
  bool has_future = false;
};

}  // namespace detail

// Move-only. One thread at a time; `get()` once.
template <class T>
class [[nodiscard]] future {
 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  future& operator=(future&&) noexcept = default;

  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
  // Of a future that is not valid these throw std::future_error(no_state), as get() does.
  [[nodiscard]] bool ready() const { return event().is_set(); }
  // Throws std::system_error (EDEADLK) while the queue's runtime waits for its start(); so does get(), and the future
  // stays valid. wait_for() waits.
  void wait() const { event().wait(); }
  [[nodiscard]] bool wait_for(std::chrono::nanoseconds timeout) const { return event().wait_for(timeout); }

  // Waits, then gives the value or throws what the closure threw; std::future_error(broken_promise) if
  // the closure was refused, or was not ready when this process was forked. Leaves the future invalid.
  T get() {
    if (!event().wait()) throw std::future_error{std::future_errc::broken_promise};
    auto state = std::move(state_);
    if (state->error) std::rethrow_exception(std::move(state->error));
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(**state->value);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(*state->value);
    }
  }

 private:
  template <class>
  friend class promise;
  explicit future(std::shared_ptr<detail::future_state<T>> state) noexcept : state_{std::move(state)} {}
  detail::once_event& event() const {
    if (!state_) throw std::future_error{std::future_errc::no_state};
    return state_->ready;
  }
  std::shared_ptr<detail::future_state<T>> state_;
};

// The writing end; a promise that dies unfulfilled makes the future throw broken_promise. What cannot be asked of it
// throws std::future_error: no_state, it was moved from; future_already_retrieved, promise_already_satisfied.
template <class T>
class promise {
 public:
  promise() : state_{std::make_shared<detail::future_state<T>>()} {}
  promise(promise&&) noexcept = default;
  promise& operator=(promise&&) = delete;
  ~promise() {
    if (state_ && !state_->ready.is_set())
      fail(std::make_exception_ptr(std::future_error{std::future_errc::broken_promise}));
  }

  // Once.
  [[nodiscard]] future<T> get_future() const {
    require(state_ != nullptr, std::future_errc::no_state);
    require(!std::exchange(state_->has_future, true), std::future_errc::future_already_retrieved);
    return future<T>{state_};
  }

  // Calls `function` and stores what it returns or throws; once.
  template <class F>
  void set_from(F& function) {
    require(state_ != nullptr, std::future_errc::no_state);
    require(!state_->ready.is_set(), std::future_errc::promise_already_satisfied);
    std::exception_ptr error;
    try {
      if constexpr (std::is_void_v<T>) {
        function();
        state_->value.emplace();
      } else if constexpr (std::is_reference_v<T>) {
        state_->value.emplace(std::addressof(function()));
      } else {
        state_->value.emplace(function());
      }
    } catch (...) {
      error = std::current_exception();
    }
    // After the handler, which holds the exception as well: it is the reader's alone.
    if (error) return fail(std::move(error));
    state_->ready.set();
  }

 private:
  static void require(bool holds, std::future_errc otherwise) {
    if (!holds) throw std::future_error{otherwise};
  }
  friend class wring::workqueue;
  void comes_from(const detail::pool_workqueue& q) const noexcept { state_->ready.comes_from(q); }
  void fail(std::exception_ptr error) noexcept {
    state_->error = std::move(error);
    state_->ready.set();
  }
  std::shared_ptr<detail::future_state<T>> state_;
};

}  // namespace wring
