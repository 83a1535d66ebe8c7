// SPDX-License-Identifier: Apache-2.0
// printer: turns settled entries into lines, answers and messages, in order.
//
// Threads: one at a time; status() and problems() when it has printed everything.
#pragma once

#include "sum/batch.h"
#include "sum/options.h"
#include "sum/terminal.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace wring::tools {

class printer {
 public:
  printer(const sum_options& options, terminal& out) : options_{options}, terminal_{out} {}

  // Prints on, up to the first entry that is not settled. 0 or the -errno of writing.
  [[nodiscard]] int print(batch& current);
  // Writes what print() kept back to write in big pieces.
  [[nodiscard]] int flush();

  [[nodiscard]] std::uint64_t files() const noexcept { return files_; }
  [[nodiscard]] std::uint64_t problems() const noexcept { return problems_; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  // What one list had to say.
  struct list_counts {
    std::uint64_t proper = 0;
    std::uint64_t improper = 0;
    std::uint64_t unreadable = 0;
    std::uint64_t mismatched = 0;
    std::uint64_t matched = 0;
  };

  void print_entry(const batch& from, std::size_t index);
  void print_sum(const batch& from, std::size_t index);
  void print_answer(const batch& from, std::size_t index);
  void print_problem(const batch& from, const entry& e);
  void print_json(const batch& from, std::size_t index, std::string_view result);
  void end_list(const batch& from, const entry& e);
  void warn_count(std::uint64_t count, std::string_view one, std::string_view many);
  void complain(std::string_view text);
  [[nodiscard]] std::string_view shown_name(const batch& from, const entry& e) const noexcept;

  const sum_options& options_;
  terminal& terminal_;
  std::string out_;
  int write_error_ = 0;  // the first one; nothing is written after it
  list_counts list_;
  std::uint64_t files_ = 0;
  std::uint64_t problems_ = 0;
  bool failed_ = false;
};

}  // namespace wring::tools
