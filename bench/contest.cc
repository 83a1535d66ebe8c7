// SPDX-License-Identifier: Apache-2.0
#include "contest.h"

#include "machine.h"
#include "percentile.h"
#include "report.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <utility>

namespace bench {

namespace {

constexpr std::chrono::milliseconds patience{120'000};  // a measurement takes seconds; this long is an error

enum class verdict { answered, hangs, broken };

// Forks, measures in the child, and receives the sample, which is `found` only if it answered.
verdict measure_in_own_process(const contestant& who, const std::string& where, sample& found) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    close(ends[0]);
    try {
      const sample mine = who.measure();
      const bool sent = write(ends[1], &mine, sizeof mine) == static_cast<ssize_t>(sizeof mine);
      std::fflush(nullptr);
      _exit(sent ? 0 : 1);  // without static destructors: what a pool does at exit is not the question
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s, %s: %s\n", where.c_str(), who.name.c_str(), error.what());
      _exit(1);
    }
  }
  close(ends[1]);
  pollfd answer{.fd = ends[0], .events = POLLIN, .revents = 0};
  const bool may_hang = who.hangs_after.count() != 0;
  const auto limit = may_hang ? who.hangs_after : patience;
  const bool in_time = poll(&answer, 1, static_cast<int>(limit.count())) == 1;
  const bool received = in_time && read(ends[0], &found, sizeof found) == static_cast<ssize_t>(sizeof found);
  close(ends[0]);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (received) return verdict::answered;
  if (!in_time && may_hang) return verdict::hangs;
  if (!in_time) {
    std::fprintf(stderr, "%s: %s HUNG for %d s\n", where.c_str(), who.name.c_str(),
                 static_cast<int>(limit.count() / 1000));
  } else if (WIFSIGNALED(status)) {
    std::fprintf(stderr, "%s: %s DIED: %s\n", where.c_str(), who.name.c_str(), strsignal(WTERMSIG(status)));
  } else {
    std::fprintf(stderr, "%s: %s FAILED with status %d\n", where.c_str(), who.name.c_str(), WEXITSTATUS(status));
  }
  return verdict::broken;
}

bool right(const workload& work, const std::string& who, const sample& found) {
  if (found.executed == work.executed && found.hash == work.hash) return true;
  std::fprintf(stderr,
               "%s: %s is WRONG: executed %" PRIu64 ", hash %016" PRIx64 "; expected %" PRIu64 ", %016" PRIx64 "\n",
               work.name.c_str(), who.c_str(), found.executed, found.hash, work.executed, work.hash);
  return false;
}

// The contestants of a workload that were asked for, and one of them once more.
std::vector<contestant> lane_order(const contest_options& options, const workload& work) {
  std::vector<contestant> lanes;
  for (const contestant& each : work.contestants) {
    if (options.only_contestant.empty() || options.only_contestant == each.name) lanes.push_back(each);
  }
  if (options.quick || !options.only_contestant.empty()) return lanes;
  for (const contestant& each : work.contestants) {
    if (each.hangs_after.count() != 0) continue;
    lanes.push_back(each);
    lanes.back().name = again(each.name);
    break;
  }
  return lanes;
}

void show_progress(const std::string& text) {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K%s", text.c_str());
}

// Measures one lane once. False: no answer, or a wrong one.
bool run_lane(const workload& work, const contestant& who, unsigned round, std::vector<timed_sample>& out) {
  show_progress(work.name + ": round " + std::to_string(round + 1) + ", " + who.name + " ");
  sample found;
  const verdict answer = measure_in_own_process(who, work.name, found);
  show_progress("");
  if (answer == verdict::broken || (answer == verdict::answered && !right(work, who.name, found))) return false;
  out.push_back({round, who.name, answer == verdict::hangs, found});
  return true;
}

// By the workload's first metric, over the rounds of the sweep so far.
double middle_of(const std::vector<timed_sample>& samples, const contestant& who) {
  std::vector<double> values;
  for (const timed_sample& each : samples) {
    if (each.contestant == who.name) values.push_back(each.found.values[0]);
  }
  return median(std::move(values));
}

// The smallest size that is within `margin` of the best.
const contestant& smallest_within(double margin, const std::vector<contestant>& sizes,
                                  const std::vector<timed_sample>& samples) {
  double best = std::numeric_limits<double>::infinity();
  for (const contestant& size : sizes) best = std::min(best, middle_of(samples, size));
  return *std::find_if(sizes.begin(), sizes.end(),
                       [&](const contestant& size) { return middle_of(samples, size) <= best * margin; });
}

// Measures all sizes once and twice more those that came near the best, and puts the one to be compared with before
// the other contestants.
bool choose_size(const contest_options& options, results& out) {
  constexpr unsigned rounds = 3;
  constexpr double near = 1.25;
  constexpr double as_good = 1.02;
  std::vector<contestant> sizes = out.work.reference.sizes;
  if (options.quick) sizes.resize(1);
  for (unsigned round = 0; round < (options.quick ? 1 : rounds); ++round) {
    for (const contestant& size : sizes) {
      if (!run_lane(out.work, size, round, out.sweep)) return false;
    }
    const double limit = near * middle_of(out.sweep, smallest_within(1, sizes, out.sweep));
    std::erase_if(sizes, [&](const contestant& size) { return middle_of(out.sweep, size) > limit; });
  }
  out.chosen = smallest_within(as_good, sizes, out.sweep).name;
  const auto chosen =
      std::find_if(sizes.begin(), sizes.end(), [&](const auto& size) { return size.name == out.chosen; });
  chosen->name = out.work.reference.name;
  out.work.contestants.insert(out.work.contestants.begin(), *chosen);
  return true;
}

// Whether what it is compared with takes part at all.
bool has_sweep(const contest_options& options, const workload& work) {
  return !work.reference.sizes.empty() &&
         (options.only_contestant.empty() || options.only_contestant == work.reference.name);
}

// Who hung once is not asked again.
bool known_to_hang(const results& of, const std::string& contestant) {
  return std::any_of(of.samples.begin(), of.samples.end(),
                     [&](const timed_sample& each) { return each.hangs && each.contestant == contestant; });
}

// Measures one workload. False when a contestant did not answer, or not rightly.
bool run_workload(const contest_options& options, results& out) {
  if (has_sweep(options, out.work) && !choose_size(options, out)) return false;
  const workload& work = out.work;
  const std::vector<contestant> lanes = lane_order(options, work);
  const unsigned rounds = options.quick ? 1 : options.rounds;
  for (unsigned round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      // Each round begins with another contestant, so that nobody always follows the same one.
      const contestant& who = lanes[(i + round) % lanes.size()];
      if (known_to_hang(out, who.name)) continue;
      if (!run_lane(work, who, round, out.samples)) return false;  // more rounds would only take longer
    }
  }
  return true;
}

[[noreturn]] void usage(const char* program, const char* question, int status) {
  std::fprintf(
      status == 0 ? stdout : stderr,
      "%s\n\n"
      "usage: %s [--quick] [--rounds N] [--json FILE] [--workload PART] [--contestant NAME]\n"
      "  --quick            tiny sizes, one round; checks counts and hashes, shows no times\n"
      "  --rounds N         of each workload, default 5\n"
      "  --json FILE        write machine and raw samples\n"
      "  --workload PART    only workloads whose name contains PART\n"
      "  --contestant NAME  only this one (for a profiler): naive, onetbb, asio, libuv, glib, wring, or another row\n",
      question, program);
  std::exit(status);
}

}  // namespace

contest_options parse_arguments(int argc, char** argv, const char* question) {
  contest_options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help") usage(argv[0], question, 0);
    if (word == "--quick") {
      options.quick = true;
      continue;
    }
    if (i + 1 == argc) usage(argv[0], question, 2);
    const char* const value = argv[++i];
    if (word == "--rounds") {
      options.rounds = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
      if (options.rounds == 0) usage(argv[0], question, 2);
    } else if (word == "--json") {
      options.json = value;
    } else if (word == "--workload") {
      options.only_workload = value;
    } else if (word == "--contestant") {
      options.only_contestant = value;
    } else {
      usage(argv[0], question, 2);
    }
  }
  return options;
}

unsigned planned_cpus() {
  if (const char* const text = std::getenv("WRING_CPUS")) {
    const unsigned long cpus = std::strtoul(text, nullptr, 10);
    if (cpus >= 1 && cpus <= 4096) return static_cast<unsigned>(cpus);
  }
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&allowed));
}

int run_contest(const contest_options& options, const std::string& name, const char* question,
                const std::vector<workload>& workloads) {
  contest_record record{name, question, options, describe_machine(), {}};
  print_heading(record);
  bool all_right = true;
  for (const workload& work : workloads) {
    if (work.name.find(options.only_workload) == std::string::npos) continue;
    record.workloads.push_back({.work = work, .samples = {}, .sweep = {}, .chosen = {}, .others_cpus = 0});
    results& mine = record.workloads.back();
    const load_meter meter;
    const bool good = run_workload(options, mine);
    mine.others_cpus = meter.cpus_used_by_others();
    print_workload(record, mine, good);
    all_right = all_right && good;
  }
  if (!options.json.empty() && !write_json(record)) {
    std::fprintf(stderr, "%s: cannot write %s\n", name.c_str(), options.json.c_str());
    return 1;
  }
  return all_right ? 0 : 1;
}

}  // namespace bench
