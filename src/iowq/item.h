// SPDX-License-Identifier: Apache-2.0
// item: what the word of an item says, and lists of items.
//
// Nothing in an item is atomic: only who owns it, or holds what it is linked into, touches it (README.md, 2).
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "iowq/account.h"

#include <wring/io_pool.h>

namespace wring::detail {

// The library's view into the public items.
class io_item_access {
 public:
  static io_work*& next(io_work& w) noexcept { return w.next_; }
  static io_work*& prev(io_work& w) noexcept { return w.prev_; }
  static std::uint64_t& word(io_work& w) noexcept { return w.state_; }
  static const void* tag(const io_work& w) noexcept { return w.tag_; }
  static const identity& as(const io_work& w) noexcept { return w.as_; }

  static io_task& task(io_work& w) noexcept { return static_cast<io_task&>(w); }
  static io_work& work(io_task& t) noexcept { return t; }
  static io_task::entry_point entry(const io_task& t) noexcept { return t.entry_; }
  static iowq::pool*& pool(io_task& t) noexcept { return t.pool_; }
  static std::uintptr_t& then(io_task& t) noexcept { return t.then_; }
  static base::atomic_ref<std::uint32_t> phase(io_task& t) noexcept {
    return base::atomic_ref<std::uint32_t>{t.phase_};
  }
  static long& value(io_task& t) noexcept { return t.value_; }

  // Runs `f(call)` with a call of the worker's; null: it is only failed.
  template <class F>
  static void with_call(iowq::worker* w, io_work& it, int refusal, const F& f) {
    io_call call{w, it, refusal};
    f(call);
  }
  static const io_work& item(const io_call& c) noexcept { return c.item_; }
};

}  // namespace wring::detail

namespace wring::iowq {

using access = detail::io_item_access;

struct work_links {
  static io_work*& next(io_work& w) noexcept { return access::next(w); }
  static io_work*& prev(io_work& w) noexcept { return access::prev(w); }
};
using work_list = base::list<io_work, work_links>;

// Who is told when it is over.
enum class item_kind : std::uint8_t { work, task, closure };

namespace item_word {
constexpr std::uint64_t kind_mask = 3;
constexpr std::uint64_t unbounded = 1U << 2;
constexpr std::uint64_t concurrent = 1U << 3;
constexpr std::uint64_t hashed = 1U << 4;
constexpr std::uint64_t interruptible = 1U << 5;
constexpr std::uint64_t cancelled = 1U << 6;  // before it was enqueued: it is only failed
constexpr unsigned bucket_shift = 58;
}  // namespace item_word

inline bool has(io_work& w, std::uint64_t flag) noexcept { return (access::word(w) & flag) != 0; }
inline account_kind account_of(io_work& w) noexcept {
  return has(w, item_word::unbounded) ? account_kind::unbounded : account_kind::bounded;
}
inline item_kind kind_of(io_work& w) noexcept { return static_cast<item_kind>(access::word(w) & item_word::kind_mask); }
inline void set_kind(io_work& w, item_kind kind) noexcept {
  access::word(w) = (access::word(w) & ~item_word::kind_mask) | static_cast<std::uint64_t>(kind);
}
// Of a hashed one.
inline unsigned bucket_of(io_work& w) noexcept {
  return static_cast<unsigned>(access::word(w) >> item_word::bucket_shift);
}
inline bool is_of_bucket(io_work* w, unsigned bucket) noexcept {
  return w != nullptr && has(*w, item_word::hashed) && bucket_of(*w) == bucket;
}

}  // namespace wring::iowq
