// SPDX-License-Identifier: Apache-2.0
// cgroup: quotas of v1, v2 and both, of groups and of those above them, in all views that containers give.
#include "base/cgroup.h"

#include "base/fake_root.h"
#include "support/control_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace wring::base {
namespace {

using test::fake_root;
using test::v2_root;

using cpus = std::optional<unsigned>;
constexpr std::nullopt_t none = std::nullopt;

cpu_quota quota_in(const fake_root& root) { return read_cpu_quota(root.path()); }

// Both the number and the reason.
void expect(const fake_root& root, cpus wanted, const std::string& reason) {
  const cpu_quota found = quota_in(root);
  EXPECT_EQ(found.cpus, wanted) << found.why;
  EXPECT_NE(found.why.find(reason), std::string::npos) << found.why;
}

// --- v2 -----------------------------------------------------------------------------------------------------

TEST(cgroup_v2, a_quota_is_rounded_up_to_whole_cpus) {
  const struct {
    const char* text;
    cpus wanted;
  } cases[] = {{"100000 100000\n", 1},
               {"150000 100000\n", 2},
               {"50000 100000\n", 1},
               {"1 100000\n", 1},
               {"1 1\n", 1},
               {"200001 100000\n", 3},
               {"800000 100000\n", 8},
               {"max 100000\n", none},
               {"max\n", none},
               {"250000 50000", 5},
               {"1000 1000000\n", 1},
               {"9223372036854775807 1\n", UINT_MAX},
               {"9223372036854775807 9223372036854775807\n", 1}};
  for (const auto& c : cases) {
    fake_root root = v2_root();
    root.file("sys/fs/cgroup/a/b/cpu.max", c.text);
    EXPECT_EQ(quota_in(root).cpus, c.wanted) << c.text;
  }
}

// Method: the tightest group stands at each level in turn.
TEST(cgroup_v2, the_least_of_all_groups_up_to_the_mount_counts) {
  const std::vector<std::string> levels{"sys/fs/cgroup", "sys/fs/cgroup/a", "sys/fs/cgroup/a/b"};
  for (const std::string& tightest : levels) {
    fake_root root = v2_root();
    for (const std::string& level : levels) {
      root.file(level + "/cpu.max", level == tightest ? "200000 100000\n" : "900000 100000\n");
    }
    expect(root, 2, tightest + "/cpu.max allows 200000 us of each 100000 us");
  }
}

TEST(cgroup_v2, a_level_without_the_controller_does_not_hide_those_above_it) {
  fake_root root = v2_root();
  root.file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  root.file("sys/fs/cgroup/a/b/cgroup.procs", "1\n");
  expect(root, 3, "/a/cpu.max");
}

TEST(cgroup_v2, a_group_beside_the_way_up_does_not_count) {
  fake_root root = v2_root();
  root.file("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  root.file("sys/fs/cgroup/a/c/cpu.max", "100000 100000\n").file("sys/fs/cgroup/b/cpu.max", "100000 100000\n");
  expect(root, none, "no group sets a limit");
}

TEST(cgroup_v2, a_weight_is_no_quota) {
  fake_root root = v2_root();
  root.file("sys/fs/cgroup/a/b/cpu.weight", "1\n").file("sys/fs/cgroup/a/b/cpu.weight.nice", "19\n");
  root.file("sys/fs/cgroup/a/b/cpu.max.burst", "0\n").file("sys/fs/cgroup/a/b/cpu.idle", "1\n");
  expect(root, none, "no group of the process has a cpu controller");
}

// --- v1 -----------------------------------------------------------------------------------------------------

TEST(cgroup_v1, quota_and_period_stand_in_two_files_and_minus_one_is_none) {
  const struct {
    const char *quota, *period;
    cpus wanted;
  } cases[] = {{"150000", "100000", 2}, {"50000", "100000", 1}, {"-1", "100000", none}, {"1", "100000", 1},
               {"400000", "100000", 4}, {"10000", "2500", 4},   {"10001", "2500", 5}};
  for (const auto& c : cases) {
    fake_root root{"3:memory:/x\n2:cpu:/a\n"};
    root.mount("/", "/sys/fs/cgroup/cpu", "cgroup cpu").v1_quota("sys/fs/cgroup/cpu/a", c.quota, c.period);
    expect(root, c.wanted, c.wanted ? "cpu/a/cpu.cfs_quota_us allows " : "no group sets a limit");
  }
}

TEST(cgroup_v1, groups_above_count) {
  fake_root root{"2:cpu:/a/b/c\n"};
  root.mount("/", "/cpu", "cgroup cpu");
  root.v1_quota("cpu", "-1").v1_quota("cpu/a", "200000").v1_quota("cpu/a/b", "-1").v1_quota("cpu/a/b/c", "800000");
  expect(root, 2, "cpu/a/cpu.cfs_quota_us allows 200000 us");
}

// Method: the same process under every order of names; and with controllers whose names only begin like it.
TEST(cgroup_v1, the_controller_is_found_among_those_mounted_with_it) {
  for (const char* const list : {"cpu,cpuacct", "cpuacct,cpu", "cpuset,cpu,cpuacct"}) {
    fake_root root{"9:cpuset:/wrong\n8:cpuacct:/wrong\n4:" + std::string{list} + ":/right\n0::/wrong\n"};
    root.mount("/", "/sets", "cgroup cpuset");
    root.mount("/", "/all", std::string{"cgroup "} + list);
    root.v1_quota("sets/wrong", "100000").v1_quota("sets/right", "100000").v1_quota("all/wrong", "100000");
    root.v1_quota("all/right", "300000");
    expect(root, 3, "all/right/cpu.cfs_quota_us");
  }
}

TEST(cgroup_v1, shares_are_no_quota) {
  fake_root root{"2:cpu:/a\n"};
  root.mount("/", "/cpu", "cgroup cpu").file("cpu/a/cpu.shares", "2\n");
  expect(root, none, "no group of the process has a cpu controller");
}

// --- both ---------------------------------------------------------------------------------------------------

// Method: v2 files that the kernel would not make tempt the reader.
TEST(cgroup_hybrid, the_hierarchy_that_has_the_controller_counts) {
  fake_root root{"5:cpu,cpuacct:/a\n1:name=systemd:/s\n0::/b\n"};
  root.mount("/", "/sys/fs/cgroup/unified", "cgroup2").mount("/", "/sys/fs/cgroup/cpu", "cgroup cpu,cpuacct");
  root.file("sys/fs/cgroup/unified/b/cpu.max", "100000 100000\n").v1_quota("sys/fs/cgroup/cpu/a", "350000");
  expect(root, 4, "cpu/a/cpu.cfs_quota_us");
}

TEST(cgroup_hybrid, v2_counts_if_v1_has_other_controllers_only) {
  fake_root root{"5:cpuset:/a\n3:cpuacct:/a\n1:name=systemd:/s\n0::/b\n"};
  root.mount("/", "/sys/fs/cgroup/cpuset", "cgroup cpuset").mount("/", "/sys/fs/cgroup/unified", "cgroup2");
  root.file("sys/fs/cgroup/unified/b/cpu.max", "450000 100000\n").v1_quota("sys/fs/cgroup/cpuset/a", "100000");
  expect(root, 5, "unified/b/cpu.max");
}

// --- views of containers ------------------------------------------------------------------------------------

// The mount shows the container's group at its top; paths are those of the host.
TEST(cgroup_view, a_mount_of_a_part_is_read_from_that_part_on) {
  fake_root root{"4:cpu:/docker/x/inner\n"};
  root.mount("/docker/x", "/cpu", "cgroup cpu");
  root.v1_quota("cpu", "200000").v1_quota("cpu/inner", "300000").v1_quota("cpu/docker/x/inner", "100000");
  expect(root, 2, "cpu/cpu.cfs_quota_us");
}

// A name that begins like the mount's is another group.
TEST(cgroup_view, a_mount_of_another_part_does_not_count) {
  for (const char* const top : {"/docker/y", "/docker/x/inner/deeper", "/dock", "/../other"}) {
    fake_root root{"0::/docker/x/inner\n"};
    root.mount(top, "/cpu", "cgroup2").file("cpu/cpu.max", "100000 100000\n");
    expect(root, none, "/docker/x/inner is below no mount");
  }
}

// The mount was made outside of the namespace: its top is an ancestor, but what is between has no name here.
TEST(cgroup_view, of_a_mount_from_above_the_namespace_only_the_top_is_read) {
  fake_root root{"0::/x\n"};
  root.mount("/../..", "/cpu", "cgroup2");
  root.file("cpu/cpu.max", "300000 100000\n").file("cpu/x/cpu.max", "100000 100000\n");
  expect(root, 3, "/cpu/cpu.max");
}

// The process was put into a group beside its namespace, and the mount begins there or above.
TEST(cgroup_view, a_process_outside_of_its_namespace_is_found) {
  fake_root same{"0::/../x/y\n"};
  same.mount("/..", "/cpu", "cgroup2").file("cpu/x/cpu.max", "300000 100000\n");
  expect(same, 3, "/cpu/x/cpu.max");
  fake_root part{"0::/../x/y\n"};
  part.mount("/../x", "/cpu", "cgroup2").file("cpu/y/cpu.max", "400000 100000\n");
  expect(part, 4, "/cpu/y/cpu.max");
  fake_root outside{"0::/../x\n"};
  outside.mount("/", "/cpu", "cgroup2").file("cpu/cpu.max", "100000 100000\n");
  expect(outside, none, "below no mount");
}

TEST(cgroup_view, a_group_that_is_not_visible_does_not_hide_the_top_of_the_mount) {
  fake_root root{"0::/docker/x\n"};
  root.mount("/", "/cpu", "cgroup2").file("cpu/cpu.max", "200000 100000\n");
  expect(root, 2, "/cpu/cpu.max");
}

TEST(cgroup_view, of_several_mounts_each_shows_its_groups) {
  fake_root root{"0::/a/b\n"};
  root.mount("/a/b", "/small", "cgroup2").mount("/", "/large", "cgroup2").mount("/c", "/other", "cgroup2");
  root.file("small/cpu.max", "500000 100000\n").file("other/cpu.max", "100000 100000\n");
  root.file("large/a/cpu.max", "400000 100000\n");
  expect(root, 4, "large/a/cpu.max");
}

TEST(cgroup_view, what_is_mounted_over_hides_what_was_there) {
  fake_root root{"0::/a\n"};
  root.mount("/", "/cpu", "cgroup2").mount("/", "/cpu", "tmpfs").file("cpu/a/cpu.max", "100000 100000\n");
  expect(root, none, "below no mount");
}

TEST(cgroup_view, mount_points_may_contain_blanks_and_backslashes) {
  fake_root root{"0::/a b\\040/c:d\n"};
  root.mount("/a\\040b\\134040", "/my\\040\\134cpu\\011", "cgroup2");
  root.file("my \\cpu\t/c:d/cpu.max", "700000 100000\n");
  expect(root, 7, "my \\cpu\t/c:d/cpu.max");
}

// --- what cannot be read or understood ----------------------------------------------------------------------

TEST(cgroup_garbage, a_missing_file_is_named) {
  const test::temporary_folder empty;
  EXPECT_EQ(read_cpu_quota(empty.path("")).cpus, none);
  EXPECT_NE(read_cpu_quota(empty.path("")).why.find("proc/self/cgroup: No such file"), std::string::npos);
  expect(fake_root{"0::/a\n"}, none, "proc/self/mountinfo: No such file");
  EXPECT_EQ(read_cpu_quota("").cpus, read_cpu_quota("/").cpus) << "without a root it is the machine's";
}

TEST(cgroup_garbage, a_process_without_a_cgroup_is_told_so) {
  for (const char* const text : {"", "\n\n\n", ":", "::", "0::", "nonsense", "3:memory:/a\n", "1:name=cpu:/a\n"}) {
    fake_root root{text};
    root.mount("/", "/cpu", "cgroup2").file("cpu/cpu.max", "100000 100000\n");
    expect(root, none, "in no cgroup");
  }
}

TEST(cgroup_garbage, a_group_whose_path_the_kernel_would_not_write_is_not_looked_for) {
  for (const char* const text : {"0::a\n", "0::/a/../b\n", "2:cpu:\n", "2:cpu\n", "0::/./a\n"}) {
    fake_root root{text};
    root.mount("/", "/cpu", "cgroup2").mount("/", "/cpu1", "cgroup cpu");
    root.file("cpu/cpu.max", "100000 100000\n").v1_quota("cpu1", "100000");
    expect(root, none, "cannot make sense of");
  }
}

TEST(cgroup_garbage, mount_lines_that_make_no_sense_are_passed_over) {
  fake_root root = v2_root();
  root.file("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  const std::string good = "\n30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw";
  for (const std::string bad : {"", " ", "- - - - -", "1 2 3 / /x", "30 22 0:27 / /x rw - ", "x - cgroup2 cgroup2 rw",
                                "1 2 3 . /sys - cgroup2 c rw", "1 2 3 \\ \\1 \\12 - cgroup2 c rw"}) {
    root.file("proc/self/mountinfo", bad + good);
    expect(root, 2, "/a/cpu.max");
  }
}

TEST(cgroup_garbage, a_quota_that_makes_no_sense_is_no_limit_and_named) {
  for (const char* const text :
       {"", "\n", "x", "100000", "100000 \n", "100000 0\n", "0 100000\n", "-5 100000\n", "100000 -5\n", "1e5 100000\n",
        "100000  100000\n", " 100000 100000\n", "0x10 1\n", "99999999999999999999999 100000\n",
        "100000 99999999999999999999999\n", "100000 100000 100000\n", "100000 100000\n100000 100000\n"}) {
    fake_root root = v2_root();
    root.file("sys/fs/cgroup/a/b/cpu.max", text);
    expect(root, none, "cannot make sense of");
    root.file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    expect(root, 3, "cannot make sense of");
  }
  for (const auto& [quota, period] : {std::pair{"100000", "0"}, {"0", "100000"}, {"-2", "100000"}, {"", ""}}) {
    fake_root root{"2:cpu:/a\n"};
    root.mount("/", "/cpu", "cgroup cpu").v1_quota("cpu/a", quota, period);
    expect(root, none, "cannot make sense of");
  }
}

// Method: in place of each file something that cannot be read, that is endless, or that waits for a writer.
TEST(cgroup_garbage, what_cannot_be_read_holds_nobody_up) {
  const auto replaced = [](const std::string& name, const auto& make, const std::string& reason) {
    fake_root root = v2_root();
    root.file("sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
    std::filesystem::remove(root.path(name));
    make(root.path(name));
    expect(root, none, reason);
  };
  const auto folder = [](const std::string& path) { std::filesystem::create_directory(path); };
  const auto endless = [](const std::string& path) { std::filesystem::create_symlink("/dev/zero", path); };
  const auto loop = [](const std::string& path) { std::filesystem::create_symlink(path, path); };
  const auto pipe = [](const std::string& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); };
  for (const char* const name : {"proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/a/b/cpu.max"}) {
    replaced(name, folder, "cannot read");
    replaced(name, endless, "cannot read");
    replaced(name, loop, "cannot read");
  }
  replaced("proc/self/cgroup", pipe, "in no cgroup");
  replaced("proc/self/mountinfo", pipe, "below no mount");
  replaced("sys/fs/cgroup/a/b/cpu.max", pipe, "cannot make sense of");
}

TEST(cgroup_garbage, a_group_thousands_of_levels_deep_is_read_to_its_end) {
  std::string deep;
  for (int level = 0; level < 2000; ++level) deep += "/d";
  fake_root root{"0::" + deep + '\n'};
  root.mount("/", "/cpu", "cgroup2").file("cpu/d/cpu.max", "200000 100000\n");
  expect(root, 2, "/cpu/d/cpu.max");
  root.file("proc/self/cgroup", "0::" + std::string(200'000, '/') + "d/" + std::string(5000, 'x') + '\n');
  expect(root, 2, "/cpu/d/cpu.max");
}

// --- the machine --------------------------------------------------------------------------------------------

// What a process in the group finds; nothing if there was no getting into it.
std::optional<unsigned> found_inside(const test::control_group& g) {
  const pid_t inside = ::fork();
  if (inside == 0) {
    if (!g.enter()) ::_exit(200);
    ::_exit(static_cast<int>(read_cpu_quota().cpus.value_or(100)));
  }
  int status = 0;
  ::waitpid(inside, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 200) return std::nullopt;
  return static_cast<unsigned>(WEXITSTATUS(status));
}

// Method: for each pair of limits a process goes into the inner of two real groups and looks.
TEST(cgroup_machine, a_real_group_and_the_one_above_it_limit_the_process) {
  const std::optional<unsigned> outside = read_cpu_quota().cpus;
  const struct {
    const char *parent, *child;  // null: none
    unsigned wanted;
  } cases[] = {{nullptr, "150000", 2}, {nullptr, "50000", 1},  {"100000", "50000", 1},
               {"100000", nullptr, 1}, {"150000", nullptr, 2}, {"250000", "150000", 2}};
  for (const auto& c : cases) {
    const test::control_group outer{"cpu", "cgroup.procs"};
    if (!outer.obstacle().empty()) GTEST_SKIP() << "no real cgroup can be made: " << outer.obstacle();
    const test::control_group inner{outer, "cpu", "cgroup.procs"};
    if (!inner.obstacle().empty()) GTEST_SKIP() << "no real cgroup can be made: " << inner.obstacle();
    if (c.parent != nullptr && !outer.set_cpu_quota(c.parent)) GTEST_SKIP() << "quotas are refused";
    if (c.child != nullptr && !inner.set_cpu_quota(c.child)) GTEST_SKIP() << "quotas are refused";
    const std::optional<unsigned> found = found_inside(inner);
    if (!found) GTEST_SKIP() << "a process may not go into " << inner.path();
    EXPECT_EQ(*found, std::min(c.wanted, outside.value_or(c.wanted))) << (c.parent != nullptr ? c.parent : "none");
  }
}

}  // namespace
}  // namespace wring::base
