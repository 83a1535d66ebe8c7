// SPDX-License-Identifier: Apache-2.0
// audit: recounts a queue's state.

#include "workqueue/pool_workqueue.h"

namespace wring::detail {

void pool_workqueue::audit() {
  const visit hold{*this};
  drain_inbox();
  const std::uint64_t w = word_.load(base::order::relaxed);
  WRING_CHECK((w & (scheduled | full)) != (scheduled | full), base::hex{w}, name_);
  WRING_CHECK(full_ == ((w & full) != 0), full_, base::hex{w}, name_);
  WRING_CHECK(run_.empty() || (w & (scheduled | full)) != 0, base::hex{w}, name_);  // (I1)
  WRING_CHECK(active_ <= limit_ || lowered_, active_, limit_, name_);               // WQ-151
  unsigned markers = 0;
  for (item* it = run_.front(); it != nullptr; it = item_list::next(*it)) {
    const std::uint64_t state = state_of(*it).load(base::order::relaxed);
    if ((state & item_state::marker) != 0) {
      ++markers;
    } else if ((state & item_state::barrier) == 0) {
      const std::uint64_t place = place_of(*it).load(base::order::relaxed);
      WRING_CHECK((state & item_state::pending) != 0, base::hex{state}, name_);
      WRING_CHECK(item_place::queue_of(place) == this && (place & item_place::listed) != 0, base::hex{place}, name_);
    }
  }
  for (flusher* f = passed_; f != nullptr; f = f->next_flush) ++markers;
  WRING_CHECK(markers == colours_used_ && markers < colours, markers, unsigned{colours_used_}, name_);
  unsigned in_flight = 0;
  for (const std::uint16_t n : in_flight_) in_flight += n;
  WRING_CHECK(in_flight >= active_, in_flight, active_, name_);  // WQ-150; helpers inside a slot come on top
}

}  // namespace wring::detail
