// SPDX-License-Identifier: Apache-2.0
// tally: how far a run has come, for the progress line and the summary.
//
// Monotonic counters, each exact in itself; no two belong to the same moment. Any thread, relaxed: nothing
// is decided by them.
#pragma once

#include <atomic>
#include <cstdint>

namespace wring::tools {

struct tally {
  std::atomic<std::uint64_t> files_found{0};  // by the source
  std::atomic<bool> all_found{false};
  std::atomic<std::uint64_t> files_started{0};  // opened, so that their size is known
  std::atomic<std::uint64_t> files_done{0};
  std::atomic<std::uint64_t> bytes_announced{0};  // sizes of the files started
  std::atomic<std::uint64_t> bytes_done{0};
};

}  // namespace wring::tools
