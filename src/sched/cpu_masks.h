// SPDX-License-Identifier: Apache-2.0
// cpu_masks: which CPUs the process may use, and which of them unbound queues do (WQ-119). A value; lists of CPUs are
// ascending.
#pragma once

#include <wring/attributes.h>

#include <optional>
#include <string>
#include <vector>

namespace wring::sched {

using cpu_list = std::vector<unsigned>;

[[nodiscard]] cpu_list sorted(cpu_list cpus);  // each once
[[nodiscard]] cpu_list common(const cpu_list& a, const cpu_list& b);
[[nodiscard]] cpu_list without(const cpu_list& a, const cpu_list& b);
[[nodiscard]] bool has(const cpu_list& list, unsigned cpu) noexcept;
// "0-3,8", as the kernel writes it; "" is none. nullopt: it is something else.
[[nodiscard]] std::optional<cpu_list> cpu_list_of(const std::string& text);
[[nodiscard]] std::string text_of(const cpu_list& cpus);

class cpu_masks {
 public:
  // `restriction`: what unbound queues are to use, of the options; empty: nothing is said.
  cpu_masks(cpu_list usable, cpu_list isolated, const cpu_list& restriction);

  [[nodiscard]] const cpu_list& usable() const noexcept { return usable_; }
  [[nodiscard]] const cpu_list& isolated() const noexcept { return isolated_; }
  // Of `usable()`; never empty.
  [[nodiscard]] cpu_list unbound() const;
  [[nodiscard]] cpu_list requested() const { return requested_ ? *requested_ : without(usable_, isolated_); }

  void use(cpu_list usable) { usable_ = std::move(usable); }
  // By the operator, who may include isolated ones.
  void request(cpu_list cpus) {
    requested_ = std::move(cpus);
    isolation_counts_ = false;
  }
  void isolate(cpu_list cpus) {
    isolated_ = std::move(cpus);
    isolation_counts_ = true;
  }

  friend bool operator==(const cpu_masks&, const cpu_masks&) = default;

 private:
  cpu_list usable_;
  cpu_list isolated_;
  std::optional<cpu_list> requested_;  // nothing said: all
  bool isolation_counts_ = true;       // it came after the request
};

}  // namespace wring::sched
