// SPDX-License-Identifier: Apache-2.0
#include "sum/terminal.h"

#include "sum/file.h"
#include "sum/text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wring/runtime.h>

#include <algorithm>
#include <cstdlib>

namespace wring::tools {

namespace {

// Below this, a rate says more about the start than about the run.
constexpr double eta_after_seconds = 1;

bool can_draw() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view{kind} != "dumb" && *kind != '\0';
}

std::size_t columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

}  // namespace

terminal::terminal(const tally& counters, bool wanted)
    : tally_{counters}, shows_progress_{wanted && can_draw()}, output_is_terminal_{::isatty(STDOUT_FILENO) == 1} {}

std::string terminal::progress() const {
  const auto read = [](const auto& counter) { return static_cast<double>(counter.load(std::memory_order_relaxed)); };
  const double seconds = std::max(elapsed().count(), 1e-3);
  const double bytes = read(tally_.bytes_done);
  const double rate = bytes / seconds;
  std::string line = fmt::format("{} files  {}  {}/s", grouped(tally_.files_done.load(std::memory_order_relaxed)),
                                 bytes_for_people(bytes), bytes_for_people(rate));
  const double started = read(tally_.files_started);
  if (tally_.all_found.load(std::memory_order_relaxed) && seconds > eta_after_seconds && started > 0 && rate > 0) {
    // Files not opened yet are taken to be as big as the others on average.
    const double announced = read(tally_.bytes_announced);
    const double unopened = std::max(read(tally_.files_found) - started, 0.0) * announced / started;
    line += "  ETA " + seconds_for_people(std::max(announced - bytes, 0.0) / rate + unopened / rate);
  }
  unsigned running = 0;
  unsigned blocked = 0;
  for (const pool_stats& pool : runtime::default_instance().stats().pools) {
    running += pool.running;
    blocked += pool.blocked;
  }
  return line + fmt::format("  workers: {} running, {} blocked", running, blocked);
}

void terminal::draw() {
  if (!shows_progress_) return;
  const std::string line = "\r\x1b[K" + progress().substr(0, columns() - 1);
  const std::unique_lock lock{mu_, std::try_to_lock};
  if (!lock) return;
  drawn_ = write_all(STDERR_FILENO, line) == 0;
}

void terminal::erase() {
  const std::unique_lock lock{mu_, std::try_to_lock};
  if (lock) erase_locked();
}

void terminal::erase_locked() {
  if (!drawn_) return;
  drawn_ = false;
  static_cast<void>(write_all(STDERR_FILENO, "\r\x1b[K"));
}

void terminal::message(std::string_view text) {
  const std::string line = std::string{text} + '\n';
  const std::lock_guard lock{mu_};
  erase_locked();
  static_cast<void>(write_all(STDERR_FILENO, line));  // where else could one complain?
}

int terminal::output(std::string_view text) {
  if (!output_is_terminal_) return write_all(STDOUT_FILENO, text);
  const std::lock_guard lock{mu_};
  erase_locked();
  return write_all(STDOUT_FILENO, text);
}

}  // namespace wring::tools
