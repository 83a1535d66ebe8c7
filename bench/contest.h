// SPDX-License-Identifier: Apache-2.0
// contest: the same workload on several contestants, in interleaved rounds, each measurement in a process
// of its own.
//
// A benchmark program asks one question. It names its workloads and hands everything to run_contest(),
// which measures A B C A' in turn, round after round (A' is one of them once more, so that the noise of the
// machine is known), checks that all counted and hashed the same, prints a table, and writes the raw samples
// as JSON if asked to. A workload may have a reference whose best size is looked for first, and targets, which
// the report judges. README.md has the method and the reasons.
// Threads: the program is single-threaded here; contestants start theirs in the forked process.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace bench {

// What one measurement found. Crosses a pipe, hence trivially copyable.
struct sample {
  std::uint64_t executed = 0;
  std::uint64_t hash = 0;
  std::array<double, 4> values{};  // one for each of the workload's metrics
};

struct contestant {
  std::string name;  // "naive", "onetbb", "wring": the rows of the table
  std::function<sample()> measure;
  // If not 0, the question is whether it answers at all: no answer for so long is one, and counts as "hangs".
  std::chrono::milliseconds hangs_after{0};
};

// One contestant in several sizes, the smallest first. The smallest one that is within 2 % of the best by the first
// metric takes part in the rounds, under the name given here.
struct sweep {
  std::string name;
  std::vector<contestant> sizes;
};

// What a contestant's metric may be: so many times the reference's, and so much more. Where `most` and `least` are
// given, what is allowed is never above or below.
struct target {
  std::string contestant{};
  std::size_t metric = 0;
  double times = 0;
  std::string reference{};  // a contestant; may be the same one, with another metric
  std::size_t reference_metric = 0;
  double plus = 0;
  double least = 0;
  double most = std::numeric_limits<double>::infinity();
};

struct workload {
  std::string name;
  std::vector<std::string> metrics;  // "ns/item", "us start p50", ...
  std::uint64_t executed = 0;        // what every contestant has to find
  std::uint64_t hash = 0;
  std::vector<contestant> contestants;  // the first that always answers also runs against itself
  sweep reference{};                    // comes before them, if it has any sizes
  std::vector<target> targets{};
};

struct contest_options {
  bool quick = false;           // tiny sizes, one round, no times: checks hashes only
  unsigned rounds = 5;          // of each workload
  std::string json;             // file for the raw samples
  std::string only_workload;    // part of a workload's name
  std::string only_contestant;  // a contestant's name
};

// Exits with a usage text when the arguments make no sense.
contest_options parse_arguments(int argc, char** argv, const char* question);

// How many threads every pool gets: WRING_CPUS, else the affinity mask.
unsigned planned_cpus();

// The exit status: 0, or 1 when a contestant hung, died, or found another count or hash than expected.
int run_contest(const contest_options& options, const std::string& name, const char* question,
                const std::vector<workload>& workloads);

}  // namespace bench
