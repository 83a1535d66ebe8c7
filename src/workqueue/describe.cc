// SPDX-License-Identifier: Apache-2.0
// describe: a queue's state in numbers (WQ-137) and in words: what runs, for how long, and what waits in which order
// (WQ-143).
//
// Everything is looked at in one hold, so it belongs to one moment; symbols and names are looked up afterwards.

#include "base/clock.h"
#include "base/thread_state.h"
#include "workqueue/pool_workqueue.h"

#include <algorithm>
#include <string>
#include <vector>

namespace wring::detail {

namespace {

// Of those that wait, so many different callbacks in a row are named.
constexpr std::size_t groups_most = 16;

struct busy_worker {
  const sched::worker& by;
  const void* code;
  std::uint64_t began_ticks;  // 0: not known
};

// That many items in a row with the same callback, or what waits for the item before it.
struct group {
  const void* code;  // null: flushes of the item before
  unsigned items;
};

std::string seconds_since(std::uint64_t ticks) {
  const std::uint64_t now = base::clock::ticks();
  const std::uint64_t ms = now > ticks ? (now - ticks) / base::clock::ticks_per_us() / 1'000 : 0;
  const std::string digits = std::to_string(ms % 1'000);
  return std::to_string(ms / 1'000) + "." + std::string(3 - digits.size(), '0') + digits + " s";
}

}  // namespace

void pool_workqueue::describe(base::writer& out) {
  std::vector<busy_worker> inside;
  std::vector<group> groups;
  unsigned waiting = 0;
  {
    const visit hold{*this};
    drain_inbox();
    pool_->for_each_worker([&](const sched::worker& w) {
      if (w.serving.load(base::order::relaxed) != this) return false;
      const auto& x = *static_cast<const execution*>(w.frame);
      inside.push_back({w, w.code.load(base::order::relaxed), x.began_ticks.load(base::order::relaxed)});
      return false;
    });
    for (item* it = run_.front(); it != nullptr; it = item_list::next(*it)) {
      const std::uint64_t state = state_of(*it).load(base::order::relaxed);
      if ((state & item_state::marker) != 0) continue;
      const void* const code = (state & item_state::barrier) != 0 ? nullptr : reinterpret_cast<const void*>(it->entry);
      if (code != nullptr) ++waiting;
      if (groups.empty() || groups.back().code != code) groups.push_back({code, 0});
      ++groups.back().items;
    }
    const std::uint64_t w = word_.load(base::order::relaxed);
    out.put("queue '", name_, "': ", active_, " of max_active ", max_active_.load(base::order::relaxed),
            frozen_ ? " (frozen)" : "", (w & retired) != 0 ? " (left for another pool)" : "",
            plugged_ ? " (begins when the pool before it has ended)" : "", " in progress, ", waiting, " waiting",
            (w & closed) != 0 ? ", closed" : "",
            leader_.load(base::order::relaxed) != nullptr ? ", led by one worker" : "", ", ", unsigned{colours_used_},
            " flushes", rescue != nullptr && rescue->called.load(base::order::relaxed) ? ", its rescuer is called" : "",
            "\n");
  }
  for (const busy_worker& b : inside) {
    out.put("  runs ", base::describe_code(b.code), " in ", b.by.is_rescuer ? "its rescuer" : pool_->name_of(b.by));
    if (b.began_ticks != 0) out.put(" for ", seconds_since(b.began_ticks));
    if (const std::uint32_t kept = b.by.kept.load(base::order::relaxed); kept != 0)
      out.put(", keeps ", kept, " children of groups");
    out.put("\n");
  }
  for (std::size_t i = 0; i < groups.size() && i < groups_most; ++i) {
    const group& g = groups[i];
    out.put("  waits: ", g.items, " * ", g.code != nullptr ? base::describe_code(g.code) : "flush of the item before",
            "\n");
  }
  if (groups.size() > groups_most) out.put("  and ", groups.size() - groups_most, " more such lines\n");
}

workqueue_stats pool_workqueue::stats() {
  const visit hold{*this};
  const std::uint64_t completed = started_.load(base::order::relaxed);
  std::int64_t cpu_ns = cpu_ns_;
  if (active_ != 0) {
    pool_->for_each_worker([&](const sched::worker& w) {
      if (w.serving.load(base::order::relaxed) == this)
        cpu_ns += w.cpu.to_be_charged(base::cpu_time_of(w.thread_id.load(base::order::relaxed)));
      return false;
    });
  }
  return {.name = name_,
          .max_active = max_active_.load(base::order::relaxed),
          .active = active_,
          .congested = active_ >= limit_ && (!run_.empty() || head_of(word_.load(base::order::relaxed)) != nullptr),
          .items_started = completed + active_,
          .items_completed = completed,
          .cpu_time = std::chrono::nanoseconds{cpu_told_ns_ = std::max(cpu_told_ns_, cpu_ns)},
          .cpu_intensive = cpu_intensive_seen_,
          .repatriated = repatriated_,
          .cm_wakeups = cm_wakeups_,
          .exceptions = exceptions_.load(base::order::relaxed),
          .rejected = rejected_.load(base::order::relaxed),
          .maydays = rescue != nullptr ? rescue->maydays.load(base::order::relaxed) : 0,
          .rescued = rescue != nullptr ? rescue->rescued.load(base::order::relaxed) : 0};
}

std::size_t pool_workqueue::waiting() noexcept {
  const visit hold{*this};
  drain_inbox();
  std::size_t n = 0;
  for (item* it = run_.front(); it != nullptr; it = item_list::next(*it)) {
    const std::uint64_t state = state_of(*it).load(base::order::relaxed);
    if ((state & (item_state::marker | item_state::barrier)) == 0) ++n;
  }
  return n;
}

}  // namespace wring::detail
