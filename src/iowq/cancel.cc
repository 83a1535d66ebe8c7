// SPDX-License-Identifier: Apache-2.0
// cancel: what waits is unlinked, and failed by who cancels; what runs is told (README.md, 6).

#include "iowq/pool.h"
#include "iowq/queue.h"
#include "iowq/worker.h"

namespace wring::iowq {

void queue::unlink_matching(const matcher& match, io_which which, work_list& out) noexcept {
  worker* woken = nullptr;
  bool may_run_now = false;  // what was behind another kind in its chain
  {
    const base::lock_guard lock{mu_};
    for (io_work* it = waiting_.front(); it != nullptr;) {
      io_work* const after = work_list::next(*it);
      if (match(*it)) {
        unlink(*it);
        out.push_back(*it);
        if (which == io_which::first) break;
      }
      it = after;
    }
    forget_wishes();
    if (waiting_.empty() && pool_.exiting()) woken = take_all_free();  // who was stalled may leave
    may_run_now = of_both_ && !waiting_.empty() && !out.empty();
    if (may_run_now) wish_again();
  }
  wake_all(woken);
  if (may_run_now) see_to_all(trigger::note);
}

bool queue::tell_matching(const matcher& match, io_which which, work_list& out) noexcept {
  const base::lock_guard lock{mu_};
  bool told = false;
  for (worker* w = all_.front(); w != nullptr; w = next_of_all(*w)) {
    if (w->tell_if(match)) {
      told = true;
      if (which == io_which::first) break;
    }
    w->unlink_held(match, which, out);
    if (which == io_which::first && !out.empty()) break;
  }
  return told;
}

io_cancel pool::cancel(const matcher& match, io_which which) noexcept {
  if (!is_of_this_process()) return io_cancel::not_found;
  work_list found;
  bool told = false;
  const auto goes_on = [&] { return which == io_which::all || (found.empty() && !told); };
  for (queue& q : queues_) {
    if (goes_on()) q.unlink_matching(match, which, found);
  }
  for (queue& q : queues_) {
    if (goes_on()) told |= q.tell_matching(match, which, found);
  }
  const bool failed_some = !found.empty();
  fail_all(found);
  return told ? io_cancel::running : failed_some ? io_cancel::done : io_cancel::not_found;
}

}  // namespace wring::iowq
