// SPDX-License-Identifier: Apache-2.0
// crew: real threads for a test, through base's door. They start together and are joined before run() returns.
#pragma once

#include "base/sync.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

namespace wring::test {

// Calls body(index) on each of `Count` threads.
template <std::size_t Count, class Body>
void run_crew(const Body& body) {
  struct member {
    const Body* body;
    base::atomic<std::uint32_t>* arrived;
    std::size_t index;
    base::thread thread;
  };
  base::atomic<std::uint32_t> arrived{0};
  std::array<member, Count> crew;
  for (std::size_t i = 0; i < Count; ++i) {
    crew[i].body = &body;
    crew[i].arrived = &arrived;
    crew[i].index = i;
    const auto entry = [](void* p) {
      member& m = *static_cast<member*>(p);
      m.arrived->fetch_add(1, base::order::relaxed);
      while (m.arrived->load(base::order::relaxed) != Count) base::yield();
      (*m.body)(m.index);
    };
    ASSERT_EQ(base::thread_create(crew[i].thread, {.name = "crew"}, entry, &crew[i]), 0);
  }
  for (member& m : crew) base::thread_join(m.thread);
}

}  // namespace wring::test
