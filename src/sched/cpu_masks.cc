// SPDX-License-Identifier: Apache-2.0

#include "sched/cpu_masks.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

namespace wring::sched {

namespace {

constexpr unsigned cpu_most = 1U << 16;

// "3" or "0-3" at the front of `text`, which it takes off.
bool take_range(std::string_view& text, cpu_list& out) {
  unsigned first = 0;
  const auto number = [&text](unsigned& value) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    return error == std::errc{} && value < cpu_most;
  };
  if (!number(first)) return false;
  unsigned last = first;
  if (text.starts_with('-')) {
    text.remove_prefix(1);
    if (!number(last) || last < first) return false;
  }
  for (unsigned cpu = first; cpu <= last; ++cpu) out.push_back(cpu);
  return true;
}

}  // namespace

cpu_list sorted(cpu_list cpus) {
  std::ranges::sort(cpus);
  cpus.erase(std::ranges::unique(cpus).begin(), cpus.end());
  return cpus;
}

cpu_list common(const cpu_list& a, const cpu_list& b) {
  cpu_list both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both;
}

cpu_list without(const cpu_list& a, const cpu_list& b) {
  cpu_list rest;
  std::ranges::set_difference(a, b, std::back_inserter(rest));
  return rest;
}

bool has(const cpu_list& list, unsigned cpu) noexcept { return std::ranges::binary_search(list, cpu); }

std::optional<cpu_list> cpu_list_of(const std::string& text) {
  cpu_list cpus;
  std::string_view rest = text;
  while (rest.ends_with('\n')) rest.remove_suffix(1);
  for (bool first = true; !rest.empty(); first = false) {
    if (!first) {
      if (!rest.starts_with(',')) return std::nullopt;
      rest.remove_prefix(1);
    }
    if (!take_range(rest, cpus)) return std::nullopt;
  }
  return sorted(std::move(cpus));
}

std::string text_of(const cpu_list& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += (i == 0 ? "" : ",") + std::to_string(cpus[i]);
    if (last != i) text += "-" + std::to_string(cpus[last]);
    i = last + 1;
  }
  return text;
}

cpu_masks::cpu_masks(cpu_list usable, cpu_list isolated, const cpu_list& restriction)
    : usable_{std::move(usable)}, isolated_{std::move(isolated)} {
  if (!restriction.empty()) requested_ = restriction;
}

cpu_list cpu_masks::unbound() const {
  cpu_list asked = requested_ ? common(*requested_, usable_) : usable_;
  if (isolation_counts_) {
    if (cpu_list rest = without(asked, isolated_); !rest.empty()) asked = std::move(rest);
  }
  return asked.empty() ? usable_ : asked;
}

}  // namespace wring::sched
