// SPDX-License-Identifier: Apache-2.0
#include "sum/batch.h"

#include <algorithm>

namespace wring::tools {

void batch::seal(std::size_t root_size) {
  names_.shrink_to_fit();
  entries_.shrink_to_fit();
  expected_.shrink_to_fit();
  digests_.resize(entries_.size() * digest_size_);
  root_size_ = root_size;
  if (root_size == 0) return;
  // The names are sorted, so what the first and the last have in common, all have.
  const std::string_view first = name(entries_.front());
  const std::string_view last = name(entries_.back());
  const auto common = static_cast<std::size_t>(std::ranges::mismatch(first, last).in1 - first.begin());
  base_size_ = std::max(root_size, first.substr(0, common).rfind('/') + 1);
}

}  // namespace wring::tools
