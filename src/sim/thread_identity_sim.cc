// SPDX-License-Identifier: Apache-2.0
// thread_identity_sim: base/thread_identity.h as simulations have it: a record of each thread. What takes a right is
// refused to who lacks it, and to others as often as the profile says. There are no groups of control.

#include "base/thread_identity.h"

#include "sim/simulation.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>

namespace wring::base {

namespace {

using sim::simulation;
using sim::thread_self;

// The process itself, outside of a run too.
const thread_self& process() noexcept {
  static constexpr thread_self unchanged;
  return unchanged;
}

const thread_self& mine() noexcept {
  const simulation* const s = simulation::current();
  return s != nullptr ? s->self() : process();
}

constexpr std::uint64_t no_right = 0;

// Changes the calling thread, if it may do that.
template <class Change>
int change(std::uint64_t right, const Change& how) noexcept {
  simulation* const s = simulation::current();
  if (s == nullptr) return -EPERM;
  thread_self& t = s->self();
  if ((t.capabilities.effective & right) != right || s->refuses_call()) return -EPERM;
  how(t);
  return 0;
}

// The same for places. Without having unshared them it would move the whole process.
template <class Change>
int move(std::uint64_t right, const Change& how) noexcept {
  return change(right, [&how](thread_self& t) {
    if (!t.unshared) simulation::current()->fail(sim::failure_kind::misuse, "a thread moves the process's places");
    how(t);
  });
}

// As capabilities follow the user from and to root.
void follow(thread_self& t, std::uint32_t before, std::uint32_t after, std::uint64_t those) noexcept {
  if (before == 0 && after != 0) t.capabilities.effective &= ~those;
  if (before != 0 && after == 0) t.capabilities.effective |= t.capabilities.permitted & those;
}

}  // namespace

handle::~handle() = default;

namespace self {

id_set user() noexcept { return mine().user; }
id_set group() noexcept { return mine().group; }

id_change::id_change() noexcept : dumpable_{1} {}
id_change::~id_change() = default;

int set_effective_user(std::uint32_t id) noexcept {
  return change(self::capability_bit(CAP_SETUID), [id](thread_self& t) {
    follow(t, t.user.effective, id, ~std::uint64_t{0});
    t.user.effective = t.user.file = id;
  });
}

int set_effective_group(std::uint32_t id) noexcept {
  return change(self::capability_bit(CAP_SETGID), [id](thread_self& t) { t.group.effective = t.group.file = id; });
}

int set_file_user(std::uint32_t id) noexcept {
  if (mine().user.file == id) return 0;
  return change(self::capability_bit(CAP_SETUID), [id](thread_self& t) {
    follow(t, t.user.file, id, file_capabilities);
    t.user.file = id;
  });
}

int set_file_group(std::uint32_t id) noexcept {
  if (mine().group.file == id) return 0;
  return change(self::capability_bit(CAP_SETGID), [id](thread_self& t) { t.group.file = id; });
}

int supplementary_groups(std::span<std::uint32_t> ids) noexcept {
  const thread_self& t = mine();
  if (!ids.empty() && ids.size() < t.group_count) return -EINVAL;
  if (!ids.empty()) std::copy_n(t.groups.begin(), t.group_count, ids.begin());
  return static_cast<int>(t.group_count);
}

int set_supplementary_groups(std::span<const std::uint32_t> ids) noexcept {
  if (ids.size() > thread_self::groups_max) return -EINVAL;
  return change(self::capability_bit(CAP_SETGID), [ids](thread_self& t) {
    std::copy(ids.begin(), ids.end(), t.groups.begin());
    t.group_count = static_cast<std::uint32_t>(ids.size());
  });
}

int capabilities(capability_set& set) noexcept {
  set = mine().capabilities;
  return 0;
}

int set_capabilities(const capability_set& set) noexcept {
  simulation* const s = simulation::current();
  const std::uint64_t permitted = mine().capabilities.permitted;
  if (s == nullptr || (set.permitted & ~permitted) != 0 || (set.effective & ~set.permitted) != 0) return -EPERM;
  if (s->refuses_call()) return -EPERM;
  s->self().capabilities = set;
  return 0;
}

int unshare_places() noexcept {
  simulation* const s = simulation::current();
  if (s == nullptr || s->refuses_call()) return -ENOMEM;
  s->self().unshared = true;
  return 0;
}

int open_folder(const char* path) noexcept { return path[0] == '/' ? mine().root : mine().folder; }
int open_folder_of(std::uint32_t /*tid*/) noexcept { return process().folder; }
int enter_folder(int folder) noexcept {
  return move(no_right, [folder](thread_self& t) { t.folder = folder; });
}
int enter_root(int folder) noexcept {
  return move(self::capability_bit(CAP_SYS_CHROOT), [folder](thread_self& t) { t.root = t.folder = folder; });
}
place folder() noexcept { return place_of(mine().folder); }
place root() noexcept { return place_of(mine().root); }

std::uint32_t set_umask(std::uint32_t bits) noexcept {
  const std::uint32_t before = mine().umask;
  if (simulation* const s = simulation::current(); s != nullptr && before != bits) {
    if (!s->self().unshared) s->fail(sim::failure_kind::misuse, "a thread changes the process's umask");
    s->self().umask = bits;
  }
  return before;
}

int umask_of(std::uint32_t tid) noexcept {
  const simulation* const s = simulation::current();
  return static_cast<int>(s != nullptr && tid == s->thread_id() ? mine().umask : process().umask);
}

int duplicate(int fd) noexcept { return fd; }
int check_folder(int /*fd*/) noexcept { return 0; }
place place_of(int fd) noexcept { return {.device = 0, .number = static_cast<std::uint64_t>(fd)}; }
std::size_t name_of(int /*fd*/, std::span<char> /*text*/) noexcept { return 0; }

int open_space(space which) noexcept { return mine().spaces.at(static_cast<std::size_t>(which)); }
int enter_space(space which, int fd) noexcept {
  const auto enter = [which, fd](thread_self& t) { t.spaces.at(static_cast<std::size_t>(which)) = fd; };
  if (which != space::mount) return change(self::capability_bit(CAP_SYS_ADMIN), enter);
  return move(self::capability_bit(CAP_SYS_ADMIN), [&enter, fd](thread_self& t) {
    enter(t);
    t.root = t.folder = fd;  // the root of the mounts goes by their number
  });
}
int check_space(space /*which*/, int /*fd*/) noexcept { return 0; }
int open_self() noexcept { return 0; }
place space_of(int /*self*/, space which) noexcept { return place_of(open_space(which)); }

int io_priority() noexcept { return mine().io_priority; }
int set_io_priority(int value) noexcept {
  return change(no_right, [value](thread_self& t) { t.io_priority = value; });
}
int nice_limit() noexcept { return 20; }
std::uint64_t file_size_limit() noexcept { return ~std::uint64_t{0}; }

group_kind group_kind_of(int /*folder*/) noexcept { return group_kind::none; }
int enter_group(group_kind /*kind*/, int /*folder*/) noexcept { return -ENOENT; }

}  // namespace self

}  // namespace wring::base
