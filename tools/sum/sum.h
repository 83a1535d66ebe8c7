// SPDX-License-Identifier: Apache-2.0
// sum: `wring sum`, from the command line to the exit status. README.md has the picture.
#pragma once

namespace wring::tools {

// argv[0] is "sum". Returns the exit status, or ends the process when it was interrupted.
int run_sum(int argc, const char* const* argv);

}  // namespace wring::tools
