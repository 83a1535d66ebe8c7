// SPDX-License-Identifier: Apache-2.0
#include "sim/decisions.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <tuple>

namespace wring::sim {

namespace {
bool before(const deviation& a, const deviation& b) noexcept {
  return std::tie(a.thread, a.step, a.sub) < std::tie(b.thread, b.step, b.sub);
}
}  // namespace

std::string to_text(const std::vector<deviation>& list) {
  std::string text;
  for (const deviation& d : list) {
    if (!text.empty()) text += ' ';
    text += 'T' + std::to_string(d.thread) + '.' + std::to_string(d.step);
    if (d.sub != 0) text += '/' + std::to_string(d.sub);
    text += '=' + std::to_string(d.value);
  }
  return text;
}

std::vector<deviation> deviations_of(const char* text) {
  std::vector<deviation> list;
  while (*text != '\0') {
    deviation d{};
    int used = 0;
    if (std::sscanf(text, " T%u.%u%n", &d.thread, &d.step, &used) != 2) break;
    text += used;
    if (*text == '/' && std::sscanf(text, "/%u%n", &d.sub, &used) == 1) text += used;
    if (std::sscanf(text, "=%u%n", &d.value, &used) != 1) break;
    text += used;
    list.push_back(d);
  }
  std::sort(list.begin(), list.end(), before);
  return list;
}

void search::start_run() noexcept {
  depth_ = 0;
  left_[0] = preemptions;
  left_[1] = stale_loads;
  left_[2] = faults;
}

std::uint32_t search::choose(std::uint32_t n, std::uint32_t search::*budget) {
  std::uint32_t* left = nullptr;
  if (budget == &search::preemptions) left = &left_[0];
  if (budget == &search::stale_loads) left = &left_[1];
  if (budget == &search::faults) left = &left_[2];
  if (n < 2 || (left != nullptr && *left == 0)) return 0;
  if (depth_ == path_.size()) path_.push_back({0, n});
  const branch& b = path_[depth_++];
  if (b.of != n) inconsistent_ = true;
  if (b.answer != 0 && left != nullptr) --*left;
  return std::min(b.answer, n - 1);
}

bool search::advance() {
  path_.resize(depth_);
  while (!path_.empty() && path_.back().answer + 1 == path_.back().of) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().answer;
  return true;
}

void decisions::from_seed(std::uint64_t seed) {
  source_ = source::seed;
  random_ = rng{seed};
  way_ = strategy{seed};
}

void decisions::from_list(const std::vector<deviation>* list) {
  source_ = source::list;
  random_ = rng{};
  way_ = strategy{};
  list_ = list;
}

void decisions::from_search(search* s) {
  source_ = source::search;
  random_ = rng{};
  way_ = strategy{};
  search_ = s;
  s->start_run();
}

std::uint32_t decisions::listed() const noexcept {
  const deviation wanted{at_.thread, at_.step, at_.sub, 0};
  const auto at = std::lower_bound(list_->begin(), list_->end(), wanted, before);
  return at != list_->end() && !before(wanted, *at) ? at->value : 0;
}

std::uint32_t decisions::note(std::uint32_t value) {
  if (value != 0) {
    at_.deviated = true;
    if (record_ != nullptr) record_->push_back({at_.thread, at_.step, at_.sub, value});
  }
  ++at_.sub;
  return value;
}

bool decisions::fault(std::uint32_t rate) {
  if (rate == 0) return false;
  std::uint32_t v = 0;
  switch (source_) {
    case source::seed: v = way_.faults() && random_.one_in(rate) ? 1 : 0; break;
    case source::list: v = listed() != 0 ? 1 : 0; break;
    case source::search: v = search_->choose(2, &search::faults); break;
  }
  return note(v) != 0;
}

bool decisions::timer() {
  std::uint32_t v = 0;
  switch (source_) {
    case source::seed: v = random_.one_in(way_.timer_rate()) ? 1 : 0; break;
    case source::list: v = listed() != 0 ? 1 : 0; break;
    case source::search: v = search_->choose(2, &search::preemptions); break;
  }
  return note(v) != 0;
}

bool decisions::spin() {
  std::uint32_t v = 0;
  switch (source_) {
    case source::seed: v = way_.spins() && random_.one_in(2) ? 1 : 0; break;
    case source::list: v = listed() != 0 ? 1 : 0; break;
    case source::search: v = search_->choose(2, &search::preemptions); break;
  }
  return note(v) != 0;
}

std::uint32_t decisions::stale(std::uint32_t choices) {
  std::uint32_t v = 0;
  switch (source_) {
    case source::seed: v = random_.one_in(way_.stale_rate()) ? 1 + random_.below(choices - 1) : 0; break;
    case source::list: v = std::min(listed(), choices - 1); break;
    case source::search: v = search_->choose(choices, &search::stale_loads); break;
  }
  return note(v);
}

std::uint32_t decisions::any(std::uint32_t n) {
  std::uint32_t v = 0;
  switch (source_) {
    case source::seed: v = random_.below(n); break;
    case source::list: v = std::min(listed(), n - 1); break;
    case source::search: v = search_->choose(n, nullptr); break;
  }
  return note(v);
}

std::uint32_t decisions::thread(slot_set ready, std::uint32_t running, bool may_stay, bool free_choice,
                                std::uint64_t step, const std::uint32_t* ids) {
  const std::uint32_t quiet = may_stay ? running : next_in_circle(ready, running);
  std::uint32_t slot = quiet;
  switch (source_) {
    case source::seed: slot = way_.pick(ready, running, may_stay, step, random_); break;
    case source::list:
      if (const std::uint32_t id = listed(); id != 0) {
        for (slot_set rest = ready; rest != 0; rest &= rest - 1) {
          const auto s = static_cast<std::uint32_t>(std::countr_zero(rest));
          if (ids[s] == id) slot = s;
        }
      }
      break;
    case source::search:
      // A thread that relaxes hands on in a circle: branching there would try every spin.
      if (may_stay || free_choice) {
        const auto n = static_cast<std::uint32_t>(std::popcount(ready));
        for (std::uint32_t k = search_->choose(n, may_stay ? &search::preemptions : nullptr); k > 0; --k) {
          slot = next_in_circle(ready, slot);
        }
      }
      break;
  }
  note(slot == quiet ? 0 : ids[slot]);
  return slot;
}

}  // namespace wring::sim
