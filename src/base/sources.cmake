# SPDX-License-Identifier: Apache-2.0
# base: the portable part, and the shell that touches the machine (the simulator brings its own).
set(WRING_BASE_SOURCES
    base/block_cache.cc
    base/check.cc
    base/cgroup.cc
    base/cgroup_mounts.cc
    base/cpus.cc
    base/thread_watch.cc
    base/timer_wheel.cc
    base/topology.cc)
set(WRING_BASE_SHELL_SOURCES
    base/clock_real.cc
    base/fork_real.cc
    base/interruptible_real.cc
    base/sync_real.cc
    base/syscall_real.cc
    base/thread_exit_real.cc
    base/thread_identity_real.cc
    base/thread_state_real.cc
    base/thread_watch_real.cc
    base/topology_real.cc)
