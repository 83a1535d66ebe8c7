// SPDX-License-Identifier: Apache-2.0
// main: the command `wring`; finds the subcommand and hands over to it.
#include "sum/sum.h"

#include <fmt/format.h>
#include <wring/version.h>

#include <cstdio>
#include <string_view>

namespace {

constexpr int usage_error = 2;

constexpr std::string_view help = R"(Usage: wring COMMAND [OPTION]...

Tools made with libwring, work queues over managed threads.

Commands:
  sum    checksums of whole trees, as sha256sum prints them

'wring COMMAND --help' explains a command.

  --help     this text
  --version  version of wring

Examples:
  wring sum /usr/lib > lib.sums    checksums of a whole tree
  wring sum -c lib.sums            check them
)";

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "sum") return wring::tools::run_sum(argc - 1, argv + 1);
  if (command == "--help" || command == "-h" || command == "help") {
    fmt::print("{}", help);
    return 0;
  }
  if (command == "--version") {
    fmt::print("wring {}\n", wring::version());
    return 0;
  }
  if (command.empty()) {
    fmt::print(stderr, "{}", help);
  } else {
    fmt::print(stderr, "wring: unknown command: {}\nTry 'wring --help' for more.\n", command);
  }
  return usage_error;
}
