// SPDX-License-Identifier: Apache-2.0
// percentile: the value that a part of all values does not exceed; median: between the two middle ones.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace bench {

// `part` 0 is the least, 0.5 the median, 1 the greatest. Reorders the values, of which there is at least one.
inline double percentile(std::vector<double>& values, double part) {
  const auto index = static_cast<std::size_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index), values.end());
  return values[index];
}

// 0 if there are none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace bench
