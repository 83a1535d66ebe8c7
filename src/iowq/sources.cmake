# SPDX-License-Identifier: Apache-2.0
# iowq: threads for calls that block.
set(WRING_IOWQ_SOURCES
    iowq/call.cc
    iowq/cancel.cc
    iowq/end.cc
    iowq/guard.cc
    iowq/hash_domain.cc
    iowq/io_pool.cc
    iowq/limits.cc
    iowq/look.cc
    iowq/pool.cc
    iowq/queue.cc
    iowq/snapshot.cc
    iowq/supply.cc
    iowq/task.cc
    iowq/worker.cc)
