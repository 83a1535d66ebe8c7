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
  started_at_look_ = begun();
  progress_ = base::clock::now();
  arm(look_, interval_ms, fire<&queue::look_is_due>);
}

void queue::look_is_due() {
  bool stands = false;
  {
    const base::lock_guard lock{mu_};
    look_.armed = false;
    if (!may_grow() || !wants()) return;  // decide() sees to the next one
    look_at_workers();
    const base::instant now = base::clock::now();
    const std::uint64_t so_far = begun();
    if (so_far != std::exchange(started_at_look_, so_far)) progress_ = now;
    const auto floor = pool_.home().options().stall_floor;
    // Nothing has started for the whole floor: one more, whoever runs.
    stands = floor.count() != 0 && now - progress_ >= floor;
    if (stands) {
      base::sometimes("an I/O worker is made since nothing starts");
      progress_ = now;
    }
    arm(look_, interval_ms, fire<&queue::look_is_due>);  // before decide(), which would begin to look anew
  }
  see_to_all(trigger::note, stands);
}

bool queue::may_grow() const noexcept {
  return std::ranges::any_of(both_kinds, [&](account_kind k) { return serves(k) && !has_stopped(k); });
}

std::uint64_t queue::begun() const noexcept {
  std::uint64_t n = 0;
  for (const counters& c : counted_) n += c.started.load(base::order::relaxed);
  return n;
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
