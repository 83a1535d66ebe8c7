// SPDX-License-Identifier: Apache-2.0

#include "sched/detector.h"

#include "base/thread_watch.h"

#include <memory>
#include <string_view>
#include <utility>

namespace wring::sched {

namespace {
constexpr detection kinds[] = {detection::announced, detection::cpu_clock, detection::stat, detection::perf};
}

const char* name_of(detection kind) noexcept {
  switch (kind) {
    case detection::automatic: return "automatic";
    case detection::announced: return "announced";
    case detection::cpu_clock: return "cpu_clock";
    case detection::stat: return "stat";
    case detection::perf: return "perf";
  }
  return "?";
}

detector::detector(detection asked, const char* environment, reporter& report)
    : asked_{asked}, by_{"runtime_options::detect"} {
  if (environment == nullptr || *environment == '\0') return;
  for (const detection kind : kinds) {
    if (std::string_view{environment} != name_of(kind)) continue;
    asked_ = kind;
    by_ = "WRING_DETECT";
    return;
  }
  report.warn("WRING_DETECT is '" + std::string{environment} +
              "', which is none of announced, cpu_clock, stat and perf; it is ignored");
}

detector::choice detector::chosen() {
  {
    const base::lock_guard lock{mu_};
    begin_locked();
  }
  join();
  return choice_;
}

detection detector::kind() noexcept {
  const detection known = kind_.load(base::order::acquire);
  if (!settled_.load(base::order::relaxed) && mu_.try_lock()) {  // else somebody begins, or waits for the end
    if (known == detection::automatic) {
      begin_locked();
    } else {  // a runtime may live as long as the process, and not so its threads
      join_locked();
      settled_.store(true, base::order::relaxed);
    }
    mu_.unlock();
  }
  return known;
}

void detector::begin_locked() noexcept {
  if (std::exchange(begun_, true)) return;
  constexpr std::size_t stack_bytes = std::size_t{128} << 10;
  const auto entry = [](void* self) { static_cast<detector*>(self)->choose(); };
  if (base::thread_create(thread_, {.name = "wring/detect", .stack_bytes = stack_bytes}, entry, this) != 0) choose();
}

void detector::join() noexcept {
  const base::lock_guard lock{mu_};
  join_locked();
}

void detector::join_locked() noexcept {
  if (thread_.joinable()) base::thread_join(thread_);
}

// What another thread of the parent was about to choose is not looked at.
void detector::renew_in_child() WRING_NO_ANALYSIS {  // the only thread there is
  mu_.renew_in_child();
  std::construct_at(&thread_);
  begun_ = kind_.load(base::order::acquire) != detection::automatic;
  if (!begun_) std::construct_at(&choice_);
}

void detector::choose() {
  std::string why = asked_ == detection::automatic ? "" : by_ + " asks for " + name_of(asked_);
  const auto add = [&why](const std::string& text) { why += (why.empty() ? "" : "; ") + text; };
  detection kind = asked_ == detection::automatic ? detection::perf : asked_;
  if (kind != detection::announced) {
    const base::watch_probe probe =
        base::probe_thread_watch({.rings = kind == detection::perf, .stat = kind >= detection::stat});
    if (kind == detection::perf && !probe.rings) {
      add("no context switches: " + probe.rings_why);
      kind = detection::stat;
    }
    if (kind >= detection::stat && !probe.stat) {
      add("no thread states: " + probe.stat_why);
      if (kind == detection::stat) kind = detection::cpu_clock;
    }
    if (kind == detection::cpu_clock && !probe.cpu_clock) {
      add("no CPU clocks: " + probe.cpu_clock_why);
      kind = detection::announced;
    }
    choice_.stat = probe.stat && kind >= detection::stat;
  }
  choice_.kind = kind;
  choice_.why = why.empty() ? "the best there is, and it works" : why;
  stat_.store(choice_.stat, base::order::relaxed);
  kind_.store(kind, base::order::release);  // pairs with kind(), renew_in_child()
}

}  // namespace wring::sched
