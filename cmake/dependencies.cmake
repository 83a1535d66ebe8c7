# SPDX-License-Identifier: Apache-2.0
# What the library is linked with.
#
# WRING_PRIVATE_PACKAGES: other libraries, by pkg-config's names. Everything else follows from this list: the targets
# PkgConfig::wring_<name> for src/, Libs.private of wring.pc, what wringConfig.cmake looks for on behalf of
# wring-static, and what the Debian package libwring-dev depends on.
set(WRING_PRIVATE_PACKAGES hwloc)

if(WRING_PRIVATE_PACKAGES)
  find_package(PkgConfig REQUIRED)
  foreach(package IN LISTS WRING_PRIVATE_PACKAGES)
    # Global, because a program that embeds wring by add_subdirectory links wring-static from outside of this folder.
    pkg_check_modules(wring_${package} REQUIRED IMPORTED_TARGET GLOBAL ${package})
  endforeach()
endif()
list(TRANSFORM WRING_PRIVATE_PACKAGES REPLACE "(.+)" "PkgConfig::wring_\\1" OUTPUT_VARIABLE WRING_PRIVATE_TARGETS)

# Workers and the timekeeper live as long as the default runtime, that is, until the process ends. dlclose() of the
# library, or of a plugin that contains the static one, must not unmap the code under them.
set(WRING_KEEP_LOADED -Wl,-z,nodelete)

# The optional component wring::rcu alone needs liburcu. It is built where that is found, but a project that embeds wring
# has to ask for it (WRING_RCU).
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(wring_liburcu QUIET IMPORTED_TARGET GLOBAL liburcu-bp)
endif()
if(PROJECT_IS_TOP_LEVEL AND wring_liburcu_FOUND)
  set(WRING_HAS_LIBURCU ON)
else()
  set(WRING_HAS_LIBURCU OFF)
endif()
