# SPDX-License-Identifier: Apache-2.0
# What `make install` puts where: libraries, headers, package config, man pages, shell completion.
# The components runtime, development and tools are the Debian packages of cmake/packages.cmake; documents is what
# those carry in another form. rcu is in no package.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wring)

install(TARGETS wring wring-static EXPORT wringTargets
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
  ARCHIVE COMPONENT development)
install(DIRECTORY include/wring DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
  FILES_MATCHING PATTERN "*.h" PATTERN rcu.h EXCLUDE)
install(EXPORT wringTargets NAMESPACE wring:: DESTINATION ${package_dir} COMPONENT development)

# find_package(wring COMPONENTS rcu) reads a file of its own, so nobody else needs liburcu.
if(WRING_RCU)
  install(TARGETS wring-rcu wring-rcu-static EXPORT wringRcuTargets ARCHIVE COMPONENT rcu)
  install(FILES include/wring/rcu.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wring COMPONENT rcu)
  install(EXPORT wringRcuTargets NAMESPACE wring:: DESTINATION ${package_dir} COMPONENT rcu)
endif()

configure_package_config_file(cmake/wringConfig.cmake.in ${PROJECT_BINARY_DIR}/wringConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wringConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wringConfig.cmake ${PROJECT_BINARY_DIR}/wringConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT development)
include(cmake/pkgconfig.cmake)

if(TARGET wring_tool)
  # Relocatable: the tool finds the library beside itself, wherever both were put.
  file(RELATIVE_PATH from_bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(wring_tool PROPERTIES INSTALL_RPATH "$ORIGIN/${from_bin_to_lib}")
  install(TARGETS wring_tool COMPONENT tools)
  file(GLOB man_pages docs/man/*.1)
  install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT documents)
  if(EXISTS ${PROJECT_SOURCE_DIR}/tools/completion/wring.bash)
    install(FILES tools/completion/wring.bash RENAME wring
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT tools)
  endif()
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents)
