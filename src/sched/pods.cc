// SPDX-License-Identifier: Apache-2.0

#include "sched/pods.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace wring::sched {

namespace {

using cpu = base::topology::cpu;
using cores = std::set<std::pair<unsigned, unsigned>>;  // first CPU, number

// Of each core, the number of its shard among those of its cache.
std::map<unsigned, std::size_t> shards_of(const cores& of_cache, unsigned shard_cores) {
  const std::size_t count = of_cache.size();
  const std::size_t shards = std::max<std::size_t>(1, (count + shard_cores / 2) / shard_cores);
  std::map<unsigned, std::size_t> shard;
  std::size_t position = 0;
  for (const auto& [first, core] : of_cache) shard[core] = position++ * shards / count;
  return shard;
}

// CPUs with the same key are in one pod.
std::map<unsigned, std::size_t> shard_of_core(const base::topology& machine, unsigned shard_cores) {
  std::map<unsigned, unsigned> first_of_core;
  for (const cpu& c : machine.all()) {
    const auto [at, is_new] = first_of_core.try_emplace(c.core, c.id);
    if (!is_new) at->second = std::min(at->second, c.id);
  }
  std::map<unsigned, cores> in_cache;
  for (const cpu& c : machine.all()) in_cache[c.cache].emplace(first_of_core[c.core], c.core);
  std::map<unsigned, std::size_t> all;
  for (const auto& [cache, its_cores] : in_cache) all.merge(shards_of(its_cores, shard_cores));
  return all;
}

}  // namespace

std::vector<std::vector<unsigned>> pods(const base::topology& machine, affinity_scope scope, unsigned shard_cores) {
  using key = std::pair<std::size_t, std::size_t>;
  const auto shard = shard_of_core(machine, shard_cores);
  std::map<key, std::vector<unsigned>> by_key;
  for (const cpu& c : machine.all()) {
    key k{};
    switch (scope) {
      case affinity_scope::cpu: k = {c.id, 0}; break;
      case affinity_scope::smt: k = {c.core, 0}; break;
      case affinity_scope::cache: k = {c.cache, 0}; break;
      case affinity_scope::cache_shard: k = {c.cache, shard.at(c.core)}; break;
      case affinity_scope::numa: k = {c.node, 0}; break;
      case affinity_scope::system:
      case affinity_scope::by_default: break;
    }
    by_key[k].push_back(c.id);
  }
  std::vector<std::vector<unsigned>> all;
  for (auto& [k, cpus] : by_key) {
    std::ranges::sort(cpus);
    all.push_back(std::move(cpus));
  }
  std::ranges::sort(all);
  return all;
}

}  // namespace wring::sched
