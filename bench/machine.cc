// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include "contest.h"

#include <wring/version.h>

#ifdef WRING_BENCH_ONETBB
#include <oneapi/tbb/version.h>
#endif
#ifdef WRING_BENCH_ASIO
#include <asio/version.hpp>
#endif
#ifdef WRING_BENCH_LIBUV
#include <uv.h>
#endif
#ifdef WRING_BENCH_GLIB
#include <glib.h>
#endif

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

// The value of a "key : value" line of the first CPU.
std::string cpuinfo(const std::string& key) {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;  // "model" is not "model name"
    return colon + 2 <= line.size() ? line.substr(colon + 2) : "";
  }
  return "unknown";
}

// Major and minor only: the rest is a distributor's own name for the build.
std::string kernel_version() {
  utsname name{};
  if (uname(&name) != 0) return "unknown";
  const std::string release = name.release;
  const auto second_dot = release.find('.', release.find('.') + 1);
  return std::string{name.sysname} + " " + release.substr(0, second_dot);
}

[[maybe_unused]] std::string dotted(unsigned major, unsigned minor, unsigned micro) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(micro);
}

// CPU seconds that all processes together have used since the machine started, stolen time included.
double busy_seconds_of_all() {
  std::ifstream file{"/proc/stat"};
  std::string label;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  file >> label >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  return (user + nice + system + irq + softirq + steal) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double busy_seconds_of_ours() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    sum += seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  return sum;
}

std::vector<std::pair<std::string, std::string>> versions() {
  std::vector<std::pair<std::string, std::string>> all{{"wring", wring::version()}};
#ifdef WRING_BENCH_ONETBB
  all.emplace_back("oneTBB", TBB_VERSION_STRING);
#endif
#ifdef WRING_BENCH_ASIO
  all.emplace_back("asio", dotted(ASIO_VERSION / 100'000, ASIO_VERSION / 100 % 1'000, ASIO_VERSION % 100));
#endif
#ifdef WRING_BENCH_LIBUV
  all.emplace_back("libuv", uv_version_string());
#endif
#ifdef WRING_BENCH_GLIB
  all.emplace_back("GLib", dotted(glib_major_version, glib_minor_version, glib_micro_version));
#endif
  return all;
}

}  // namespace

machine describe_machine() {
  machine found;
  found.cpu = cpuinfo("model name") + ", family " + cpuinfo("cpu family") + " model " + cpuinfo("model");
  found.cpus = planned_cpus();
  found.virtual_machine = cpuinfo("flags").find(" hypervisor") != std::string::npos;
  found.kernel = kernel_version();
#ifdef __clang__
  found.compiler = "clang " __clang_version__;
#else
  found.compiler = "gcc " __VERSION__;
#endif
  found.contestants = versions();
  return found;
}

load_meter::load_meter()
    : start_{std::chrono::steady_clock::now()}, everybody_s_{busy_seconds_of_all()}, ours_s_{busy_seconds_of_ours()} {}

double load_meter::cpus_used_by_others() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const double others = (busy_seconds_of_all() - everybody_s_) - (busy_seconds_of_ours() - ours_s_);
  return others > 0 && elapsed.count() > 0 ? others / elapsed.count() : 0;
}

}  // namespace bench
