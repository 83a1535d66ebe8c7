// SPDX-License-Identifier: Apache-2.0
// wq_world: a runtime for one simulated run, with what it had to complain about. For tests only.
//
// Its first threads are always created (a runtime without them cannot be made); from then on the fault
// profile rules. Misuse fails the run. Plain data of a test may be shared by its threads, because all of them
// are one thread of the machine; what the library must order is put into base::checked.
#pragma once

#include "base/sync.h"
#include "sim/sim.h"

#include <wring/wring.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace wring::sim::test {

class world {
 public:
  explicit world(runtime_options o = {.cpus = 2, .max_workers = 8}) {
    o.on_warning = [](const char* text, void* self) { static_cast<world*>(self)->warnings_.emplace_back(text); };
    o.on_misuse = [](const char* text, void*) { check(false, "no misuse", text); };
    o.report_context = this;
    const calm no_faults;
    runtime_ = std::make_unique<runtime>(o);
  }
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world() { runtime_->audit(); }

  // NOLINTNEXTLINE(google-explicit-constructor): a world stands for its runtime
  operator runtime&() noexcept { return *runtime_; }
  runtime* operator->() noexcept { return runtime_.get(); }

  [[nodiscard]] unsigned warnings_with(std::string_view part) const {
    unsigned n = 0;
    for (const std::string& w : warnings_) n += w.find(part) != std::string::npos ? 1u : 0u;
    return n;
  }

 private:
  std::vector<std::string> warnings_;
  std::unique_ptr<runtime> runtime_;
};

}  // namespace wring::sim::test
