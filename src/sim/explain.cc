// SPDX-License-Identifier: Apache-2.0
#include "sim/explain.h"

#include "sim/shrink.h"

#include <cstdio>
#include <cstdlib>

namespace wring::sim {

namespace {

constexpr std::size_t longest_schedule = 2000;  // characters; longer ones are no help on a command line

frame& the_frame() noexcept {
  static frame f;  // set once by the test program; no run depends on it
  return f;
}

std::string hex(std::uint64_t v) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(v));
  return text;
}

std::string trace_line(const run_result& r) {
  return "trace " + hex(r.hash) + ", " + std::to_string(r.steps) + " steps\n";
}

std::string replay_line(const std::string& variable, const std::string& value) {
  return "replay: " + variable + '=' + value + ' ' + test_command() + '\n';
}

// All that a person needs: what, where everybody stood, the last steps, and the commands. What failed comes
// last again, because that is where the eye is when a long report has scrolled by.
void describe(const simulation& s, const run_result& r, const std::string& head, const std::string& replays,
              report& out) {
  const std::string failed = "FAILED " + r.what + '\n';
  out.failure = failed + head + r.waiting + s.columns() + failed + replays;
}

bool same_course(const run_result& a, const run_result& b) noexcept { return a.hash == b.hash && a.kind == b.kind; }

void not_deterministic(const run_result& first, const run_result& then, const std::string& replays, report& out) {
  const auto line = [](const run_result& r) { return (r.what.empty() ? "no failure" : r.what) + ", " + trace_line(r); };
  out.what = "not deterministic: the same decisions led to another course the second time";
  out.failure = out.what + "\nfirst: " + line(first) + first.waiting + "then:  " + line(then) + then.waiting + replays;
}

// Leaves in `out` the least schedule that fails alike; false if deviations alone do not lead to the failure.
bool describe_shrunk(simulation& s, const body_function& body, const run_result& failed,
                     std::vector<deviation> schedule, std::string head, std::string replays, report& out) {
  const shrunk small = shrink(s, body, failed, std::move(schedule));
  if (!small.reproduced) return false;
  s.choices().from_list(&small.list);
  const run_result least = s.run(body, true);
  out.schedule = to_text(small.list);
  head += "shrunk from " + std::to_string(small.before) + " to " + std::to_string(small.list.size()) +
          " deviations in " + std::to_string(small.tries) + " tries; the steps are those of the shrunk run\n";
  if (out.schedule.size() < longest_schedule) replays += replay_line("WRING_SIM_AT", '\'' + out.schedule + '\'');
  describe(s, least, head, replays, out);
  return true;
}

}  // namespace

void set_frame(frame f) noexcept { the_frame() = f; }

std::string test_command() {
  return the_frame().command != nullptr ? the_frame().command() : "(the command that runs this test)";
}

void finish_report(const simulation& s, report& r) {
  std::string missing;
  if (!r.failed && !s.plants_all_met(missing)) {
    r.failed = true;
    r.what = r.failure = "no code ever asked for the plant \"" + missing + '"';
  }
  if (the_frame().finished != nullptr) the_frame().finished(r);
}

void explain_seed(simulation& s, const body_function& body, std::uint64_t seed, const run_result& failed, bool shrinks,
                  report& out) {
  out.failed = true;
  out.failing_seed = seed;
  out.what = failed.what;
  const std::string replays = replay_line("WRING_SIM_SEED", std::to_string(seed));
  std::vector<deviation> schedule;
  s.choices().from_seed(seed);
  s.choices().record_into(&schedule);
  const run_result again = s.run(body, true);
  s.choices().record_into(nullptr);
  if (!same_course(failed, again)) return not_deterministic(failed, again, replays, out);
  const std::string head =
      "seed " + std::to_string(seed) + ", strategy " + s.strategy_name() + ", " + trace_line(failed);
  describe(s, again, head, replays, out);
  if (shrinks) describe_shrunk(s, body, failed, std::move(schedule), head, replays, out);
}

void explain_schedule(simulation& s, const body_function& body, const run_result& failed,
                      std::vector<deviation> schedule, report& out) {
  out.failed = true;
  out.what = failed.what;
  const std::string head = "run " + std::to_string(out.seeds + 1) + " of the search, " + trace_line(failed);
  if (!describe_shrunk(s, body, failed, std::move(schedule), head, "", out)) {
    not_deterministic(failed, {}, "", out);
  }
}

bool run_schedule_of_environment(simulation& s, const body_function& body, report& out) {
  const char* text = std::getenv("WRING_SIM_AT");
  if (text == nullptr) return false;
  const std::vector<deviation> list = deviations_of(text);
  s.choices().from_list(&list);
  const run_result r = s.run(body, true);
  out.add(s.counted());
  out.hash = r.hash;
  out.schedule = to_text(list);
  if (r.kind != failure_kind::none) {
    out.failed = true;
    out.what = r.what;
    describe(s, r, trace_line(r), replay_line("WRING_SIM_AT", '\'' + out.schedule + '\''), out);
  }
  finish_report(s, out);
  return true;
}

}  // namespace wring::sim
