# SPDX-License-Identifier: Apache-2.0
# Runs PROGRAM and checks that it printed each expected line exactly once, in any order.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE output RESULT_VARIABLE status)
string(STRIP "${output}" output)
string(REPLACE "\n" ";" found "${output}")
set(expected "a one-off closure" "hello from a worker" "part 0" "part 1" "part 2" "part 3")
list(SORT found)
if(NOT status EQUAL 0 OR NOT found STREQUAL expected)
  message(FATAL_ERROR "status ${status}, printed: ${output}")
endif()
