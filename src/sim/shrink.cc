// SPDX-License-Identifier: Apache-2.0
#include "sim/shrink.h"

#include <algorithm>
#include <tuple>

namespace wring::sim {

namespace {
constexpr std::size_t most_tries = 3000;
constexpr std::uint64_t most_steps = 20'000'000;  // about two seconds
}  // namespace

// Delta debugging: ever smaller pieces are left out, as long as the same kind of failure stays.
shrunk shrink(simulation& s, const std::function<void()>& body, const run_result& failed,
              std::vector<deviation> found) {
  shrunk out;
  out.before = found.size();
  std::sort(found.begin(), found.end(), [](const deviation& a, const deviation& b) {
    return std::tie(a.thread, a.step, a.sub) < std::tie(b.thread, b.step, b.sub);
  });
  std::uint64_t steps = 0;
  const auto fails_alike = [&](const std::vector<deviation>& list) {
    s.choices().from_list(&list);
    ++out.tries;
    const run_result r = s.run(body, false);
    steps += r.steps;
    return r.kind == failed.kind;
  };
  out.reproduced = fails_alike(found);
  if (!out.reproduced) return out;
  std::vector<deviation> smaller;
  for (std::size_t piece = std::max<std::size_t>(1, found.size() / 2); piece != 0;) {
    bool taken = false;
    for (std::size_t at = 0; at < found.size() && out.tries < most_tries && steps < most_steps;) {
      const std::size_t end = std::min(at + piece, found.size());
      smaller.assign(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(at));
      smaller.insert(smaller.end(), found.begin() + static_cast<std::ptrdiff_t>(end), found.end());
      if (fails_alike(smaller)) {
        found.swap(smaller);
        taken = true;
      } else {
        at = end;
      }
    }
    if (piece > 1) {
      piece /= 2;
    } else if (!taken || out.tries >= most_tries || steps >= most_steps) {
      break;
    }
  }
  out.list = std::move(found);
  return out;
}

}  // namespace wring::sim
