# SPDX-License-Identifier: Apache-2.0
# sched: workers, pools, time; knows nothing of items.
set(WRING_SCHED_SOURCES
    sched/blocking.cc
    sched/core.cc
    sched/cpu_hogs.cc
    sched/detector.cc
    sched/fork.cc
    sched/cpu_masks.cc
    sched/place.cc
    sched/placement.cc
    sched/pods.cc
    sched/pools.cc
    sched/recount.cc
    sched/reporter.cc
    sched/rescuer.cc
    sched/runtime.cc
    sched/shutdown.cc
    sched/snapshot.cc
    sched/start.cc
    sched/stuck.cc
    sched/supply.cc
    sched/thresholds.cc
    sched/timekeeper.cc
    sched/watch.cc
    sched/watchdog.cc
    sched/worker_pool.cc)
