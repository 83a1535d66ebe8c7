// SPDX-License-Identifier: Apache-2.0
// explain: what a failed run looks like to a person, and how it is run again.
#pragma once

#include "sim/simulation.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace wring::sim {

using body_function = std::function<void()>;

// The test's command line, from the frame.
std::string test_command();
// Tells the frame that a report is finished; adds a failure if a plant was switched on that no code asks for.
void finish_report(const simulation& s, report& r);

// Runs the seed again with its trace kept. If it takes another course that is the report, else the failure is
// shrunk and described.
void explain_seed(simulation& s, const body_function& body, std::uint64_t seed, const run_result& failed, bool shrinks,
                  report& out);
// The same for a run that is known by its deviations.
void explain_schedule(simulation& s, const body_function& body, const run_result& failed,
                      std::vector<deviation> schedule, report& out);
// With WRING_SIM_AT set: runs that schedule, finishes the report and returns true.
bool run_schedule_of_environment(simulation& s, const body_function& body, report& out);

}  // namespace wring::sim
