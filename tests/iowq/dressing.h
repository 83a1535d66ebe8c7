// SPDX-License-Identifier: Apache-2.0
// dressing: what tests of a wardrobe say often; and children in which some system calls are refused.
#pragma once

#include "iowq/facts.h"
#include "iowq/identity.h"
#include "iowq/parts.h"
#include "iowq/wardrobe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

namespace wring::test {

using detail::dressing;
using detail::wardrobe;

inline const detail::identity_data* of(const identity& who) { return detail::identity_data::of(who); }

// Claims about texts; both are shown.
inline void check_seen(claims& c, const std::string& seen, const std::string& expected, const char* when) {
  c.check(seen == expected, (std::string{when} + ": \"" + expected + "\", but \"" + seen + "\"").c_str());
}

// An identity that leaves out what `kind` is about.
inline identity another_than(const part_kind& kind) {
  if (std::string{kind.name} == "umask") return identity::make({.io_priority = 3 << 13}).value();
  return identity::make({.umask = 0123}).value();
}

// From now on these calls of the calling thread are refused with EPERM, for good.
inline bool refuse_calls(const std::vector<long>& numbers) {
  std::vector<sock_filter> code{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  for (const long number : numbers) {
    code.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<unsigned>(number)});
    code.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM});
  }
  code.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  const sock_fprog filter{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// The whole process, which has one thread, becomes a user without any right, for good.
inline bool give_up_everything() {
  return raw(SYS_setgroups, 0, nullptr) == 0 && ::setresgid(strange_group, strange_group, strange_group) == 0 &&
         ::setresuid(stranger, stranger, stranger) == 0 && ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

class each_part : public ::testing::TestWithParam<std::string> {
 protected:
  // Why not here; then nothing else may be used.
  std::string unavailable() {
    if (kind_.needs_root && !is_root()) return "only root may change what a thread is";
    part_ = kind_.make();
    return part_->obstacle();
  }
  [[nodiscard]] const part_kind& kind() const { return kind_; }
  [[nodiscard]] part& its() const { return *part_; }

 private:
  const part_kind& kind_ = kind_named(GetParam());
  std::unique_ptr<part> part_;
};

inline auto names_of_parts(bool (*wanted)(const part_kind&)) {
  std::vector<std::string> names;
  for (const part_kind& kind : part_kinds()) {
    if (wanted(kind)) names.emplace_back(kind.name);
  }
  return ::testing::ValuesIn(names);
}
inline std::string name_of_case(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace wring::test
