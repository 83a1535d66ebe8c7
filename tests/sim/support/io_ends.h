// SPDX-License-Identifier: Apache-2.0
// io_ends: what simulations of I/O worker pools count: each item has one end; and a call that waits.
#pragma once

#include "support/sim_test.h"

#include "base/parker.h"
#include "base/sync.h"

#include <wring/io_pool.h>

#include <string>
#include <system_error>
#include <vector>

namespace wring::sim::test {

// What a call waits for: a file that is not ready, say.
class device {
 public:
  void ready() noexcept { word_.store(1, base::order::release); }  // pairs with interruptee::call()
  long use(io_call& call) noexcept { return call.system_call(0, reinterpret_cast<long>(&word_)); }

 private:
  base::atomic<std::uint32_t> word_{0};
};

// Each item has one end: it has run, or failed.
class ends {
 public:
  explicit ends(std::size_t items) : ran_(items), failed_(items) {}
  void ran(std::size_t i) { check(++ran_.at(i) == 1 && failed_.at(i) == 0, "an item runs once", i); }
  auto done(std::size_t i) {
    return [this, i](std::error_code e) {
      if (!e) {
        check(ran_.at(i) == 1, "who is told that it has run, has run", i);
      } else {
        check(ran_.at(i) == 0, "who is told that it has not run, has not", i);
        ++failed_.at(i);
      }
      ++over_;
    };
  }
  [[nodiscard]] bool has_run(std::size_t i) const { return ran_.at(i) == 1; }
  [[nodiscard]] std::size_t over() const noexcept { return over_; }
  [[nodiscard]] std::size_t size() const noexcept { return ran_.size(); }
  void check_all() const { check(over_ == ran_.size(), "each item is over once", over_); }

 private:
  std::vector<int> ran_;
  std::vector<int> failed_;
  std::size_t over_ = 0;
};

// The calling thread sleeps so long.
inline void pass(std::chrono::nanoseconds time) {
  base::parker nobody_wakes_this;
  const base::instant then = base::clock::now() + time;
  while (base::clock::now() < then) nobody_wakes_this.park(then);
}

inline const auto all_profiles = testing::Values(profile::none, profile::usual, profile::hostile);
inline std::string name_of(const testing::TestParamInfo<profile>& faults) {
  switch (faults.param) {
    case profile::none: return "none";
    case profile::usual: return "usual";
    default: return "hostile";
  }
}

}  // namespace wring::sim::test
