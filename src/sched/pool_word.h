// SPDX-License-Identifier: Apache-2.0
// pool_word: who is awake in a pool, in one word.
//
//   awake     :32  counted workers: searching, or running and not blocked. Exact.
//   searching :32  awake workers that look for a source. Exact, searching <= awake.
//
// A slot is claimed for a worker before it is woken (so a worker on its way counts). Changed only by
// seq_cst read-modify-writes: all changes, and the publishers' looks, have a single order. The protocol
// of publishing and parking (P, K, F) and its proof are in README.md, 2.
#pragma once

#include "base/sync.h"

namespace wring::sched {

class pool_word {
 public:
  struct counts {
    std::uint32_t awake;
    std::uint32_t searching;
  };
  [[nodiscard]] counts load() const noexcept { return unpack(word_.load(base::order::seq_cst)); }

  enum class claim_result { claimed, somebody_searches, full };
  // (P2) A publisher or blocker asks: must I wake somebody? If so the slot is theirs from now on.
  [[nodiscard]] claim_result claim(std::uint32_t target) noexcept {
    std::uint64_t w = word_.load(base::order::seq_cst);
    for (;;) {
      const counts c = unpack(w);
      if (c.searching > 0) return claim_result::somebody_searches;
      if (c.awake >= target) return claim_result::full;
      if (word_.compare_exchange_weak(w, w + awake_one + searching_one, base::order::seq_cst, base::order::seq_cst)) {
        return claim_result::claimed;
      }
      base::cpu_relax();
    }
  }
  // A claimed slot that no worker can fill, or (K1) a searcher that parks.
  void leave_searching(std::uint32_t n = 1) noexcept {
    word_.fetch_sub(n * (awake_one + searching_one), base::order::seq_cst);
  }
  // A running worker finds nothing in hand any more.
  void search() noexcept { word_.fetch_add(searching_one, base::order::seq_cst); }
  // (F1) A searcher has found a source; true if nobody searches any more.
  [[nodiscard]] bool found() noexcept {
    return unpack(word_.fetch_sub(searching_one, base::order::seq_cst)).searching == 1;
  }
  // A running worker blocks / goes on.
  void block() noexcept { word_.fetch_sub(awake_one, base::order::seq_cst); }
  void resume() noexcept { word_.fetch_add(awake_one, base::order::seq_cst); }
  // (K1) A running worker parks because more than `limit` are awake; false if not so.
  [[nodiscard]] bool leave_if_above(std::uint32_t limit) noexcept {
    std::uint64_t w = word_.load(base::order::relaxed);
    while (unpack(w).awake > limit) {
      if (word_.compare_exchange_weak(w, w - awake_one, base::order::seq_cst, base::order::relaxed)) return true;
      base::cpu_relax();
    }
    return false;
  }

 private:
  static constexpr std::uint64_t awake_one = 1;
  static constexpr std::uint64_t searching_one = std::uint64_t{1} << 32;
  static counts unpack(std::uint64_t w) noexcept {
    return {static_cast<std::uint32_t>(w), static_cast<std::uint32_t>(w >> 32)};
  }

  base::atomic<std::uint64_t> word_{0};
};

}  // namespace wring::sched
