// SPDX-License-Identifier: Apache-2.0
#include "sum/reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wring/blocking.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <utility>

namespace wring::tools {

namespace {

// Fits into a second-level cache, and makes the price of the system call vanish.
constexpr std::size_t buffer_size = std::size_t{128} << 10;
constexpr std::size_t page_size = 4096;
constexpr std::uint64_t big_file_bytes = std::uint64_t{256} << 10;
// Publishing touches cache lines that all workers share.
constexpr std::uint64_t publish_bytes = std::uint64_t{16} << 20;

problem problem_of(mode_t mode) noexcept {
  if (S_ISFIFO(mode)) return problem::fifo;
  if (S_ISSOCK(mode)) return problem::socket;
  return problem::device;
}

void fail(entry& which, int error) noexcept {
  which.what = problem::system;
  which.number = static_cast<std::uint32_t>(error);
}

}  // namespace

void reader::buffer_free::operator()(std::byte* buffer) const noexcept { std::free(buffer); }

reader::reader(const algorithm& which, tally& counters)
    : tally_{counters}, hasher_{which}, buffer_{static_cast<std::byte*>(std::aligned_alloc(page_size, buffer_size))} {
  if (!buffer_) throw std::bad_alloc{};
}

bool reader::open(const batch& from, entry& which, int directory, std::size_t directory_size,
                  const std::function<void()>& before_long) {
  const std::string_view name = from.name(which);
  fd_ = -1;
  seekable_ = false;
  expected_bytes_ = 0;
  switch (which.kind) {
    case entry_kind::in_tree: return open_in_tree(which, directory, name.substr(directory_size));
    case entry_kind::named: return open_named(which, name.data(), before_long);
    case entry_kind::standard_input:
      before_long();
      fd_ = STDIN_FILENO;
      return true;
    case entry_kind::exhausted_input: return true;
    default: return false;
  }
}

// O_NONBLOCK: if the file became a FIFO since the walk saw it, opening it must not wait for a writer.
bool reader::open_in_tree(entry& which, int directory, std::string_view name) {
  file_ = open_at(directory, name, O_RDONLY | O_NONBLOCK, symlinks::refuse);
  struct stat status;
  if (!file_.valid()) {
    fail(which, file_.error());
  } else if (::fstat(file_.get(), &status) != 0) {
    fail(which, errno);
  } else if (S_ISDIR(status.st_mode)) {
    fail(which, EISDIR);
  } else if (!S_ISREG(status.st_mode)) {
    which.what = problem_of(status.st_mode);
  } else {
    accept(status);
    return true;
  }
  file_ = file_descriptor{};
  return false;
}

// A FIFO or a device may make both the opening and the reading wait: both are announced.
bool reader::open_named(entry& which, const char* name, const std::function<void()>& before_long) {
  struct stat status;
  if (const int error = stat_named(name, status); error != 0) {
    fail(which, -error);
    return false;
  }
  if (S_ISREG(status.st_mode)) {
    file_ = open_at(AT_FDCWD, name, O_RDONLY, symlinks::follow);
  } else {
    before_long();
    blocking_scope scope;
    file_ = open_at(AT_FDCWD, name, O_RDONLY, symlinks::follow);
  }
  if (!file_.valid()) {
    fail(which, file_.error());
    return false;
  }
  if (S_ISREG(status.st_mode)) {
    accept(status);
  } else {
    fd_ = file_.get();
  }
  return true;
}

void reader::accept(const struct stat& status) noexcept {
  fd_ = file_.get();
  seekable_ = true;
  expected_bytes_ = static_cast<std::uint64_t>(status.st_size);
  bytes_announced_ += expected_bytes_;
  if (status.st_dev != std::exchange(device_, status.st_dev)) nowait_works_ = true;
}

void reader::digest(const batch& from, entry& which, unsigned char* digest, int directory, std::size_t directory_size,
                    const std::function<void()>& before_long) {
  if (!open(from, which, directory, directory_size, before_long)) return;
  if (expected_bytes_ >= big_file_bytes) before_long();
  ++files_started_;
  hasher_.begin();
  if (fd_ >= 0) digest_content(which);
  hasher_.finish(digest);
  ++files_done_;
  file_ = file_descriptor{};
}

void reader::digest_content(entry& which) {
  const std::span<std::byte> buffer{buffer_.get(), buffer_size};
  std::uint64_t done = 0;
  for (;;) {
    const ssize_t got =
        seekable_ ? read_at(fd_, buffer, static_cast<off_t>(done), nowait_works_) : read_next(fd_, buffer);
    if (got < 0) {
      fail(which, static_cast<int>(-got));
      break;
    }
    if (got == 0) break;
    const auto size = static_cast<std::size_t>(got);
    hasher_.update(buffer.first(size));
    done += size;
    bytes_ += size;
    if (bytes_ >= publish_bytes) publish();
    // Saves the read that only says "end of file"; files of /proc announce 0 bytes and are read to the end.
    if (done == expected_bytes_) break;
  }
  which.bytes = done;
}

void reader::publish() noexcept {
  tally_.files_started.fetch_add(files_started_, std::memory_order_relaxed);
  tally_.files_done.fetch_add(files_done_, std::memory_order_relaxed);
  tally_.bytes_announced.fetch_add(bytes_announced_, std::memory_order_relaxed);
  tally_.bytes_done.fetch_add(bytes_, std::memory_order_relaxed);
  files_started_ = files_done_ = bytes_ = bytes_announced_ = 0;
}

std::unique_ptr<reader> reader_store::lend() {
  {
    const std::lock_guard lock{mu_};
    if (!idle_.empty()) {
      auto lent = std::move(idle_.back());
      idle_.pop_back();
      return lent;
    }
  }
  return std::make_unique<reader>(algorithm_, tally_);
}

void reader_store::take_back(std::unique_ptr<reader> idle) {
  const std::lock_guard lock{mu_};
  idle_.push_back(std::move(idle));
}

}  // namespace wring::tools
