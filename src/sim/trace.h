// SPDX-License-Identifier: Apache-2.0
// trace: what happened, as a hash of the whole run and as columns of its end.
#pragma once

#include "sim/door.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace wring::sim {

enum class operation : std::uint8_t {
  load,
  store,
  exchange,
  modify,
  compare,
  compare_failed,
  fence_light,
  fence_heavy,
  futex_wait,
  futex_again,
  futex_woken,
  futex_spurious,
  futex_interrupted,
  futex_timeout,
  futex_wake,
  lock,
  lock_wait,
  try_lock,
  unlock,
  relax,
  create,
  create_refused,
  join,
  join_too_early,
  finish,
  stall,
  spend,
  choose,
  look,
  timer,
  mark,
};
const char* to_text(operation op) noexcept;

struct trace_step {
  std::uint64_t step;
  std::uint32_t thread;
  operation what;
  bool deviated;
  std::uint32_t place;   // number of the word, 0 if none
  std::uint32_t detail;  // how stale, how many woken, which thread
  const void* address;
  std::uint64_t value;
  here at;
};

class trace {
 public:
  static constexpr std::size_t window = 60;  // steps shown

  void start_run(bool keep_steps);
  // Values may be addresses, so they are shown and not hashed.
  void add(const trace_step& s) {
    hash_ = (hash_ ^ (std::uint64_t{s.thread} << 48 | std::uint64_t{static_cast<std::uint8_t>(s.what)} << 40 |
                      std::uint64_t{s.detail} << 20 | s.place)) *
            0x9E3779B97F4A7C15ULL;
    hash_ ^= hash_ >> 29;
    if (keep_) steps_.push_back(s);
  }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

  struct name_of {
    const void* address;
    const char* name;
  };
  // One column a thread; `threads` are the names by number.
  [[nodiscard]] std::string columns(const std::vector<std::string>& threads, const std::vector<name_of>& names) const;

 private:
  bool keep_ = false;
  std::uint64_t hash_ = 0;
  std::vector<trace_step> steps_;
};

}  // namespace wring::sim
