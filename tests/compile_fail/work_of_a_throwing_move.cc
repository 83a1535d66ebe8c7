// SPDX-License-Identifier: Apache-2.0
// The constructor of a work is noexcept, so what it holds must move without throwing.
// expect: capture a pointer
#include <wring/wring.h>

struct callable {
  callable() = default;
#ifdef MISUSE
  callable(callable&&) {}
#else
  callable(callable&&) noexcept {}
#endif
  void operator()() const {}
};

wring::work item{callable{}};
