// SPDX-License-Identifier: Apache-2.0
// sanitizers: defines WRING_SIM_ASAN when the address sanitizer is on; both compilers say it differently.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define WRING_SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WRING_SIM_ASAN 1
#endif
#endif
