// SPDX-License-Identifier: Apache-2.0

#include "base/topology.h"

#include <algorithm>
#include <map>

namespace wring::base {

namespace {

// Gives whatever numbers the CPUs came with new ones, from 0 in the order of their first CPU.
void renumber(std::vector<topology::cpu>& cpus, unsigned topology::cpu::*member) {
  std::map<unsigned, unsigned> known;
  for (topology::cpu& c : cpus) {
    const auto next = static_cast<unsigned>(known.size());
    c.*member = known.try_emplace(c.*member, next).first->second;
  }
}

unsigned count_of(std::span<const topology::cpu> cpus, unsigned topology::cpu::*member) {
  unsigned last = 0;
  for (const topology::cpu& c : cpus) last = std::max(last, c.*member);
  return last + 1;
}

void describe_ranges(writer& w, const std::vector<unsigned>& ids) {
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t last = i;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    w.put(i == 0 ? "" : ",", ids[i]);
    if (last != i) w.put('-', ids[last]);
    i = last + 1;
  }
}

}  // namespace

topology::topology(std::vector<cpu> allowed, const std::vector<cpu>& existing)
    : all_{std::move(allowed)}, allowed_{all_.size()} {
  WRING_CHECK(!all_.empty());
  const auto by_id = [](const cpu& a, const cpu& b) { return a.id < b.id; };
  std::sort(all_.begin(), all_.end(), by_id);
  for (const cpu& c : cpus()) nodes_.push_back(c.node);
  std::sort(nodes_.begin(), nodes_.end());
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());

  unsigned last = all_.back().id;
  for (const cpu& c : existing) last = std::max(last, c.id);
  exists_.resize(last + 1);
  for (const cpu& c : all_) exists_[c.id] = true;
  for (const cpu& c : existing) {
    if (!exists_[c.id]) all_.push_back(c);
    exists_[c.id] = true;
  }
  std::sort(all_.begin() + static_cast<std::ptrdiff_t>(allowed_), all_.end(), by_id);
  renumber(all_, &cpu::core);
  renumber(all_, &cpu::cache);
}

std::vector<unsigned> topology::cpus_of_node(unsigned node) const {
  std::vector<unsigned> ids;
  for (const cpu& c : cpus()) {
    if (c.node == node) ids.push_back(c.id);
  }
  return ids;
}

void topology::describe(writer& w) const {
  w.put("topology: ", allowed_, " CPUs allowed below ", possible(), ", ", count_of(cpus(), &cpu::core), " cores, ",
        count_of(cpus(), &cpu::cache), " last-level caches");
  for (const unsigned node : nodes_) {
    w.put(", node ", node, ": ");
    describe_ranges(w, cpus_of_node(node));
  }
  w.put('\n');
}

}  // namespace wring::base
