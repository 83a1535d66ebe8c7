# SPDX-License-Identifier: Apache-2.0
# wring_test(NAME x SOURCES a.cc ... [LABELS l ...] [LIBRARIES t ...]): one GoogleTest program, one ctest
# entry of the same name. dev/test counts the cases inside and sets the time limit. Half of the time that all
# tests take is their compilation, so their own code is optimised little, and not looked at for what would crash.
find_package(GTest REQUIRED)

function(wring_test)
  cmake_parse_arguments(arg "" "NAME" "SOURCES;LABELS;LIBRARIES" ${ARGN})
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(${arg_NAME} PRIVATE
    $<$<CXX_COMPILER_ID:GNU>:-fno-sanitize=null,alignment,vptr> $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-O1>)
  target_link_libraries(${arg_NAME} PRIVATE
    $<IF:$<BOOL:${WRING_SIM}>,wring_sim,wring-static> ${arg_LIBRARIES} GTest::gtest GTest::gtest_main)
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}")
endfunction()
