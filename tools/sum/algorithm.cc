// SPDX-License-Identifier: Apache-2.0
#include "sum/algorithm.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <stdexcept>
#include <string>

namespace wring::tools {

namespace {

constexpr std::array<algorithm, 4> table{{
    {"sha256", "SHA256", "SHA256", 32, true, "-"},
    {"sha512", "SHA512", "SHA512", 64, true, "-"},
    {"blake2b", "BLAKE2b", "BLAKE2B-512", 64, true, "-"},
    {"xxh128", "XXH128", nullptr, 16, false, "stdin"},
}};

// A hash that stops working in the middle of a run would mean wrong lines: better none.
void require(bool ok) {
  if (!ok) throw std::runtime_error{"OpenSSL refused to compute a digest"};
}

}  // namespace

const algorithm* find_algorithm(std::string_view name) noexcept {
  for (const auto& candidate : table) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

std::span<const algorithm> all_algorithms() noexcept { return table; }

void hasher::evp_free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }
void hasher::evp_free::operator()(evp_md_st* method) const noexcept { EVP_MD_free(method); }
void hasher::evp_free::operator()(XXH3_state_s* state) const noexcept { XXH3_freeState(state); }

hasher::hasher(const algorithm& which) {
  if (which.evp_name == nullptr) {
    xxh_.reset(XXH3_createState());
    require(xxh_ != nullptr);
    return;
  }
  method_.reset(EVP_MD_fetch(nullptr, which.evp_name, nullptr));
  if (!method_) throw std::runtime_error{"OpenSSL does not offer " + std::string{which.name} + " here"};
  context_.reset(EVP_MD_CTX_new());
  require(context_ != nullptr);
}

hasher::~hasher() = default;

void hasher::begin() {
  if (xxh_) {
    require(XXH3_128bits_reset(xxh_.get()) == XXH_OK);
  } else {
    require(EVP_DigestInit_ex2(context_.get(), method_.get(), nullptr) == 1);
  }
}

void hasher::update(std::span<const std::byte> data) {
  if (xxh_) {
    require(XXH3_128bits_update(xxh_.get(), data.data(), data.size()) == XXH_OK);
  } else {
    require(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }
}

void hasher::finish(unsigned char* digest) {
  if (xxh_) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(xxh_.get()));
    for (const unsigned char byte : canonical.digest) *digest++ = byte;
  } else {
    require(EVP_DigestFinal_ex(context_.get(), digest, nullptr) == 1);
  }
}

}  // namespace wring::tools
