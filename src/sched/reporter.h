// SPDX-License-Identifier: Apache-2.0
// reporter: the one way by which a runtime speaks to people: warnings, and misuse that cannot go on.
//
// Threads: any. Locks: `leaf`, never held while a handler runs.
#pragma once

#include "base/mutex.h"

#include <wring/runtime.h>

#include <cstdint>
#include <string>

namespace wring::sched {

class reporter {
 public:
  explicit reporter(const runtime_options& options) noexcept
      : on_warning_{options.on_warning}, on_misuse_{options.on_misuse}, context_{options.report_context} {}

  // Something is wrong, but handled. The default handler prints at most 10 lines a second and then says how
  // many it kept back.
  void warn(const std::string& text);
  // As warn(), for the first call with this topic only.
  enum class topic : std::uint8_t {
    affinity,
    priority,
    queue_near,
    timekeeper,
    system_flush,
    too_early,
    started_early,
    unbounded_without_user
  };
  void warn_once(topic t, const std::string& text);
  // The call would hang or corrupt. Returns only if a handler is set and returns; the call then gives up.
  void misuse(const std::string& text);

  // In a forked child.
  void renew_in_child() noexcept { mu_.renew_in_child(); }

  [[nodiscard]] std::uint64_t warnings() const noexcept { return warnings_.load(base::order::relaxed); }

 private:
  bool admit(unsigned& kept_back);

  const report_handler on_warning_;
  const report_handler on_misuse_;
  void* const context_;

  base::atomic<std::uint64_t> warnings_{0};
  base::atomic<std::uint32_t> told_{0};  // a bit per topic
  base::mutex mu_{base::rank::leaf};
  base::instant window_ WRING_GUARDED_BY(mu_){};
  unsigned in_window_ WRING_GUARDED_BY(mu_) = 0;
  unsigned kept_back_ WRING_GUARDED_BY(mu_) = 0;
};

}  // namespace wring::sched
