# SPDX-License-Identifier: Apache-2.0
# WRING_VERSION: the public header is the one place that says it. WRING_ABI: which binary interface that is.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/../include/wring/version.h line REGEX "define WRING_VERSION_STRING")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" WRING_VERSION "${line}")
if(NOT WRING_VERSION)
  message(FATAL_ERROR "include/wring/version.h does not say WRING_VERSION_STRING")
endif()

# The number in libwring.so.N, in the symbol version WRING_N and in the Debian package libwringN. It is raised when a
# program linked before could no longer run, and only then (abi/README.md).
set(WRING_ABI 0)
