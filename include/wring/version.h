// SPDX-License-Identifier: Apache-2.0
// version: which wring this is, at compile time and at run time.
#pragma once

#define WRING_VERSION_MAJOR 0
#define WRING_VERSION_MINOR 1
#define WRING_VERSION_PATCH 0
#define WRING_VERSION_STRING "0.1.0"

#if defined(WRING_STATIC) || defined(WRING_SIM)
#define WRING_EXPORT
#else
#define WRING_EXPORT __attribute__((visibility("default")))
#endif

namespace wring {

// The version of the library that runs, e.g. "0.1.0"; compare with WRING_VERSION_STRING, the version
// of the headers you compiled against. Any thread; never fails.
WRING_EXPORT const char* version() noexcept;

}  // namespace wring
