# SPDX-License-Identifier: Apache-2.0
# wring.pc, and wring-rcu.pc if that component is built, for pkg-config. Its paths start at the file itself, so an installed tree may be moved; only below /usr
# they are absolute, where pkg-config then leaves out what the compiler searches anyway.
set(pc_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" OR IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH pc_up ${CMAKE_INSTALL_PREFIX}/${pc_folder} ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
  string(TOLOWER ${kind} name)
  set(pc_${name} "\${prefix}")
  cmake_path(APPEND pc_${name} "${CMAKE_INSTALL_${kind}}")  # an absolute folder replaces the prefix
endforeach()
# Not Requires.private: that would ask for what those libraries need to be linked statically themselves, and Debian
# has no static libudev for hwloc. libwring.a with their shared form is what people link.
set(pc_private -pthread ${WRING_KEEP_LOADED})
foreach(package IN LISTS WRING_PRIVATE_PACKAGES)
  list(APPEND pc_private ${wring_${package}_LDFLAGS})
endforeach()
list(JOIN pc_private " " pc_private)
configure_file(cmake/wring.pc.in ${PROJECT_BINARY_DIR}/wring.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wring.pc DESTINATION ${pc_folder} COMPONENT development)

if(WRING_RCU)
  list(JOIN WRING_KEEP_LOADED " " pc_keep_loaded)
  configure_file(cmake/wring-rcu.pc.in ${PROJECT_BINARY_DIR}/wring-rcu.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/wring-rcu.pc DESTINATION ${pc_folder} COMPONENT rcu)
endif()
