// SPDX-License-Identifier: Apache-2.0
// look: items that block without saying so are found by looking at their threads, while something waits for them
// (README.md, 10).

#include "base/thread_watch.h"
#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

namespace wring::iowq {

namespace {
constexpr unsigned interval_ms = 1;
}

// What waits relies on those that run, or will, who may block without a word.
void queue::keep_looking() noexcept {
  if (look_.armed || !pool_.looks() || !may_grow()) return;
  for (const account_kind k : both_kinds) {
    of(k).started_at_look = counted(k).started.load(base::order::relaxed);
    of(k).progress = base::clock::now();
  }
  arm(look_, interval_ms, fire<&queue::look_is_due>);
}

void queue::look_is_due() {
  std::array<bool, 2> stands{};
  {
    const base::lock_guard lock{mu_};
    look_.armed = false;
    if (!may_grow() || !wants()) return;  // decide() sees to the next one
    look_at_workers();
    for (const account_kind k : both_kinds) stands.at(static_cast<std::size_t>(k)) = stands_still(k);
    arm(look_, interval_ms, fire<&queue::look_is_due>);  // before decide(), which would begin to look anew
  }
  for (const account_kind k : both_kinds) see_to(k, trigger::note, stands.at(static_cast<std::size_t>(k)));
}

// Nothing of that kind has started for the whole floor, though it waits: one more, whoever runs.
bool queue::stands_still(account_kind k) noexcept {
  ledger& l = of(k);
  const base::instant now = base::clock::now();
  const std::uint64_t so_far = counted(k).started.load(base::order::relaxed);
  const bool moves = so_far != std::exchange(l.started_at_look, so_far) || !l.wants.load(base::order::relaxed);
  if (moves) l.progress = now;
  const auto floor = pool_.home().options().stall_floor;
  if (floor.count() == 0 || now - l.progress < floor) return false;
  base::sometimes("an I/O worker is made since nothing starts");
  l.progress = now;
  return true;
}

bool queue::may_grow() const noexcept {
  return std::ranges::any_of(both_kinds, [&](account_kind k) { return serves(k) && !has_stopped(k); });
}

void queue::look_at_workers() noexcept {
  for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
    if (w->is_free) continue;
    switch (w->look()) {
      case worker::looked::left: of(w->kind).running.fetch_sub(1, base::order::seq_cst); break;  // pairs with decide()
      case worker::looked::joined: joined_count(w->kind); break;
      case worker::looked::same: break;
    }
  }
}

worker::looked worker::look() noexcept {
  const base::lock_guard lock{mu_};
  std::uint64_t seen = word_.load(base::order::acquire);  // pairs with end_item()
  if (current_ == nullptr || (seen & blocked) != 0) return looked::same;
  switch (base::look_at_stat(tid_.load(base::order::relaxed))) {
    case base::thread_sight::unknown: return looked::same;
    case base::thread_sight::waiting:
      // Only in the turn that was looked at: nobody but the worker and who holds it changes the word.
      if ((seen & seen_waiting) != 0 ||
          !word_.compare_exchange_strong(seen, seen | seen_waiting, base::order::acq_rel, base::order::relaxed)) {
        return looked::same;
      }
      base::sometimes("an I/O worker is seen to wait");
      return looked::left;
    case base::thread_sight::running: break;
  }
  if ((seen & seen_waiting) == 0 ||
      !word_.compare_exchange_strong(seen, seen & ~seen_waiting, base::order::acq_rel, base::order::relaxed)) {
    return looked::same;
  }
  return looked::joined;
}

}  // namespace wring::iowq
