// SPDX-License-Identifier: Apache-2.0
#include "sum/sum.h"

#include "sum/checklist.h"
#include "sum/conveyor.h"
#include "sum/interrupt.h"
#include "sum/options.h"
#include "sum/printer.h"
#include "sum/reader.h"
#include "sum/terminal.h"
#include "sum/text.h"
#include "sum/walk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wring/runtime.h>
#include <wring/workqueue.h>

#include <dirent.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

namespace wring::tools {

namespace {

// Names and digests that wait for their turn to be printed.
constexpr std::size_t waiting_bytes_max = std::size_t{32} << 20;
// Big batches make a file cheap, small ones make the first lines early and spread a small tree.
constexpr std::size_t batch_count_min = 4;
constexpr std::size_t batch_count_max = 64;
// Items in progress, most of them blocked if the storage is slow; each holds one buffer of 128 KiB, so all
// buffers together stay below 32 MiB.
constexpr unsigned items_max = 192;
constexpr std::chrono::milliseconds draw_interval{100};

// How many items may be in progress so that descriptors never run out: each needs one for the directory, one
// for the file and, for very long paths, two more for a moment.
unsigned items_by_descriptors() {
  constexpr std::size_t per_item = 3;
  constexpr std::size_t reserve = 12;  // the walk, the printer, the library
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 8;
  std::size_t open = reserve;
  if (DIR* listing = ::opendir("/proc/self/fd"); listing != nullptr) {
    while (::readdir(listing) != nullptr) ++open;
    ::closedir(listing);
  }
  const std::size_t left = limit.rlim_cur > open ? limit.rlim_cur - open : 0;
  return static_cast<unsigned>(std::clamp<std::size_t>(left / per_item, 2, items_max));
}

class sum {
 public:
  explicit sum(const sum_options& options);

  // Starts everything; the interrupt is told when all is done.
  void start(interrupt& done);
  // After the end: the exit status.
  [[nodiscard]] int finish();

  [[nodiscard]] terminal& out() noexcept { return terminal_; }
  // 0 or the -errno of writing; final when the interrupt has been told.
  [[nodiscard]] int write_error() const noexcept { return write_error_.load(std::memory_order_relaxed); }

 private:
  void walk_on();
  void digest(const std::shared_ptr<batch>& work);
  [[nodiscard]] file_descriptor open_base(const batch& of) const;
  void print_on();
  void print_summary();

  const sum_options& options_;
  tally tally_;
  terminal terminal_{tally_, options_.progress};
  std::unique_ptr<source> source_;
  walk* walk_ = nullptr;  // source_, if it is a walk
  conveyor conveyor_{waiting_bytes_max};
  reader_store readers_{*options_.hash, tally_};
  printer printer_{options_, terminal_};
  std::size_t batches_ = 0;  // of the walk's item
  std::atomic<int> write_error_{0};
  interrupt* done_ = nullptr;

  // Declared last: the items stop first, then the queues are drained, then the rest goes.
  workqueue digests_{{.name = "sum", .max_active = items_by_descriptors()}};
  workqueue control_{{.name = "sum-control"}};
  work walk_item_{[this] { walk_on(); }};
  work print_item_{[this] { print_on(); }};
};

sum::sum(const sum_options& options) : options_{options} {
  if (options.check) {
    source_ = std::make_unique<checklist>(*options.hash, options.paths);
  } else {
    auto made = std::make_unique<walk>(options.paths);
    walk_ = made.get();
    source_ = std::move(made);
  }
  // Made here so that a missing algorithm is found out before anything runs.
  readers_.take_back(readers_.lend());
}

void sum::start(interrupt& done) {
  done_ = &done;
  control_.queue(walk_item_);
}

// The walk's item: makes batches until the conveyor is full. The printer starts it again.
void sum::walk_on() {
  for (;;) {
    auto made = std::make_shared<batch>(*options_.hash, options_.check);
    source_->fill(*made, std::clamp(batches_++, batch_count_min, batch_count_max));
    if (made->empty()) {
      tally_.all_found.store(true, std::memory_order_relaxed);
      conveyor_.close();
      control_.queue(print_item_);
      return;
    }
    tally_.files_found.fetch_add(made->size(), std::memory_order_relaxed);
    const bool room = conveyor_.push(made);
    digests_.submit([this, made = std::move(made)] { digest(made); });
    if (!room) return;
  }
}

// Works on a batch together with whoever else was offered it.
void sum::digest(const std::shared_ptr<batch>& work) {
  if (!work->unclaimed()) return;
  auto lent = readers_.lend();
  const std::size_t base_size = work->base().size();
  file_descriptor base;
  if (base_size != 0) base = open_base(*work);
  // What takes long holds up neither what follows it in the batch nor the lines before it.
  const std::function<void()> before_long = [this, &work] {
    if (work->unclaimed()) digests_.submit([this, work] { digest(work); });
    if (conveyor_.is_first(*work)) control_.queue(print_item_);
  };
  for (std::size_t index = 0; work->claim(index); work->settle(index)) {
    entry& e = work->at(index);
    if (base_size != 0 && !base.valid() && e.kind == entry_kind::in_tree) {
      e.what = problem::system;
      e.number = static_cast<std::uint32_t>(base.error());
      continue;
    }
    lent->digest(*work, e, work->digest(index), base.get(), base_size, before_long);
  }
  lent->publish();
  readers_.take_back(std::move(lent));
  if (conveyor_.is_first(*work)) control_.queue(print_item_);
}

// The directory all names of the batch are below. The user may name a symbolic link as a root; below that
// none is followed, also if it appears after the walk was there.
file_descriptor sum::open_base(const batch& of) const {
  constexpr int flags = O_PATH | O_DIRECTORY;
  file_descriptor root = open_at(AT_FDCWD, of.base().substr(0, of.root_size()), flags, symlinks::follow);
  const std::string_view below = of.base().substr(of.root_size());
  if (!root.valid() || below.empty()) return root;
  return open_at(root.get(), below, flags, symlinks::refuse);
}

// The printer's item: prints what is settled, in order.
void sum::print_on() {
  int error = 0;
  while (const std::shared_ptr<batch> first = conveyor_.first()) {
    error = printer_.print(*first);
    if (error != 0 || first->printed < first->size()) break;
    if (conveyor_.pop()) control_.queue(walk_item_);
  }
  if (error == 0) error = printer_.flush();
  if (error != 0) write_error_.store(error, std::memory_order_relaxed);
  if (error != 0 || conveyor_.ended()) done_->notify();
}

int sum::finish() {
  control_.flush();  // the printer may have been asked to look once more
  terminal_.erase();
  if (options_.summary) print_summary();
  return printer_.failed() ? 1 : 0;
}

void sum::print_summary() {
  const double seconds = std::max(terminal_.elapsed().count(), 1e-6);
  const auto bytes = static_cast<double>(tally_.bytes_done.load(std::memory_order_relaxed));
  const std::uint64_t files = printer_.files();
  const auto files_per_second = static_cast<std::uint64_t>(static_cast<double>(files) / seconds);
  terminal_.message(fmt::format("{}, {} in {}: {}/s, {} files/s ({})", counted(files, "file"), bytes_for_people(bytes),
                                seconds_for_people(seconds), bytes_for_people(bytes / seconds),
                                grouped(files_per_second), options_.hash->name));
  if (walk_ != nullptr && walk_->symlinks() != 0) {
    terminal_.message(fmt::format("{} not followed", counted(walk_->symlinks(), "symbolic link")));
  }
  if (const std::uint64_t count = printer_.problems(); count != 0) {
    terminal_.message(fmt::format("{} reported above", counted(count, "problem")));
  }
  const runtime_stats stats = digests_.owner().stats();
  unsigned workers_max = 0;
  unsigned blocked_max = 0;
  double blocked_seconds = 0;
  for (const pool_stats& pool : stats.pools) {
    workers_max += pool.workers_max;
    blocked_max += pool.blocked_max;
    blocked_seconds += std::chrono::duration<double>(pool.blocked_time).count();
  }
  terminal_.message(fmt::format("{} at most for {}, {} of them blocked at most; blocked {} in all",
                                counted(workers_max, "worker"), counted(stats.cpus, "CPU"), blocked_max,
                                seconds_for_people(blocked_seconds)));
}

}  // namespace

int run_sum(int argc, const char* const* argv) {
  int status = 0;
  const std::optional<sum_options> options = parse_sum_options(argc, argv, status);
  if (!options) return status;
  try {
    interrupt events;  // before the first thread: all inherit what it blocks
    // Computing for long is what a digest does; nobody has to be told.
    runtime::configure_default({.cpu_intensive_warning_threshold = 0});
    sum job{*options};
    job.start(events);
    while (events.wait(job.out().shows_progress() ? draw_interval : std::chrono::milliseconds{-1}) ==
           interrupt::event::tick) {
      job.out().draw();
    }
    if (const int signal = events.signal(); signal != 0) {
      job.out().erase();
      ::_exit(128 + signal);
    }
    if (const int error = job.write_error(); error != 0) {
      job.out().erase();
      if (error == -EPIPE) interrupt::end_by_closed_pipe();
      job.out().message("wring sum: write error: " + std::generic_category().message(-error));
      ::_exit(1);
    }
    return job.finish();
  } catch (const std::exception& error) {
    fmt::print(stderr, "wring sum: {}\n", error.what());
    return 1;
  }
}

}  // namespace wring::tools
