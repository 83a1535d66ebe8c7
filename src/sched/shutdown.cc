// SPDX-License-Identifier: Apache-2.0
// shutdown: the end of a runtime's work, or a report of what keeps it from ending.

#include "base/parker.h"
#include "sched/core.h"
#include "sched/stuck.h"

#include <wring/blocking.h>

#include <algorithm>
#include <map>

namespace wring::detail {

namespace {

using namespace std::chrono_literals;

// Who waits looks again after so long, twice as long each time: an end is seen soon, a long wait costs little.
constexpr std::chrono::nanoseconds first_look = 20us;
constexpr std::chrono::nanoseconds longest_look = 5ms;

// The item that each worker was in when the shutdown began.
using sightings = std::map<const sched::worker*, std::uint64_t>;

template <class F>
void for_each_busy(sched::pools& pools, const F& call) {
  pools.for_each([&](sched::worker_pool& pool) { sched::for_each_inside(pool, call); });
}

sightings look_around(sched::pools& pools) {
  sightings seen;
  for_each_busy(pools, [&](sched::worker& w, sched::source&) { seen[&w] = w.turns.load(base::order::relaxed); });
  return seen;
}

// How long it has been in this item, at least.
std::chrono::nanoseconds time_in_item(const sched::worker& w, const sched::source::sight& s, const sightings& before,
                                      std::chrono::nanoseconds waited) {
  const std::uint64_t now = base::clock::ticks();
  if (s.began_ticks != 0 && now > s.began_ticks) {
    return std::chrono::nanoseconds{(now - s.began_ticks) * 1'000 / base::clock::ticks_per_us()};
  }
  const auto then = before.find(&w);
  const bool the_same = then != before.end() && then->second == w.turns.load(base::order::relaxed);
  return the_same ? waited : 0ns;
}

}  // namespace

bool core::ends_from_inside() {
  if (!any_component([](component& c) { return c.caller_is_inside(); })) return false;
  report_.misuse("a runtime is destroyed from one of its own callbacks, which would wait for itself; it is leaked");
  return true;
}

shutdown_report core::shutdown(std::chrono::nanoseconds limit) {
  const base::instant begin = base::clock::now();
  shutdown_report report{.complete = false, .stuck = {}, .queues = {}, .delayed = 0};
  if (any_component([](component& c) { return c.caller_is_inside(); })) {
    report_.misuse("shutdown() from a callback of the same runtime would wait for itself");
    return report;
  }
  const blocking_scope scope;                        // of a callback of another runtime
  shutting_down_.store(true, base::order::relaxed);  // before refuse(), whose locks and words hand it on
  for_each_component([](component& c) { c.refuse(); });

  const sightings before = look_around(pools_);
  base::parker nobody_unparks;
  const auto looked_after = [this] {
    if (!time_.has_thread()) time_.kick();  // whose thread was refused
    return at_rest();
  };
  bool rest = at_rest();
  if (!rest) start_for("shutdown() of a runtime whose queues are not empty");
  for (auto pause = first_look; !rest && base::clock::now() - begin < limit;
       pause = std::min(2 * pause, longest_look)) {
    nobody_unparks.park(std::min(base::clock::now() + pause, begin + limit));
    rest = looked_after();
  }
  if (rest) {
    const base::lock_guard lock{ending_mu_};
    end_threads();
    report.complete = true;
    report.delayed = time_.armed();
  } else {
    for_each_busy(pools_, [&](sched::worker& w, sched::source& s) {
      sched::source::sight seen;
      if (!s.look(w, seen)) return;
      const auto running = time_in_item(w, seen, before, base::clock::now() - begin);
      report.stuck.push_back(sched::stuck_in(w, s, seen, running));
    });
    for_each_component([&](component& c) { c.unfinished(report); });
  }
  return report;
}

}  // namespace wring::detail

namespace wring {

namespace {

std::string in_seconds(std::chrono::nanoseconds t) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(t).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

std::string shutdown_report::text() const {
  std::string all = complete ? "shut down" : "not shut down";
  if (delayed != 0) all += "; " + std::to_string(delayed) + " delayed items will not run";
  all += '\n';
  for (const stuck_callback& c : stuck) {
    all += c.worker + " (thread " + std::to_string(c.thread_id) + ") has been in a callback of '" + c.queue + "' for " +
           in_seconds(c.running) + ": " + c.callback;
    if (!c.description.empty()) all += " (" + c.description + ")";
    if (!c.waits_in.empty()) {
      all += ", waits in " + c.waits_in;
    } else if (!c.announced) {
      all += ", computes";
    }
    if (c.announced) all += ", announced as blocking";
    all += '\n';
  }
  for (const std::string& q : queues) all += "queue " + q + '\n';
  return all;
}

}  // namespace wring
