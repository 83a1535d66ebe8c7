// SPDX-License-Identifier: Apache-2.0

#include "base/cpus.h"

#include "base/cgroup.h"
#include "base/check.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>

namespace wring::base {

namespace {

std::optional<unsigned> number_of_cpus(std::string_view text) noexcept {
  unsigned asked = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), asked);
  const bool usable =
      error == std::errc{} && stop == text.data() + text.size() && asked >= 1 && asked <= cpu_plan::most;
  return usable ? std::optional{asked} : std::nullopt;
}

cpu_plan plan_without_override(const std::string& root, std::size_t mask_cpus) {
  const auto mask = static_cast<unsigned>(std::clamp<std::size_t>(mask_cpus, 1, cpu_plan::most));
  const cpu_quota quota = read_cpu_quota(root);
  cpu_plan plan{.count = mask, .by = cpu_plan::bound::affinity, .why = {}, .complaint = {}};
  if (quota.cpus && *quota.cpus < mask) {
    plan.count = *quota.cpus;
    plan.by = cpu_plan::bound::quota;
  }
  writer w;
  w.put("the affinity mask has ", mask, mask == 1 ? " CPU; " : " CPUs; ");
  if (quota.cpus) {
    w.put("the cgroup quota is worth ", *quota.cpus, " (", quota.why, ")");
  } else {
    w.put("no cgroup quota is known (", quota.why, ")");
  }
  plan.why = std::move(w).take();
  return plan;
}

}  // namespace

cpu_plan plan_cpus(const char* override_text, const std::string& root, std::size_t mask_cpus) {
  const std::string_view text = override_text != nullptr ? override_text : "";
  if (const auto asked = number_of_cpus(text)) {
    return {.count = *asked, .by = cpu_plan::bound::environment, .why = "WRING_CPUS says so", .complaint = {}};
  }
  cpu_plan plan = plan_without_override(root, mask_cpus);
  if (!text.empty()) {
    writer w;
    w.put("WRING_CPUS=", text, " is not a number from 1 to ", cpu_plan::most, "; planning for ", plan.count,
          plan.count == 1 ? " CPU: " : " CPUs: ", plan.why);
    plan.complaint = std::move(w).take();
  }
  return plan;
}

// The file holds a list of CPUs, "(null)", or nothing.
bool some_cpus_have_no_tick(const std::string& root) {
  std::ifstream file{root + "/sys/devices/system/cpu/nohz_full"};
  const int first = file.peek();
  return first >= '0' && first <= '9';
}

std::string isolated_cpus(const std::string& root) {
  std::ifstream file{root + "/sys/devices/system/cpu/isolated"};
  std::string list;
  std::getline(file, list);
  return list;
}

}  // namespace wring::base
