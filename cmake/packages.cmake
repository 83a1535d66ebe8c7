# SPDX-License-Identifier: Apache-2.0
# Debian packages, one for each component of cmake/install.cmake: libwring0, libwring-dev and wring-tools.
# `make packages` configures with -DWRING_PACKAGES=ON and prefix /usr, and CPack does the rest.
set(WRING_PACKAGER "The wring authors <wring@packages.invalid>" CACHE STRING "who made the packages, as Debian writes it")
set(library_package libwring${WRING_ABI})
set(version ${PROJECT_VERSION}-1)

# What policy wants in every package: copyright and changelog, compressed the same way at every build.
find_program(GZIP gzip REQUIRED)
function(install_compressed from to component)
  get_filename_component(name ${to} NAME)
  execute_process(COMMAND ${GZIP} -n9c ${from} OUTPUT_FILE ${PROJECT_BINARY_DIR}/${name}.gz COMMAND_ERROR_IS_FATAL ANY)
  get_filename_component(folder ${to} DIRECTORY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.gz DESTINATION ${folder} COMPONENT ${component})
endfunction()

string(TIMESTAMP package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # of SOURCE_DATE_EPOCH, if that is set
configure_file(cmake/debian/changelog.in ${PROJECT_BINARY_DIR}/changelog @ONLY)
foreach(pair runtime=${library_package} development=libwring-dev tools=wring-tools)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  string(TOUPPER ${component} COMPONENT)
  set(CPACK_DEBIAN_${COMPONENT}_PACKAGE_NAME ${package})
  set(documents ${CMAKE_INSTALL_DATADIR}/doc/${package})
  install(FILES cmake/debian/copyright DESTINATION ${documents} COMPONENT ${component})
  install_compressed(${PROJECT_BINARY_DIR}/changelog ${documents}/changelog.Debian ${component})
endforeach()
foreach(page IN LISTS man_pages)
  get_filename_component(name ${page} NAME)
  install_compressed(${page} ${CMAKE_INSTALL_MANDIR}/man1/${name} tools)
endforeach()

# CPack strips programs and shared libraries, but not archives.
install(CODE "execute_process(COMMAND ${CMAKE_STRIP} --strip-debug --enable-deterministic-archives
  \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/libwring.a COMMAND_ERROR_IS_FATAL ANY)"
  COMPONENT development)

# The Debian packages that hold the .pc files wring.pc requires.
set(private_packages "")
foreach(package IN LISTS WRING_PRIVATE_PACKAGES)
  execute_process(COMMAND ${PKG_CONFIG_EXECUTABLE} --variable=pcfiledir ${package}
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND dpkg-query --search ${folder}/${package}.pc
    OUTPUT_VARIABLE owner COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE ":.*" "" owner ${owner})
  string(APPEND private_packages ", ${owner}")
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME wring)
set(CPACK_PACKAGE_VENDOR wring)
set(CPACK_PACKAGE_CONTACT ${WRING_PACKAGER})
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development tools)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # it would stand before each of the descriptions below
set(about "wring brings the Linux kernel's concurrency-managed workqueue to user space.
Many queues share few worker threads, as many awake as there are CPUs; an item
that blocks is replaced while it blocks.
")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(debian ${PROJECT_SOURCE_DIR}/cmake/debian)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${debian}/triggers ${debian}/postinst ${debian}/postrm)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "work queues and concurrency-managed threads
${about}
This package has the shared library.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library_package} (= ${version}), libc6-dev${private_packages}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "work queues and concurrency-managed threads (development)
${about}
This package has the headers, the static library, and what CMake and
pkg-config need.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/src)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${library_package} (>= ${version})")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "checksums of whole trees on all CPUs
The wring command has several tools made with work queues. One of them, sum,
reads and writes what sha256sum, sha512sum, b2sum and xxh128sum do, for whole
trees and in parallel.")

include(CPack)
