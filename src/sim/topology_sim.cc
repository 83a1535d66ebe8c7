// SPDX-License-Identifier: Apache-2.0
// topology_sim: base/topology.h as simulations have it. They need no hwloc, and see nothing of the machine.
#include "base/syscall.h"
#include "base/topology.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <sstream>
#include <string_view>
#include <utility>

namespace wring::base {

namespace {

constexpr unsigned cpus_max = 4096;

struct level {
  std::string type;
  unsigned count;
};

// "core:4"
std::optional<level> level_in(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos) return std::nullopt;
  level l{.type = word.substr(0, colon), .count = 0};
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + colon + 1, end, l.count);
  if (error != std::errc{} || stop != end || l.count == 0 || l.count > cpus_max) return std::nullopt;
  return l;
}

// Each level once, outermost first, CPUs last; at most as many as wring ever plans for.
std::optional<std::vector<level>> levels_in(const std::string& description) {
  static constexpr std::string_view types[] = {"package", "node", "l3", "l2", "core", "pu"};
  std::vector<level> levels;
  const std::string_view* next = std::begin(types);
  unsigned cpus = 1;
  std::istringstream words{description};
  for (std::string word; words >> word;) {
    const std::optional<level> l = level_in(word);
    if (!l) return std::nullopt;
    next = std::find(next, std::end(types), l->type);
    if (next == std::end(types) || (cpus *= l->count) > cpus_max) return std::nullopt;
    ++next;
    levels.push_back(*l);
  }
  if (levels.empty() || levels.back().type != "pu") return std::nullopt;
  return levels;
}

// Which object of a level a CPU is below, if `cpus` CPUs lie below one object of the level above.
topology::cpu place(unsigned id, const std::vector<level>& levels, unsigned cpus) {
  topology::cpu c{.id = id, .core = id, .cache = ~0U, .node = 0};
  for (const level& l : levels) {
    cpus /= l.count;
    const unsigned number = id / cpus;
    if (l.type == "core") c.core = number;
    if (l.type == "node") c.node = number;
    if (l.type.front() == 'l' && c.cache == ~0U) c.cache = number;
  }
  if (c.cache == ~0U) c.cache = c.node;
  return c;
}

}  // namespace

// One node, one cache, each CPU a core.
topology topology::of_machine(const std::vector<unsigned>& allowed) {
  std::vector<cpu> cpus;
  for (const unsigned id : allowed) cpus.push_back({.id = id, .core = id, .cache = 0, .node = 0});
  return topology{std::move(cpus), {}};
}

// What tests write of hwloc's syntax: levels "type:count", no attributes.
std::optional<topology> topology::synthetic(const std::string& description) {
  const std::optional<std::vector<level>> levels = levels_in(description);
  if (!levels) return std::nullopt;
  unsigned count = 1;
  for (const level& l : *levels) count *= l.count;
  std::vector<cpu> cpus;
  for (unsigned id = 0; id < count; ++id) cpus.push_back(place(id, *levels, count));
  return topology{std::move(cpus), {}};
}

}  // namespace wring::base
