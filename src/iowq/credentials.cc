// SPDX-License-Identifier: Apache-2.0

#include "iowq/credentials.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>

namespace wring::detail {

namespace self = base::self;

namespace {

// Another thread changes only itself, so there are as many as there were when it is asked again.
std::vector<std::uint32_t> ask_groups() {
  const int count = self::supplementary_groups({});
  std::vector<std::uint32_t> ids(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (!ids.empty()) self::supplementary_groups(ids);
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool set_ids(const self::id_set& user, const self::id_set& group, bool effective) noexcept {
  const self::id_change change;
  // The effective ones set those for files, which may be others. The group first: it needs what the user takes.
  return (!effective || self::set_effective_group(group.effective) == 0) && self::set_file_group(group.file) == 0 &&
         (!effective || self::set_effective_user(user.effective) == 0) && self::set_file_user(user.file) == 0;
}

}  // namespace

credentials ask_credentials(bool effective) {
  const self::id_set user = self::user();
  const self::id_set group = self::group();
  self::capability_set capabilities;
  self::capabilities(capabilities);
  return {.effective = effective,
          .file_user = user.file,
          .file_group = group.file,
          .effective_user = user.effective,
          .effective_group = group.effective,
          .groups = ask_groups(),
          .capabilities = capabilities.effective};
}

struct changed_credentials::goal {
  self::id_set user;
  self::id_set group;
  std::span<const std::uint32_t> groups;
  std::uint64_t effective;
};

changed_credentials::goal changed_credentials::goal_of(const credentials& next) const noexcept {
  goal g{.user = user_, .group = group_, .groups = next.groups, .effective = 0};
  g.user.file = next.file_user;
  g.group.file = next.file_group;
  if (next.effective) {
    g.user.effective = next.effective_user;
    g.group.effective = next.effective_group;
  }
  const std::uint64_t taken = next.effective ? ~std::uint64_t{0} : self::file_capabilities;
  const std::uint64_t wanted = next.all_capabilities ? capabilities_.permitted : next.capabilities;
  g.effective = (capabilities_.effective & ~taken) | (wanted & taken);
  return g;
}

bool changed_credentials::have_groups(std::span<const std::uint32_t> wanted) noexcept {
  const int count = self::supplementary_groups(asked_);
  if (count < 0) return false;  // also: more than there is room for
  const std::span groups{asked_.data(), static_cast<std::size_t>(count)};
  std::sort(groups.begin(), groups.end());
  return std::equal(groups.begin(), groups.end(), wanted.begin(), wanted.end());
}

bool changed_credentials::have(const goal& wanted) noexcept {
  self::capability_set now;
  return self::user() == wanted.user && self::group() == wanted.group && self::capabilities(now) == 0 &&
         now.effective == wanted.effective && now.permitted == capabilities_.permitted && have_groups(wanted.groups);
}

void changed_credentials::learn(const credentials& next) {
  groups_ = ask_groups();
  asked_.resize(std::max(groups_.size(), next.groups.size()) + 1);  // none would ask for the number
  user_ = self::user();
  group_ = self::group();
  self::capabilities(capabilities_);
}

bool changed_credentials::are(const credentials& worn) noexcept { return have(goal_of(worn)); }

// What is the thread's own already needs no right, and is not set.
bool changed_credentials::put_on(const credentials& next) noexcept {
  const goal g = goal_of(next);
  // Who is root by nothing but the effective id loses all capabilities when leaving it.
  if (g.user.effective == 0 && user_.effective != 0 && user_.real != 0 && user_.saved != 0) return false;
  if (!have_groups(g.groups) && self::set_supplementary_groups(g.groups) != 0) return false;
  if ((g.user != user_ || g.group != group_) && !set_ids(g.user, g.group, next.effective)) return false;
  self::capability_set capabilities = capabilities_;
  capabilities.effective = g.effective;
  // Last: they are the right to do the rest. And always: a change from a user other than root leaves them.
  return self::set_capabilities(capabilities) == 0;
}

// What is refused shows when it is asked for. Capabilities first, as they are the right to do the rest, and last, as
// they follow the user.
bool changed_credentials::take_off() noexcept {
  self::set_capabilities(capabilities_);
  const self::id_set user = self::user();
  const self::id_set group = self::group();
  if (user != user_ || group != group_) {
    set_ids(user_, group_, user.effective != user_.effective || group.effective != group_.effective);
  }
  if (!have_groups(groups_)) self::set_supplementary_groups(groups_);
  self::set_capabilities(capabilities_);
  return have({.user = user_, .group = group_, .groups = groups_, .effective = capabilities_.effective});
}

}  // namespace wring::detail
