// SPDX-License-Identifier: Apache-2.0
// slow_tree: a file system in memory, each read of which takes so long: storage that answers slowly, and many at once.
//
//   slow_tree FOLDER FILES MICROSECONDS
//
// Mounts it on the folder, writes "ready" when it can be used, and ends, and takes it away, when told by SIGTERM or
// SIGINT. Files lie in directories of a hundred; most are small, one in eight is some hundred KiB. The kernel reads
// what follows ahead and keeps what it has read until the file is opened again, as with any storage. Only reads are
// slow. Needs /dev/fuse, and root or fusermount3.
#define FUSE_USE_VERSION 312
#include <fuse3/fuse.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <thread>

namespace {

constexpr unsigned files_per_directory = 100;
// So many reads may be slow at the same time.
constexpr unsigned readers_most = 256;
constexpr std::size_t small_most = 16'000;
constexpr std::size_t big_most = 400'000;
constexpr unsigned one_big_in = 8;

struct tree {
  unsigned files = 0;
  std::chrono::microseconds read_time{};

  [[nodiscard]] unsigned directories() const { return (files + files_per_directory - 1) / files_per_directory; }
};
tree served;

// The same on every machine.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::size_t size_of(unsigned file) {
  const std::uint64_t random = mixed(file + 1U);
  return 1 + (random >> 8) % (file % one_big_in == 0 ? big_most : small_most);
}

char byte_of(unsigned file, std::size_t at) {
  return static_cast<char>(mixed(file * 0x1'0000'0000ULL + at / 8) >> at % 8 * 8);
}

// "123": the number that ends there.
std::optional<unsigned> number(const char* text, const char** end) {
  char* after = nullptr;
  const unsigned long n = std::strtoul(text, &after, 10);
  if (after == text) return std::nullopt;
  *end = after;
  return static_cast<unsigned>(n);
}

struct place {
  unsigned directory;
  std::optional<unsigned> file;
};

// "/d3/f301"; none: there is no such thing.
std::optional<place> find(const char* path) {
  const char* rest = path;
  if (std::strncmp(rest, "/d", 2) != 0) return std::nullopt;
  const auto directory = number(rest + 2, &rest);
  if (!directory || *directory >= served.directories()) return std::nullopt;
  if (*rest == '\0') return place{*directory, std::nullopt};
  if (std::strncmp(rest, "/f", 2) != 0) return std::nullopt;
  const auto file = number(rest + 2, &rest);
  if (!file || *rest != '\0' || *file >= served.files || *file / files_per_directory != *directory) return std::nullopt;
  return place{*directory, file};
}

void* begin(fuse_conn_info* connection, fuse_config* config) {
  connection->max_background = readers_most;
  connection->congestion_threshold = readers_most;
  config->entry_timeout = config->attr_timeout = 3'600;
  std::puts("ready");
  std::fflush(stdout);
  return nullptr;
}

int attributes(const char* path, struct stat* out, fuse_file_info*) {
  *out = {};
  const bool root = std::strcmp(path, "/") == 0;
  const auto found = root ? place{} : find(path);
  if (!found) return -ENOENT;
  if (found->file) {
    out->st_mode = S_IFREG | 0444;
    out->st_nlink = 1;
    out->st_size = static_cast<off_t>(size_of(*found->file));
  } else {
    out->st_mode = S_IFDIR | 0555;
    out->st_nlink = 2;
  }
  return 0;
}

int list(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*, fuse_readdir_flags) {
  const auto add = [&](const std::string& name) { fill(buffer, name.c_str(), nullptr, 0, fuse_fill_dir_flags{}); };
  if (std::strcmp(path, "/") == 0) {
    for (unsigned d = 0; d < served.directories(); ++d) add("d" + std::to_string(d));
    return 0;
  }
  const auto found = find(path);
  if (!found || found->file) return -ENOENT;
  const unsigned first = found->directory * files_per_directory;
  for (unsigned f = first; f < std::min(first + files_per_directory, served.files); ++f) add("f" + std::to_string(f));
  return 0;
}

int open_file(const char* path, fuse_file_info*) {
  const auto found = find(path);
  return found && found->file ? 0 : -ENOENT;
}

int read_file(const char* path, char* out, std::size_t bytes, off_t from, fuse_file_info*) {
  const auto found = find(path);
  if (!found || !found->file) return -ENOENT;
  std::this_thread::sleep_for(served.read_time);
  const std::size_t size = size_of(*found->file);
  const auto at = static_cast<std::size_t>(from);
  if (at >= size) return 0;
  const std::size_t n = std::min(bytes, size - at);
  for (std::size_t i = 0; i < n; ++i) out[i] = byte_of(*found->file, at + i);
  return static_cast<int>(n);
}

fuse_operations operations() {
  fuse_operations all{};
  all.init = begin;
  all.getattr = attributes;
  all.readdir = list;
  all.open = open_file;
  all.read = read_file;
  return all;
}

int serve(const char* folder) {
  const fuse_operations all = operations();
  std::string name = "slow_tree";
  char* argument = name.data();
  fuse_args arguments{.argc = 1, .argv = &argument, .allocated = 0};
  fuse* const fs = fuse_new(&arguments, &all, sizeof all, nullptr);
  if (fs == nullptr || fuse_mount(fs, folder) != 0) return 2;
  fuse_set_signal_handlers(fuse_get_session(fs));
  fuse_loop_config* const config = fuse_loop_cfg_create();
  fuse_loop_cfg_set_clone_fd(config, 0);
  fuse_loop_cfg_set_max_threads(config, readers_most);
  fuse_loop_cfg_set_idle_threads(config, readers_most);
  fuse_loop_mt(fs, config);
  fuse_loop_cfg_destroy(config);
  fuse_remove_signal_handlers(fuse_get_session(fs));
  fuse_unmount(fs);
  fuse_destroy(fs);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s FOLDER FILES MICROSECONDS\n", argv[0]);
    return 2;
  }
  served.files = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
  served.read_time = std::chrono::microseconds{std::strtol(argv[3], nullptr, 10)};
  return serve(argv[1]);
}
