# SPDX-License-Identifier: Apache-2.0
# WRING_VERSION: the public header is the one place that says it.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/../include/wring/version.h line REGEX "define WRING_VERSION_STRING")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" WRING_VERSION "${line}")
if(NOT WRING_VERSION)
  message(FATAL_ERROR "include/wring/version.h does not say WRING_VERSION_STRING")
endif()
