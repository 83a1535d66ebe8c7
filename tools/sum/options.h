// SPDX-License-Identifier: Apache-2.0
// options: what the user asked `wring sum` for.
#pragma once

#include "sum/algorithm.h"

#include <optional>
#include <string>
#include <vector>

namespace wring::tools {

struct sum_options {
  const algorithm* hash = nullptr;
  std::vector<std::string> paths;  // or lists, when `check`
  bool check = false;
  bool json = false;
  bool zero = false;     // lines end with a zero byte, names are not escaped
  bool progress = true;  // if standard error is a terminal
  bool summary = false;
  // For check, as in sha256sum.
  bool quiet = false;        // no line for what is right
  bool status_only = false;  // no lines at all
  bool strict = false;       // improperly formatted lines count as failure
  bool warn = false;         // name improperly formatted lines
  bool ignore_missing = false;
};

// Reads the command line after "wring sum". No value: the status to exit with is in `status`, and what there
// was to say has been said.
[[nodiscard]] std::optional<sum_options> parse_sum_options(int argc, const char* const* argv, int& status);

}  // namespace wring::tools
