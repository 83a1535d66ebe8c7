// SPDX-License-Identifier: Apache-2.0
// topology: which CPUs there are, and which of them are close to each other.
//
// A value, taken at one moment; it does not follow the machine. Ask again to see what changed since.
// Threads: of_machine() and synthetic() may be called by any; a topology itself is constant.
#pragma once

#include "base/check.h"
#include "base/syscall.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace wring::base {

class topology {
 public:
  // What the scheduler of the machine sees as one CPU.
  struct cpu {
    unsigned id;     // the system's number
    unsigned core;   // CPUs of the same core (SMT) share it; numbered from 0 in the order of their first CPU
    unsigned cache;  // CPUs below one last-level cache share it; numbered likewise
    unsigned node;   // NUMA node: the system's number

    friend bool operator==(const cpu&, const cpu&) = default;
  };

  // The machine; `cpus()` are the allowed ones, by default those the calling thread may use (affinity mask). Reads the
  // machine's data at this call, which takes milliseconds. Never fails: without data every allowed CPU is its own core,
  // and all share cache 0 and node 0.
  static topology of_machine(const std::vector<unsigned>& allowed = syscall::affinity());
  // hwloc's synthetic syntax, "node:2 l3:2 core:4 pu:2"; all its CPUs are allowed. nullopt: not valid.
  static std::optional<topology> synthetic(const std::string& description);

  // Allowed CPUs, at least one, in any order, and with any numbers for cores and caches, as long as they differ;
  // `existing` are those that exist without being allowed. The allowed ones may be among them.
  topology(std::vector<cpu> allowed, const std::vector<cpu>& existing);

  // Allowed ones, by id; at least one.
  [[nodiscard]] std::span<const cpu> cpus() const noexcept { return std::span{all_}.first(allowed_); }
  // The allowed ones, and behind them the others, by id.
  [[nodiscard]] std::span<const cpu> all() const noexcept { return all_; }
  // One more than the greatest id that exists, allowed or not.
  [[nodiscard]] unsigned possible() const noexcept { return static_cast<unsigned>(exists_.size()); }
  // Allowed or not.
  [[nodiscard]] bool exists(unsigned id) const noexcept { return id < exists_.size() && exists_[id]; }
  // Numbers of the nodes with an allowed CPU, ascending.
  [[nodiscard]] std::span<const unsigned> nodes() const noexcept { return nodes_; }
  // Ids of the allowed ones, ascending; none for a node that is not among nodes().
  [[nodiscard]] std::vector<unsigned> cpus_of_node(unsigned node) const;
  // One line: how many of each, and the CPUs of each node as ranges.
  void describe(writer& w) const;

 private:
  std::vector<cpu> all_;
  std::size_t allowed_;
  std::vector<unsigned> nodes_;
  std::vector<bool> exists_;
};

}  // namespace wring::base
