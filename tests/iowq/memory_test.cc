// SPDX-License-Identifier: Apache-2.0
// Memory that an io_pool is refused while it is made.
//
// Method: this program has an operator new of its own, which counts what is alive.
#include "support/gate.h"
#include "support/test_runtime.h"
#include "support/threads.h"

#include <wring/io_pool.h>

#include <gtest/gtest.h>

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <system_error>

namespace wring {
namespace {

// Who is counted, and refused: what the test itself allocates, and threads of an io_pool, by the beginning of their
// name.
thread_local bool is_the_test = false;
enum class who : std::uint8_t { others, test, worker, manager };
who caller() noexcept {
  if (is_the_test) return who::test;
  std::array<char, 16> name{};
  ::pthread_getname_np(::pthread_self(), name.data(), name.size());
  return std::strncmp(name.data(), "io-mgr", 6) == 0   ? who::manager
         : std::strncmp(name.data(), "io-wrk", 6) == 0 ? who::worker
                                                       : who::others;
}

std::atomic<long> alive{0};            // of those that are counted
std::atomic<who> victim{who::others};  // others: nobody
std::atomic<int> granted{0};           // so many are, before one is refused
std::atomic<bool> for_good{false};     // and all that follow

bool is_refused(who me) noexcept {
  if (me == who::others || me != victim) return false;
  const int before = granted.fetch_sub(1);
  return before == 0 || (before < 0 && for_good);
}

// In front of what is given out: whether it counts.
constexpr std::size_t usual = alignof(std::max_align_t);

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  const who me = caller();
  if (is_refused(me)) return nullptr;
  void* const p = ::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment + alignment);
  if (p == nullptr) return nullptr;
  auto* const given = static_cast<unsigned char*>(p) + alignment;
  const bool counts = me != who::others;
  given[-1] = counts ? 1 : 0;
  alive.fetch_add(counts ? 1 : 0);
  return given;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* const p = allocate(bytes, alignment);
  if (p == nullptr) throw std::bad_alloc{};
  return p;
}

void give_back(void* p, std::size_t alignment) noexcept {
  if (p == nullptr) return;
  auto* const given = static_cast<unsigned char*>(p);
  alive.fetch_sub(given[-1]);
  std::free(given - alignment);
}

}  // namespace
}  // namespace wring

// All of them, for the sanitizers have their own, too.
void* operator new(std::size_t n) { return wring::allocate_or_throw(n, wring::usual); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return wring::allocate(n, wring::usual); }
void* operator new(std::size_t n, std::align_val_t a) {
  return wring::allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return wring::allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n) { return wring::allocate_or_throw(n, wring::usual); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return wring::allocate(n, wring::usual); }
void* operator new[](std::size_t n, std::align_val_t a) {
  return wring::allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return wring::allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { wring::give_back(p, wring::usual); }
void operator delete(void* p, std::size_t) noexcept { wring::give_back(p, wring::usual); }
void operator delete(void* p, std::align_val_t a) noexcept { wring::give_back(p, static_cast<std::size_t>(a)); }
void operator delete(void* p, std::size_t, std::align_val_t a) noexcept {
  wring::give_back(p, static_cast<std::size_t>(a));
}
void operator delete(void* p, const std::nothrow_t&) noexcept { wring::give_back(p, wring::usual); }
void operator delete[](void* p) noexcept { wring::give_back(p, wring::usual); }
void operator delete[](void* p, std::size_t) noexcept { wring::give_back(p, wring::usual); }
void operator delete[](void* p, std::align_val_t a) noexcept { wring::give_back(p, static_cast<std::size_t>(a)); }
void operator delete[](void* p, std::size_t, std::align_val_t a) noexcept {
  wring::give_back(p, static_cast<std::size_t>(a));
}
void operator delete[](void* p, const std::nothrow_t&) noexcept { wring::give_back(p, wring::usual); }

namespace wring {
namespace {

using test::eventually;
using test::test_runtime;

// The allocation after `n` others of these is refused; `goes_on`: and all that follow.
result<io_pool> create_without_memory(runtime& rt, const io_pool_options& o, who of, int n, bool goes_on) {
  granted = n;
  for_good = goes_on;
  victim = of;
  result<io_pool> made = io_pool::create(rt, o);
  victim = who::others;
  return made;
}

struct refused_pool {
  io_profile profile;
  who of;
  bool shared_domain;
  bool goes_on;
};

// How many times it was refused before it was made.
int refuse_memory_again_and_again(const refused_pool& which) {
  test_runtime rt{{.cpus = 2, .topology = "node:2 core:1 pu:1", .detect = detection::announced}};
  const io_user user{3};
  io_pool_options o{.name = "a pool whose name takes memory", .profile = which.profile, .user = &user};
  { const io_pool first{rt, o}; }  // what the runtime makes for its first one stays
  is_the_test = true;
  for (int n = 0;; ++n) {
    const long before = alive.load();
    bool is_made = false;
    {
      std::optional<hash_domain> domain;
      if (which.shared_domain) {
        domain.emplace(static_cast<runtime&>(rt));
        domain->set_affinity({0});
        o.domain = &*domain;
      }
      const result<io_pool> made = create_without_memory(rt, o, which.of, n, which.goes_on);
      is_made = made.has_value();
      EXPECT_TRUE(is_made || made.error() == std::errc::not_enough_memory) << made.error().message();
      EXPECT_EQ(rt->describe().find(o.name) != std::string::npos, is_made);
      if (domain) domain->max_workers({.bounded = 2});  // who is gone is not told of it
    }
    EXPECT_EQ(alive.load(), before) << "after " << n << " allocations";
    EXPECT_EQ(user.charged(), 0U);
    eventually([] { return test::threads_named("io-") == 0; });
    if (is_made) {
      is_the_test = false;
      return n;
    }
  }
}

// IOWQ-10, IOWQ-11: each allocation of the constructor is refused, by itself and with all that follow, in both profiles
// and with a domain of its own or of others; and those of the manager, which makes the first workers.
TEST(io_memory, that_is_refused_leaves_nothing_of_a_pool) {
  for (const bool goes_on : {false, true}) {
    for (const bool shared_domain : {false, true}) {
      EXPECT_GE(refuse_memory_again_and_again({io_profile::task, who::test, shared_domain, goes_on}), 6);
      EXPECT_GE(refuse_memory_again_and_again({io_profile::node, who::test, shared_domain, goes_on}), 6);
    }
    EXPECT_GE(refuse_memory_again_and_again({io_profile::node, who::manager, false, goes_on}), 4);
  }
}

}  // namespace
}  // namespace wring
