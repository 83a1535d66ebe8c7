// SPDX-License-Identifier: Apache-2.0
// batch: some names that follow each other in the output, and what became of each.
//
// A source fills it, workers claim its entries one by one and settle them, the printer prints those at its
// front that are settled. Shared are only the claim and, for each entry, the word "settled".
#pragma once

#include "sum/algorithm.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wring::tools {

enum class entry_kind : std::uint8_t {
  in_tree,  // a regular file found by the walk
  named,    // a name given by the user or by a list; may be anything
  standard_input,
  exhausted_input,  // "-" named again: standard input is at its end
  settled,          // nothing to read, only a problem to report
  improper_line,    // of a list, which is the name; `number` is the line
  list_end,         // the list has been read; the name is the list's
};

enum class problem : std::uint8_t {
  none,
  system,  // `number` is the errno
  fifo,
  socket,
  device,
  loop,  // a directory that contains itself
};

struct entry {
  std::uint64_t bytes = 0;        // of content read
  std::uint32_t name_offset = 0;  // in names
  std::uint32_t name_size = 0;
  std::uint32_t number = 0;
  entry_kind kind = entry_kind::in_tree;
  problem what = problem::none;
  std::uint8_t settled = 0;  // atomic: the rest is final
};

class batch {
 public:
  // `checks`: each entry also carries the digest it should have.
  batch(const algorithm& which, bool checks) : digest_size_{which.digest_size}, checks_{checks} {}

  // For the source.
  entry& add(entry_kind kind, std::string_view directory, std::string_view name) {
    entry& e = entries_.emplace_back();
    e.kind = kind;
    e.name_offset = static_cast<std::uint32_t>(names_.size());
    e.name_size = static_cast<std::uint32_t>(directory.size() + name.size());
    names_.append(directory);
    names_.append(name);
    names_.push_back('\0');
    if (checks_) expected_.resize(entries_.size() * digest_size_);
    return e;
  }
  void add_problem(problem what, int error, std::string_view directory, std::string_view name = {}) {
    entry& e = add(entry_kind::settled, directory, name);
    e.what = what;
    e.number = static_cast<std::uint32_t>(error);
  }
  // The digest that the entry added last should have.
  [[nodiscard]] unsigned char* expected_of_last() noexcept { return &expected_[expected_.size() - digest_size_]; }
  // Nothing is added any more. `root_size`: all names are below one tree and start with its root, so many
  // bytes; 0: they have nothing in common.
  void seal(std::size_t root_size);

  // For workers. False: nothing left to claim.
  bool claim(std::size_t& index) noexcept {
    index = next_.fetch_add(1, std::memory_order_relaxed);
    return index < entries_.size();
  }
  [[nodiscard]] bool unclaimed() const noexcept { return next_.load(std::memory_order_relaxed) < entries_.size(); }
  // Release: pairs the results with the printer's acquire in settled().
  void settle(std::size_t index) noexcept {
    std::atomic_ref{entries_[index].settled}.store(1, std::memory_order_release);
  }

  // For the printer.
  [[nodiscard]] bool settled(std::size_t index) noexcept {
    return std::atomic_ref{entries_[index].settled}.load(std::memory_order_acquire) != 0;
  }
  std::size_t printed = 0;

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] entry& at(std::size_t index) noexcept { return entries_[index]; }
  [[nodiscard]] const entry& at(std::size_t index) const noexcept { return entries_[index]; }
  [[nodiscard]] std::string_view name(const entry& e) const noexcept {
    return std::string_view{names_}.substr(e.name_offset, e.name_size);
  }
  [[nodiscard]] unsigned char* digest(std::size_t index) noexcept { return &digests_[index * digest_size_]; }
  [[nodiscard]] const unsigned char* digest(std::size_t index) const noexcept {
    return &digests_[index * digest_size_];
  }
  [[nodiscard]] const unsigned char* expected(std::size_t index) const noexcept {
    return &expected_[index * digest_size_];
  }
  // The nearest directory that all names are below, as the start of each; empty: none. Only its first
  // root_size() bytes may lead through symbolic links.
  [[nodiscard]] std::string_view base() const noexcept { return std::string_view{names_}.substr(0, base_size_); }
  [[nodiscard]] std::size_t root_size() const noexcept { return root_size_; }
  // Memory held, for the bound on what waits.
  [[nodiscard]] std::size_t footprint() const noexcept {
    return sizeof(batch) + names_.capacity() + entries_.capacity() * sizeof(entry) + digests_.capacity() +
           expected_.capacity();
  }
  // Bytes of names so far: a batch of very long names is closed early.
  [[nodiscard]] std::size_t names_size() const noexcept { return names_.size(); }

 private:
  // Constant once sealed.
  std::size_t digest_size_;
  bool checks_;
  std::string names_;
  std::size_t base_size_ = 0;
  std::size_t root_size_ = 0;
  std::vector<unsigned char> expected_;
  // Each element belongs to the worker that claimed it.
  std::vector<entry> entries_;
  std::vector<unsigned char> digests_;
  // Shared by the workers.
  std::atomic<std::size_t> next_{0};
};

}  // namespace wring::tools
