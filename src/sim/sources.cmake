# SPDX-License-Identifier: Apache-2.0
# The simulator, part of the sim preset only. WRING_SIM is defined there for every source, and base's shell
# for the machine (WRING_BASE_SHELL_SOURCES) is left out: base_sim.cc and door.cc stand in for it.
set(WRING_SIM_SOURCES
  sim/base_sim.cc
  sim/body.cc
  sim/crash.cc
  sim/decisions.cc
  sim/door.cc
  sim/explain.cc
  sim/explore.cc
  sim/fiber.cc
  sim/heap.cc
  sim/interruptible_sim.cc
  sim/memory_model.cc
  sim/shrink.cc
  sim/simulation.cc
  sim/simulation_waits.cc
  sim/simulation_words.cc
  sim/strategy.cc
  sim/thread_identity_sim.cc
  sim/thread_watch_sim.cc
  sim/topology_sim.cc
  sim/trace.cc
)
# A simulated step costs about 100 ns with optimisation and twice that without, so the core is optimised in
# every preset. It must not be compiled for the thread sanitizer: it switches stacks.
set_source_files_properties(${WRING_SIM_SOURCES} PROPERTIES COMPILE_OPTIONS "-O2;-fno-sanitize=thread")
