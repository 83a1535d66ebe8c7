// SPDX-License-Identifier: Apache-2.0
// decisions: the one source of everything that may go either way in a run.
//
// Each decision has a quiet answer, 0: stay on this thread, read the newest value, no fault. Only other
// answers are remembered, by thread and that thread's own step, so taking one away leaves the rest where
// they were. Replay, shrinking and exhaustive search are all built on that.
#pragma once

#include "sim/rng.h"
#include "sim/strategy.h"

#include <cstdint>
#include <string>
#include <vector>

namespace wring::sim {

// In its `step`th step, at the `sub`th decision of it, this thread answered `value`.
struct deviation {
  std::uint32_t thread;
  std::uint32_t step;
  std::uint32_t sub;
  std::uint32_t value;

  friend bool operator==(const deviation&, const deviation&) = default;
};

// "T4.8=1 T4.9/1=2": thread 4, its step 8, answer 1; then its step 9, second decision, answer 2.
std::string to_text(const std::vector<deviation>& list);
std::vector<deviation> deviations_of(const char* text);

// Depth first through all answers, within the budgets.
class search {
 public:
  std::uint32_t preemptions = 2;
  std::uint32_t stale_loads = 0;
  std::uint32_t faults = 0;

  void start_run() noexcept;
  // `budget` is what answers other than 0 are taken from; null: they are free.
  std::uint32_t choose(std::uint32_t n, std::uint32_t search::*budget);
  // Moves on to the next combination; false if that was the last.
  bool advance();
  // A repeated prefix offered other choices than before.
  [[nodiscard]] bool inconsistent() const noexcept { return inconsistent_; }

 private:
  struct branch {
    std::uint32_t answer;
    std::uint32_t of;
  };
  std::vector<branch> path_;
  std::size_t depth_ = 0;
  bool inconsistent_ = false;
  std::uint32_t left_[3]{};
};

class decisions {
 public:
  // By a seed, by a list of deviations (all else quiet), or by exhaustive search.
  void from_seed(std::uint64_t seed);
  void from_list(const std::vector<deviation>* list);
  void from_search(search* s);
  void record_into(std::vector<deviation>* record) noexcept { record_ = record; }

  // Whose decision comes next, and the how manieth of its step it is.
  struct position {
    std::uint32_t thread = 0;
    std::uint32_t step = 0;
    std::uint32_t sub = 0;
    bool deviated = false;  // an earlier one of this step was not quiet
  };
  void go_on_at(const position& p) noexcept { at_ = p; }
  [[nodiscard]] const position& at() const noexcept { return at_; }

  // True once in `rate` times (0: never), if faults are on in this run.
  bool fault(std::uint32_t rate);
  bool timer();
  // A relaxing thread goes on all the same, until its spin is over.
  bool spin();
  std::uint32_t stale(std::uint32_t choices);
  // Any of n, all alike; for tests.
  std::uint32_t any(std::uint32_t n);
  // The slot to go on with. `ids`: the thread number of each slot.
  std::uint32_t thread(slot_set ready, std::uint32_t running, bool may_stay, bool free_choice, std::uint64_t step,
                       const std::uint32_t* ids);

  [[nodiscard]] strategy& way() noexcept { return way_; }
  [[nodiscard]] rng& random() noexcept { return random_; }

 private:
  enum class source : std::uint8_t { seed, list, search };
  [[nodiscard]] std::uint32_t listed() const noexcept;
  std::uint32_t note(std::uint32_t value);

  source source_ = source::seed;
  rng random_;
  strategy way_;
  const std::vector<deviation>* list_ = nullptr;
  search* search_ = nullptr;
  std::vector<deviation>* record_ = nullptr;
  position at_;
};

}  // namespace wring::sim
