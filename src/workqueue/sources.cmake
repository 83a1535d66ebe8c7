# SPDX-License-Identifier: Apache-2.0
# workqueue: items and the queues they wait in.
set(WRING_WORKQUEUE_SOURCES
    workqueue/audit.cc
    workqueue/cancel.cc
    workqueue/delayed.cc
    workqueue/describe.cc
    workqueue/execution.cc
    workqueue/flush.cc
    workqueue/future.cc
    workqueue/group_helper.cc
    workqueue/life.cc
    workqueue/mapping.cc
    workqueue/pool_workqueue.cc
    workqueue/registry.cc
    workqueue/remap.cc
    workqueue/retire.cc
    workqueue/revive.cc
    workqueue/run_bound.cc
    workqueue/serving.cc
    workqueue/slots.cc
    workqueue/spawn.cc
    workqueue/stop_scope.cc
    workqueue/system.cc
    workqueue/task_group.cc
    workqueue/wait_graph.cc
    workqueue/work.cc
    workqueue/workqueue.cc)
