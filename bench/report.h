// SPDX-License-Identifier: Apache-2.0
// report: the table people read and the JSON file that keeps every raw sample.
//
// Each workload has a row for each contestant and two columns for each metric: the median, and "wring/it", wring
// divided by that contestant within one round, so that a slow minute hits both. Shown are the median over the
// rounds and, in brackets, the least and the greatest. Below 1 means wring needs less. The row of the
// contestant that ran twice has it divided by itself there (A/A): the noise. Below the table are the targets: what was
// found, what is allowed, and whether that is met.
#pragma once

#include "contest.h"
#include "machine.h"

#include <string>
#include <vector>

namespace bench {

struct timed_sample {
  unsigned round;
  std::string contestant;
  bool hangs;  // no answer within the contestant's bound; `found` is empty
  sample found;
};

struct results {
  workload work;
  std::vector<timed_sample> samples;
  std::vector<timed_sample> sweep;  // of the sizes of the reference, before the rounds
  std::string chosen;               // of these
  double others_cpus;               // CPUs that other processes used meanwhile
};

struct contest_record {
  std::string bench;
  const char* question;
  contest_options options;
  bench::machine machine;
  std::vector<results> workloads;
};

// The name of a contestant's second lane.
std::string again(const std::string& contestant);

void print_heading(const contest_record& record);
// `good`: all contestants answered and agreed.
void print_workload(const contest_record& record, const results& of, bool good);

// To options.json. False when that file cannot be written.
bool write_json(const contest_record& record);

}  // namespace bench
