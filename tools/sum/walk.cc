// SPDX-License-Identifier: Apache-2.0
#include "sum/walk.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace wring::tools {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

problem problem_of(name_type type) noexcept {
  switch (type) {
    case name_type::fifo: return problem::fifo;
    case name_type::socket: return problem::socket;
    default: return problem::device;
  }
}

}  // namespace

void walk::fill(batch& out, std::size_t count_max) {
  // A batch stays below one root, so that a worker can open that once.
  std::size_t root_size = 0;
  while (out.size() < count_max && out.names_size() < batch_names_size_max) {
    if (!levels_.empty()) {
      root_size = root_size_;
      step(out);
      continue;
    }
    if (root_size != 0 && !out.empty()) break;  // a tree has ended, and the batch with it
    root_size = 0;
    if (next_path_ == paths_.size()) break;
    start(out, paths_[next_path_++]);
    if (!levels_.empty() && !out.empty()) break;
  }
  if (!out.empty()) out.seal(root_size);
}

void walk::start(batch& out, const std::string& path) {
  if (path == "-") {
    out.add(std::exchange(stdin_named_, true) ? entry_kind::exhausted_input : entry_kind::standard_input, {}, path);
    return;
  }
  struct stat status;
  if (const int error = stat_named(path.c_str(), status); error != 0) {
    out.add_problem(problem::system, -error, {}, path);
    return;
  }
  if (!S_ISDIR(status.st_mode)) {
    out.add(entry_kind::named, {}, path);
    return;
  }
  path_ = path.ends_with('/') ? path : path + '/';
  root_size_ = path_.size();
  root_ = open_at(AT_FDCWD, path, directory_flags, symlinks::follow);
  enter(out,
        root_.valid() ? open_at(root_.get(), ".", directory_flags, symlinks::refuse) : file_descriptor{-root_.error()});
}

void walk::step(batch& out) {
  level& here = levels_.back();
  std::string_view key;
  name_type type = name_type::unknown;
  if (here.names.next(key, type)) {
    visit(out, key, type);
  } else if (here.names.cut()) {
    read_on(out, here);
  } else {
    levels_.pop_back();
    leave();
  }
}

void walk::visit(batch& out, std::string_view key, name_type type) {
  switch (type) {
    case name_type::regular:
    case name_type::unknown: out.add(entry_kind::in_tree, path_, key); return;
    case name_type::directory:
      path_ += key;
      enter(out, open_at(root_.get(), std::string_view{path_}.substr(root_size_), directory_flags, symlinks::refuse));
      return;
    case name_type::symlink: symlinks_.fetch_add(1, std::memory_order_relaxed); return;
    default: out.add_problem(problem_of(type), 0, path_, key);
  }
}

// Makes the directory that path_ names the current one, or reports why not.
void walk::enter(batch& out, file_descriptor directory) {
  struct stat status;
  int error = directory.error();
  if (error == 0 && ::fstat(directory.get(), &status) != 0) error = errno;
  if (error != 0 || is_loop(status)) {
    out.add_problem(error != 0 ? problem::system : problem::loop, error, path_);
    leave();
    return;
  }
  level& here = levels_.emplace_back(level{path_.size(), status.st_dev, status.st_ino, {}});
  error = here.names.load(directory.get(), limits_.directory_bytes_max);
  if (error != 0) out.add_problem(problem::system, error, path_);
  keep_within_bounds();
}

// The next part of a directory whose names were not all kept.
void walk::read_on(batch& out, level& here) {
  const std::string_view below = std::string_view{path_}.substr(root_size_);
  const file_descriptor directory =
      open_at(root_.get(), below.empty() ? "." : below, directory_flags, symlinks::refuse);
  int error = directory.error();
  if (error == 0) {
    error = here.names.load(directory.get(), limits_.directory_bytes_max);
  } else {
    here.names = {};
  }
  if (error != 0) out.add_problem(problem::system, error, path_);
}

void walk::leave() noexcept { path_.resize(levels_.empty() ? 0 : levels_.back().path_size); }

bool walk::is_loop(const struct stat& status) const noexcept {
  for (const level& outer : levels_) {
    if (outer.inode == status.st_ino && outer.device == status.st_dev) return true;
  }
  return false;
}

void walk::keep_within_bounds() {
  std::size_t kept = 0;
  for (const level& each : levels_) kept += each.names.bytes();
  for (level& outer : levels_) {
    if (kept <= limits_.kept_bytes_max || &outer == &levels_.back()) return;
    kept -= outer.names.bytes();
    outer.names.drop();
  }
}

}  // namespace wring::tools
