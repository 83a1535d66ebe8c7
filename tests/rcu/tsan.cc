// SPDX-License-Identifier: Apache-2.0
// tsan: liburcu is not built for the thread sanitizer, which therefore misses the order it makes. What liburcu itself
// calls is not looked at; our code that it calls back is.

extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:liburcu-bp.so\n"; }
