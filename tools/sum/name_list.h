// SPDX-License-Identifier: Apache-2.0
// name_list: the names in one directory in output order, a bounded number of them at a time.
//
// A name's key is the name, for a directory with a '/' at its end: sorted by key, a walk prints whole
// paths in byte order ("a.b" before "a/c" before "a0"). A directory too big for the bound is read again
// for each part: the names after the last one of the part before, as many as fit. That needs no disk and
// no memory for the rest, and costs one more reading per part.
// Threads: belongs to the walk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wring::tools {

enum class name_type : std::uint8_t { regular, directory, symlink, fifo, socket, device, unknown };

class name_list {
 public:
  // Reads the directory `fd`: the first names after those given out so far that fit into `bytes_max`
  // (twice that while it reads). 0 or the errno that stopped it; what was read until then is there.
  int load(int fd, std::size_t bytes_max);

  // False: all given out.
  bool next(std::string_view& key, name_type& type) noexcept;
  // Names after the last one given out exist but are not here: load() again.
  [[nodiscard]] bool cut() const noexcept { return cut_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return cost(); }
  // Gives the memory back; what was not given out yet is to be loaded again later.
  void drop();

 private:
  struct name {
    std::uint64_t head;  // the first 8 bytes of the key, big-endian: decides most comparisons
    std::uint32_t offset;
    std::uint16_t size;
    name_type type;
  };
  [[nodiscard]] std::string_view key(const name& n) const noexcept {
    return std::string_view{keys_}.substr(n.offset, n.size);
  }
  [[nodiscard]] std::size_t cost() const noexcept { return keys_.size() + names_.size() * sizeof(name); }
  void add(std::string_view text, name_type type);
  void sort();
  void shrink(std::size_t bytes_max);

  std::string keys_;
  std::vector<name> names_;
  std::size_t given_ = 0;
  std::string after_;  // the last key given out before names_ was loaded
  bool cut_ = false;
};

}  // namespace wring::tools
