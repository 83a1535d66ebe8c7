// SPDX-License-Identifier: Apache-2.0
// identity_capture: how descriptions come to be: of the calling thread, from words, and as a trial of what may be
// changed at all.

#include "base/sync.h"
#include "base/syscall.h"
#include "base/thread_identity.h"
#include "iowq/identity.h"
#include "iowq/priorities.h"
#include "iowq/wardrobe.h"

#include <wring/identity.h>
#include <wring/result.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace wring {

namespace detail {

namespace {

namespace self = base::self;

// 0 or -errno, as a handle brings it.
int take_over(base::handle& into, int fd) noexcept {
  into = base::handle{fd};
  return into ? 0 : fd;
}

// ---- of the calling thread

int capture_places(identity_data& d) noexcept {
  if (d.has(identity_part::folder)) {
    if (const int e = take_over(d.folder, self::open_folder(".")); e != 0) return e;
  }
  if (d.has(identity_part::root)) {
    if (const int e = take_over(d.root, self::open_folder("/")); e != 0) return e;
  }
  if (d.has(identity_part::umask)) {
    const int umask = self::umask_of(base::thread_id());
    if (umask < 0) return umask;
    d.umask = static_cast<std::uint32_t>(umask);
  }
  for (const space_part& s : space_parts) {
    if (!d.has(s.part)) continue;
    if (const int e = take_over(d.spaces.at(static_cast<std::size_t>(s.which)), self::open_space(s.which)); e != 0) {
      return e;
    }
  }
  return 0;
}

int capture_into(identity_data& d) {
  if (d.has(any_credentials)) d.who = ask_credentials(d.has(identity_part::credentials));
  if (const int e = capture_places(d); e != 0) return e;
  if (d.has(identity_part::io_priority)) {
    const int value = self::io_priority();
    if (value < 0) return value;
    d.io_priority = plain_io_priority(value);
  }
  if (d.has(identity_part::nice)) d.nice = base::syscall::current_nice();
  if (d.has(identity_part::file_size)) d.file_size = self::file_size_limit();
  int error = 0;
  if (d.has(identity_part::cgroup)) d.groups = ask_control_groups(error);
  return error;
}

// ---- from words

bool is_id(std::uint32_t id) noexcept { return id != ~std::uint32_t{0}; }

int check_who(const identity_options& o) noexcept {
  if (!o.user && !o.group) return o.groups.empty() && !o.effective ? 0 : -EINVAL;
  if (!o.user || !o.group || !is_id(*o.user) || !is_id(*o.group)) return -EINVAL;
  if (o.groups.size() > self::supplementary_groups_max) return -EINVAL;
  return std::all_of(o.groups.begin(), o.groups.end(), is_id) ? 0 : -EINVAL;
}

int check_numbers(const identity_options& o) noexcept {
  constexpr int class_shift = 13;
  constexpr int classes = 4;
  if (o.umask && *o.umask > 0777) return -EINVAL;
  if (o.nice && (*o.nice < -20 || *o.nice > 19)) return -EINVAL;
  if (!o.io_priority) return 0;
  if (*o.io_priority < 0 || *o.io_priority >> class_shift >= classes) return -EINVAL;
  return *o.io_priority == plain_io_priority(*o.io_priority) ? 0 : -EINVAL;  // "none" has no level
}

void make_who(identity_data& d, const identity_options& o) {
  d.who = {.effective = o.effective,
           .file_user = *o.user,
           .file_group = *o.group,
           .effective_user = *o.user,
           .effective_group = *o.group,
           .groups = {o.groups.begin(), o.groups.end()},
           .all_capabilities = *o.user == 0};
  std::sort(d.who.groups.begin(), d.who.groups.end());
  d.parts = d.parts | (o.effective ? identity_part::credentials : identity_part::file_credentials);
}

// Those of options: -1 is none, other negative ones are mistakes.
template <class Check>
int make_handle(identity_data& d, identity_part part, base::handle& into, int fd, const Check& check) noexcept {
  if (fd == -1) return 0;
  if (fd < 0) return -EBADF;
  if (const int e = check(fd); e != 0) return e;
  d.parts = d.parts | part;
  return take_over(into, self::duplicate(fd));
}

int make_handles(identity_data& d, const identity_options& o) noexcept {
  int e = make_handle(d, identity_part::folder, d.folder, o.folder, self::check_folder);
  if (e == 0) e = make_handle(d, identity_part::root, d.root, o.root, self::check_folder);
  const std::array<int, space_parts.size()> given{o.net_namespace, o.uts_namespace, o.ipc_namespace, o.mount_namespace};
  for (std::size_t i = 0; i < given.size() && e == 0; ++i) {
    const space_part& s = space_parts.at(i);
    e = make_handle(d, s.part, d.spaces.at(i), given.at(i), [&](int fd) { return self::check_space(s.which, fd); });
  }
  return e;
}

int make_group(identity_data& d, const std::string& path) {
  base::handle folder{self::open_folder(path.c_str())};
  if (!folder) return folder.fd();
  control_group group = control_group_of(std::move(folder));
  if (group.kind == self::group_kind::none) return -EINVAL;
  d.groups.push_back(std::move(group));
  d.parts = d.parts | identity_part::cgroup;
  return 0;
}

int make_into(identity_data& d, const identity_options& o) {
  int e = check_who(o);
  if (e == 0) e = check_numbers(o);
  if (e == 0) e = make_handles(d, o);
  if (e == 0 && !o.cgroup.empty()) e = make_group(d, o.cgroup);
  if (e != 0) return e;
  const auto number = [&d](identity_part part, auto& into, const auto& given) {
    if (!given) return;
    into = *given;
    d.parts = d.parts | part;
  };
  if (o.user) make_who(d, o);
  number(identity_part::umask, d.umask, o.umask);
  number(identity_part::io_priority, d.io_priority, o.io_priority);
  number(identity_part::nice, d.nice, o.nice);
  number(identity_part::file_size, d.file_size, o.file_size);
  return 0;
}

std::error_code code_of(int error) noexcept { return {-error, std::system_category()}; }

// fill(data) returns 0 or -errno; nothing filled in is nobody.
template <class Fill>
result<identity> made_by(const Fill& fill) try {
  auto data = std::make_unique<identity_data>();
  if (const int e = fill(*data); e != 0) return code_of(e);
  return data->parts == identity_part::none ? identity{} : identity_data::handle_of(data.release());
} catch (const std::bad_alloc&) {
  return code_of(-ENOMEM);
}

// ---- a trial

// Makes of a captured identity another one, where another one is known. Entering a namespace or root takes the same
// right wherever it leads.
void disguise(identity_data& d) noexcept {
  const auto neighbour = [](std::uint32_t id) { return id > 1 ? id - 1 : id + 1; };  // within what a container has
  d.who.file_user = neighbour(d.who.file_user);
  d.who.file_group = neighbour(d.who.file_group);
  d.who.effective_user = neighbour(d.who.effective_user);
  d.who.effective_group = neighbour(d.who.effective_group);
  d.who.groups = {d.who.file_group};
  d.who.capabilities = 0;
  d.umask ^= 077;
  constexpr int best_effort_lowest = 2 << 13 | 7;
  constexpr int idle_class = 3 << 13;
  d.io_priority = d.io_priority == idle_class ? best_effort_lowest : idle_class;
  d.nice = d.nice < 19 ? d.nice + 1 : d.nice - 1;
}

struct trial {
  identity_part parts;
  bool passed = false;
};

// There is no other group to go to; the own one takes the same right.
bool may_enter_a_group() {
  int error = 0;
  const std::vector<control_group> groups = ask_control_groups(error);
  return std::any_of(groups.begin(), groups.end(),
                     [](const control_group& g) { return self::enter_group(g.kind, g.folder.fd()) == 0; });
}

bool passes(identity_part parts) {
  identity_data d;
  d.parts = parts;
  if (has_any(parts, identity_part::cgroup) && !may_enter_a_group()) return false;
  if (capture_into(d) != 0) return false;
  disguise(d);
  wardrobe w;
  return w.put_on(&d) == dressing::ok && w.take_off() == dressing::ok;
}

}  // namespace

}  // namespace detail

result<identity> identity::capture(identity_part parts) {
  using namespace detail;
  if (without(parts, all_parts) != identity_part::none || (parts & any_credentials) == any_credentials) {
    return code_of(-EINVAL);
  }
  return made_by([parts](identity_data& d) {
    d.parts = parts;
    return capture_into(d);
  });
}

result<identity> identity::make(const identity_options& options) {
  return detail::made_by([&options](detail::identity_data& d) { return detail::make_into(d, options); });
}

bool identity::supported(identity_part parts) {
  using namespace detail;
  if (without(parts, all_parts) != identity_part::none) return false;
  // Of the two kinds of credentials the greater one contains the other.
  if ((parts & any_credentials) == any_credentials) parts = without(parts, identity_part::file_credentials);
  trial t{.parts = parts};
  base::thread thread;
  const auto run = [](void* argument) {
    auto* const asked = static_cast<trial*>(argument);
    try {
      asked->passed = passes(asked->parts);
    } catch (const std::bad_alloc&) {
      asked->passed = false;
    }
  };
  if (base::thread_create(thread, {.name = "wring-trial"}, run, &t) != 0) return false;
  base::thread_join(thread);
  return t.passed;
}

}  // namespace wring
