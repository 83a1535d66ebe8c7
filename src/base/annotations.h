// SPDX-License-Identifier: Apache-2.0
// annotations: what clang's thread safety analysis may know. Empty for other compilers.
#pragma once

#if defined(__clang__)
#define WRING_ANNOTATE(x) __attribute__((x))
#else
#define WRING_ANNOTATE(x)
#endif

#define WRING_CAPABILITY(name) WRING_ANNOTATE(capability(name))
#define WRING_SCOPED_CAPABILITY WRING_ANNOTATE(scoped_lockable)
#define WRING_GUARDED_BY(m) WRING_ANNOTATE(guarded_by(m))
#define WRING_ACQUIRE(...) WRING_ANNOTATE(acquire_capability(__VA_ARGS__))
#define WRING_TRY_ACQUIRE(...) WRING_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define WRING_RELEASE(...) WRING_ANNOTATE(release_capability(__VA_ARGS__))
#define WRING_REQUIRES(...) WRING_ANNOTATE(requires_capability(__VA_ARGS__))
#define WRING_NO_ANALYSIS WRING_ANNOTATE(no_thread_safety_analysis)
