// SPDX-License-Identifier: Apache-2.0
// algorithm: the hash functions of `wring sum`, and how the established tools of each name write a line.
//
// Threads: find_algorithm() and the table are constant; a hasher belongs to one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

struct evp_md_ctx_st;
struct evp_md_st;
struct XXH3_state_s;

namespace wring::tools {

inline constexpr std::size_t digest_size_max = 64;

struct algorithm {
  std::string_view name;        // as given to -a
  std::string_view tag;         // in tagged lines: "SHA256 (name) = hash"
  const char* evp_name;         // what OpenSSL calls it; null: xxHash
  std::size_t digest_size;      // bytes
  bool escapes_names;           // coreutils escape newlines in names, xxh128sum does not
  std::string_view stdin_name;  // what stands for the name when standard input was read
};

// Null: there is none of that name.
[[nodiscard]] const algorithm* find_algorithm(std::string_view name) noexcept;
[[nodiscard]] std::span<const algorithm> all_algorithms() noexcept;

// One running hash; used again and again, it allocates only when it is made.
class hasher {
 public:
  // Throws std::runtime_error if OpenSSL does not offer the algorithm (a FIPS set-up, for example).
  explicit hasher(const algorithm& which);
  ~hasher();
  hasher(const hasher&) = delete;
  hasher& operator=(const hasher&) = delete;

  void begin();
  void update(std::span<const std::byte> data);
  // Writes digest_size bytes.
  void finish(unsigned char* digest);

 private:
  struct evp_free {
    void operator()(evp_md_ctx_st* context) const noexcept;
    void operator()(evp_md_st* method) const noexcept;
    void operator()(XXH3_state_s* state) const noexcept;
  };
  std::unique_ptr<evp_md_st, evp_free> method_;  // fetched once: a fetch per file costs more than a small file
  std::unique_ptr<evp_md_ctx_st, evp_free> context_;
  std::unique_ptr<XXH3_state_s, evp_free> xxh_;
};

}  // namespace wring::tools
