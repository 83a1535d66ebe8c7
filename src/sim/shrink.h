// SPDX-License-Identifier: Apache-2.0
// shrink: takes deviations away from a failing run until each one that is left is needed.
#pragma once

#include "sim/simulation.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace wring::sim {

struct shrunk {
  bool reproduced = false;  // the recorded list alone fails in the same way
  std::size_t before = 0;
  std::size_t tries = 0;
  std::vector<deviation> list;
};

shrunk shrink(simulation& s, const std::function<void()>& body, const run_result& failed, std::vector<deviation> found);

}  // namespace wring::sim
