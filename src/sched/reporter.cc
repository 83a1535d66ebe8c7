// SPDX-License-Identifier: Apache-2.0

#include "sched/reporter.h"

#include <cstdio>
#include <cstdlib>

namespace wring::sched {

namespace {
constexpr unsigned lines_per_second = 10;
}

bool reporter::admit(unsigned& kept_back) {
  const base::instant now = base::clock::now();
  const base::lock_guard lock{mu_};
  if (in_window_ == 0 || now - window_ >= std::chrono::seconds{1}) {
    window_ = now;
    in_window_ = 0;
  }
  if (in_window_ == lines_per_second) {
    ++kept_back_;
    return false;
  }
  ++in_window_;
  kept_back = kept_back_;
  kept_back_ = 0;
  return true;
}

void reporter::warn(const std::string& text) {
  warnings_.fetch_add(1, base::order::relaxed);
  if (on_warning_ != nullptr) {
    on_warning_(text.c_str(), context_);
    return;
  }
  unsigned kept_back = 0;
  if (!admit(kept_back)) return;
  if (kept_back != 0) std::fprintf(stderr, "wring: (%u warnings not shown)\n", kept_back);
  std::fprintf(stderr, "wring: %s\n", text.c_str());
}

void reporter::warn_once(topic t, const std::string& text) {
  const std::uint32_t bit = 1U << static_cast<unsigned>(t);
  if ((told_.fetch_or(bit, base::order::relaxed) & bit) == 0) warn(text);
}

void reporter::misuse(const std::string& text) {
  if (on_misuse_ != nullptr) {
    on_misuse_(text.c_str(), context_);
    return;
  }
  std::fprintf(stderr, "wring: misuse: %s\n", text.c_str());
  std::abort();
}

}  // namespace wring::sched
