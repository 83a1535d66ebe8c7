// SPDX-License-Identifier: Apache-2.0

#include "sched/stuck.h"

#include "base/thread_state.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace wring::sched {

namespace {

// A look at a thread reads some files.
constexpr unsigned looked_at_most = 64;
constexpr std::size_t told_most = 4;

// What of wring the worker waits for; empty: nothing.
std::string wait_of(const worker& w) {
  const char* const what = w.waits_for.load(base::order::acquire);  // pairs with wait_note
  if (what == nullptr) return {};
  const source* const of = w.waits_on.load(base::order::relaxed);
  return of == nullptr ? what : std::string{what} + " of '" + of->name() + "'";
}

}  // namespace

stuck_callback stuck_in(worker& w, const source& s, const source::sight& seen, std::chrono::nanoseconds running) {
  stuck_callback c{.worker = w.pool.name_of(w),
                   .thread_id = w.thread_id.load(base::order::relaxed),
                   .queue = s.name(),
                   .callback = base::describe_code(seen.code),
                   .description = w.description_text(),
                   .running = running,
                   .announced = (w.out_of_count.load(base::order::relaxed) & worker::blocked) != 0,
                   .waits_in = wait_of(w)};
  if (!c.waits_in.empty()) return c;
  const base::thread_state state = base::look_at_thread(c.thread_id);
  if (state.state != 'R') c.waits_in = !state.call.empty() ? state.call : state.kernel_function;
  return c;
}

std::string crowd_in(const worker_pool& pool) {
  std::map<std::string, unsigned> alike;
  unsigned all = 0;
  for_each_inside(pool, [&](worker& w, source& s) {
    source::sight seen;
    if (!s.look(w, seen) || ++all > looked_at_most) return;
    const stuck_callback c = stuck_in(w, s, seen, {});
    ++alike["in " + c.callback + " of '" + c.queue + "', " +
            (c.waits_in.empty() ? "computing" : "waiting in " + c.waits_in)];
  });
  std::vector<std::pair<std::string, unsigned>> crowds{alike.begin(), alike.end()};
  std::ranges::stable_sort(crowds, std::greater{}, &std::pair<std::string, unsigned>::second);
  std::string text;
  unsigned told = 0;
  for (std::size_t i = 0; i < std::min(crowds.size(), told_most); ++i) {
    text += (i == 0 ? "" : "; ") + std::to_string(crowds[i].second) + " " + crowds[i].first;
    told += crowds[i].second;
  }
  if (all > told) text += "; " + std::to_string(all - told) + " others";
  return text;
}

}  // namespace wring::sched
