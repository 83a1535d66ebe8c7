// SPDX-License-Identifier: Apache-2.0
// reader: opens one file after the other and hashes its content.
//
// It owns a buffer and a hash state, which is what makes a file cheap; readers are lent to workers and
// taken back, so there are never more than items in progress.
// Threads: a reader belongs to one worker at a time; the store serves all.
#pragma once

#include "sum/batch.h"
#include "sum/file.h"
#include "sum/tally.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace wring::tools {

class reader {
 public:
  reader(const algorithm& which, tally& counters);

  // Reads and hashes the file of an entry, or makes the entry say why not. `directory` stands for the first
  // `directory_size` bytes of its name. Calls `before_long` before anything that may take long: a big
  // file, or something that is not a file and may have to be waited for.
  void digest(const batch& from, entry& which, unsigned char* digest, int directory, std::size_t directory_size,
              const std::function<void()>& before_long);
  // Publishes what was counted since the last time.
  void publish() noexcept;

 private:
  [[nodiscard]] bool open(const batch& from, entry& which, int directory, std::size_t directory_size,
                          const std::function<void()>& before_long);
  [[nodiscard]] bool open_in_tree(entry& which, int directory, std::string_view name);
  [[nodiscard]] bool open_named(entry& which, const char* name, const std::function<void()>& before_long);
  void accept(const struct stat& status) noexcept;
  void digest_content(entry& which);

  struct buffer_free {
    void operator()(std::byte* buffer) const noexcept;
  };

  tally& tally_;
  hasher hasher_;
  std::unique_ptr<std::byte, buffer_free> buffer_;
  // The open file.
  file_descriptor file_;
  int fd_ = -1;  // file_, or standard input, or -1: nothing to read
  bool seekable_ = false;
  std::uint64_t expected_bytes_ = 0;
  // The file system of the file before, and whether it can refuse to wait.
  dev_t device_ = 0;
  bool nowait_works_ = true;
  // Counted, not yet published.
  std::uint64_t files_started_ = 0;
  std::uint64_t files_done_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_announced_ = 0;
};

class reader_store {
 public:
  reader_store(const algorithm& which, tally& counters) : algorithm_{which}, tally_{counters} {}
  [[nodiscard]] std::unique_ptr<reader> lend();
  void take_back(std::unique_ptr<reader> idle);

 private:
  const algorithm& algorithm_;
  tally& tally_;
  std::mutex mu_;
  std::vector<std::unique_ptr<reader>> idle_;  // guarded by mu_
};

}  // namespace wring::tools
