// SPDX-License-Identifier: Apache-2.0
// source: where the names come from: a walk over trees, or lists to be checked.
#pragma once

#include "sum/batch.h"

#include <cstddef>

namespace wring::tools {

class source {
 public:
  virtual ~source() = default;
  // Adds the next names in output order to an empty batch, about `count_max` of them at most, and seals it.
  // An empty batch: there are no more. One thread at a time.
  virtual void fill(batch& out, std::size_t count_max) = 0;
};

// A batch of long names is closed at this size, so that what waits is counted finely enough.
inline constexpr std::size_t batch_names_size_max = std::size_t{64} << 10;

}  // namespace wring::tools
