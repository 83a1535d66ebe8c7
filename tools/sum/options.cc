// SPDX-License-Identifier: Apache-2.0
#include "sum/options.h"

#include <fmt/format.h>
#include <wring/version.h>

#include <CLI/CLI.hpp>
#include <cstdio>

namespace wring::tools {

namespace {

constexpr int usage_error = 2;

constexpr std::string_view help = R"(Usage: wring sum [OPTION]... PATH...
  or:  wring sum -c [OPTION]... LIST...

Prints the checksum of every file: of each PATH that is a file, and of all regular files below each PATH
that is a directory, sorted by name. "-" is standard input. The lines are those of sha256sum and its kin.

  -a, --algorithm NAME  sha256 (default), sha512, blake2b or xxh128
  -c, --check           read checksums from each LIST ("-": standard input) and check the files named there
      --json            one JSON object per line, for programs; a name that is not UTF-8 comes as name_b64
  -z, --zero            end each line with a zero byte and do not escape names
      --summary         at the end, tell on standard error how much was done and how
      --no-progress     no progress line (there is none anyway unless standard error is a terminal)
  -h, --help            this text
      --version         version of wring

For --check, as in sha256sum:
      --quiet           no line for a file that is right
      --status          no lines at all, the exit status tells
      --strict          fail if a line of the list is not properly formatted
  -w, --warn            tell which lines these are
      --ignore-missing  pass over files that do not exist

Symbolic links inside of a tree are not followed. FIFOs, sockets and devices inside of a tree are not read
but reported. Exit status: 0 if all is well, 1 if a file could not be read or did not match, 2 for a mistake
on the command line, 130 after Ctrl-C.

Examples:
  wring sum /usr/lib > lib.sums              checksums of a whole tree
  wring sum -c --quiet lib.sums              what has changed since?
  wring sum -a xxh128 --summary photos       fast, without protection against forgers
  tar c src | wring sum -                    of what comes through a pipe
  wring sum --json . | jq -r .digest         for programs
  diff <(cd a && wring sum .) <(cd b && wring sum .)    are two trees the same?
)";

std::string algorithm_names() {
  std::string names;
  for (const algorithm& each : all_algorithms()) {
    if (!names.empty()) names += ", ";
    names += each.name;
  }
  return names;
}

std::optional<sum_options> misuse(int& status, std::string_view text) {
  fmt::print(stderr, "wring sum: {}\nTry 'wring sum --help' for more.\n", text);
  status = usage_error;
  return std::nullopt;
}

}  // namespace

std::optional<sum_options> parse_sum_options(int argc, const char* const* argv, int& status) {
  sum_options options;
  std::string algorithm_name = "sha256";
  bool no_progress = false;
  bool wants_help = false;
  bool wants_version = false;

  // The PATHs are taken as what is left over: CLI11 would take a positional "[a]" apart.
  CLI::App line{"checksums of whole trees", "wring sum"};
  line.set_help_flag();
  line.allow_extras();
  line.add_flag("-h,--help", wants_help);
  line.add_flag("--version", wants_version);
  line.add_option("-a,--algorithm", algorithm_name)->take_last();
  line.add_flag("-c,--check", options.check);
  line.add_flag("--json", options.json);
  line.add_flag("-z,--zero", options.zero);
  line.add_flag("--summary", options.summary);
  line.add_flag("--no-progress", no_progress);
  line.add_flag("--quiet", options.quiet);
  line.add_flag("--status", options.status_only);
  line.add_flag("--strict", options.strict);
  line.add_flag("-w,--warn", options.warn);
  line.add_flag("--ignore-missing", options.ignore_missing);
  try {
    line.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return misuse(status, error.what());
  }
  if (wants_help) {
    fmt::print("{}", help);
    return std::nullopt;
  }
  if (wants_version) {
    fmt::print("wring {}\n", wring::version());
    return std::nullopt;
  }

  options.progress = !no_progress;
  bool only_paths = false;
  for (std::string& each : line.remaining()) {
    if (!only_paths && each == "--") {
      only_paths = true;
    } else if (!only_paths && each.size() > 1 && each.starts_with('-')) {
      return misuse(status, fmt::format("unknown option: {}", each));
    } else {
      options.paths.push_back(std::move(each));
    }
  }
  options.hash = find_algorithm(algorithm_name);
  if (options.hash == nullptr) {
    return misuse(status, fmt::format("unknown algorithm: {} (there are {})", algorithm_name, algorithm_names()));
  }
  if (options.paths.empty()) {
    return misuse(status, fmt::format("name a {}, or - for standard input", options.check ? "LIST" : "PATH"));
  }
  if (options.zero && (options.check || options.json)) {
    return misuse(status, "--zero goes neither with --check nor with --json");
  }
  if (!options.check &&
      (options.quiet || options.status_only || options.strict || options.warn || options.ignore_missing)) {
    return misuse(status, "--quiet, --status, --strict, --warn and --ignore-missing are for --check");
  }
  return options;
}

}  // namespace wring::tools
