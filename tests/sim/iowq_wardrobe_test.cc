// SPDX-License-Identifier: Apache-2.0
// iowq_wardrobe: threads that change identities while the system refuses calls at random (IOWQ-72, IOWQ-128).
//
// Method: a plain model of who a thread has to be, against what its record says, after each step. Refusals come at each
// call, those on the way back included, which machines do rarely.
#include "support/sim_test.h"

#include "base/syscall.h"
#include "base/thread_identity.h"
#include "iowq/identity.h"
#include "iowq/wardrobe.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace {

namespace sim = wring::sim;
namespace self = wring::base::self;
using wring::identity;
using wring::identity_part;
using wring::detail::dressing;
using wring::detail::identity_data;
using wring::detail::wardrobe;

// Who a thread is.
struct somebody {
  self::id_set user = self::user();
  self::id_set group = self::group();
  std::vector<std::uint32_t> groups = own_groups();
  std::uint64_t capabilities = effective();
  std::uint64_t folder = self::folder().number;
  std::uint64_t root = self::root().number;
  int umask = self::umask_of(wring::base::thread_id());
  std::array<std::uint64_t, 4> spaces = own_spaces();
  int io_priority = self::io_priority();
  int nice = wring::base::syscall::current_nice();
  friend bool operator==(const somebody&, const somebody&) = default;

 private:
  static std::vector<std::uint32_t> own_groups() {
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(self::supplementary_groups({})));
    if (!ids.empty()) self::supplementary_groups(ids);
    return ids;
  }
  static std::uint64_t effective() {
    self::capability_set set;
    self::capabilities(set);
    return set.effective;
  }
  static std::array<std::uint64_t, 4> own_spaces() {
    std::array<std::uint64_t, 4> numbers{};
    for (const auto& s : wring::detail::space_parts) {
      numbers.at(static_cast<std::size_t>(s.which)) = self::space_of(0, s.which).number;
    }
    return numbers;
  }
};

// Descriptors are numbers of places.
std::uint64_t number(const wring::base::handle& h) { return static_cast<std::uint64_t>(h.fd()); }

void overlay_credentials(somebody& s, const identity_data& d) {
  const bool effective = d.has(identity_part::credentials);
  s.user.file = d.who.file_user;
  s.group.file = d.who.file_group;
  if (effective) {
    s.user.effective = d.who.effective_user;
    s.group.effective = d.who.effective_group;
  }
  s.groups = d.who.groups;
  if (d.who.file_user != 0) s.capabilities &= effective ? 0 : ~self::file_capabilities;
}

// Whom `d` makes of a thread that is `own`.
somebody with(somebody own, const identity_data* d) {
  if (d == nullptr) return own;
  if (d->has(wring::detail::any_credentials)) overlay_credentials(own, *d);
  if (d->has(identity_part::mount_namespace)) own.folder = own.root = number(d->space(self::space::mount));
  if (d->has(identity_part::root)) {
    if (d->has(identity_part::mount_namespace)) own.folder = number(d->root);
    own.root = number(d->root);
  }
  if (d->has(identity_part::folder)) own.folder = number(d->folder);
  if (d->has(identity_part::umask)) own.umask = static_cast<int>(d->umask);
  for (const auto& s : wring::detail::space_parts) {
    if (d->has(s.part)) own.spaces.at(static_cast<std::size_t>(s.which)) = number(d->space(s.which));
  }
  if (d->has(identity_part::io_priority)) own.io_priority = d->io_priority;
  if (d->has(identity_part::nice)) own.nice = d->nice;
  return own;
}

std::vector<identity> everybody() {
  std::vector<identity> all;
  for (const wring::identity_options& o : std::vector<wring::identity_options>{
           {},
           {.user = 1000, .group = 1000, .groups = {4, 27}},
           {.user = 1001, .group = 1001, .folder = 40, .umask = 077},
           {.user = 1002, .group = 1002, .groups = {4}, .effective = true, .io_priority = 3 << 13},
           {.user = 0, .group = 7, .folder = 41, .root = 42},
           {.folder = 43, .nice = 5, .mount_namespace = 44},
           {.root = 45, .umask = 0, .net_namespace = 46, .mount_namespace = 44},
           {.umask = 0123, .uts_namespace = 47, .ipc_namespace = 48}}) {
    all.push_back(identity::make(o).value());
  }
  return all;
}

// What a worker does: items with identities, and none, until it is tainted.
void changes_clothes(const std::vector<identity>& all) {
  const somebody own;
  wardrobe w;
  for (int i = 0; i < 8; ++i) {
    const identity_data* const next = identity_data::of(all[sim::choose(static_cast<std::uint32_t>(all.size()))]);
    const dressing result = w.put_on(next);
    if (result == dressing::tainted) return sim::count("tainted");
    sim::count(result == dressing::ok ? "dressed" : "refused");
    const identity_data* const worn = result == dressing::ok ? next : nullptr;
    sim::check(w.worn() == worn, "it says what is worn");
    sim::check(somebody{} == with(own, worn), "the thread is who it says");
  }
  if (w.take_off() == dressing::ok) sim::check(somebody{} == own, "taken off, it is itself");
}

void two_change_clothes() {
  const std::vector<identity> all = everybody();
  const somebody test;
  sim::thread first{[&] { changes_clothes(all); }};
  sim::thread second{[&] { changes_clothes(all); }};
  first.join();
  second.join();
  sim::check(somebody{} == test, "the process is who it was");
}

// IOWQ-72, IOWQ-128.
TEST(iowq_wardrobe, is_true_to_what_a_thread_is) {
  const sim::report r = sim::explore({.seeds = 2000}, two_change_clothes);
  EXPECT_SIM_OK(r);
  EXPECT_SIM_EVENT(r, "dressed", 0.9);
  EXPECT_SIM_EVENT(r, "refused", 0.3);
  EXPECT_SIM_EVENT(r, "tainted", 0.3);
  const sim::report hostile = sim::explore({.seeds = 1000, .faults = sim::profile::hostile}, two_change_clothes);
  EXPECT_SIM_OK(hostile);
}

// IOWQ-72, IOWQ-128. Method: the same with a fault planted into the wardrobe.
TEST(iowq_wardrobe, with_a_planted_fault_is_found_out) {
  for (const char* plant : {"left_out_part_forgotten", "way_back_believed", "credentials_kept_between"}) {
    EXPECT_SIM_FINDS(sim::explore({.seeds = 2000, .plants = {plant}, .explain = false}, two_change_clothes), "")
        << plant;
  }
}

}  // namespace
