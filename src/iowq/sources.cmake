# SPDX-License-Identifier: Apache-2.0
# iowq: threads for calls that block.
set(WRING_IOWQ_SOURCES
    iowq/call.cc
    iowq/cancel.cc
    iowq/control_groups.cc
    iowq/credentials.cc
    iowq/end.cc
    iowq/guard.cc
    iowq/hash_domain.cc
    iowq/identity.cc
    iowq/identity_capture.cc
    iowq/io_pool.cc
    iowq/limits.cc
    iowq/look.cc
    iowq/owner.cc
    iowq/places.cc
    iowq/pool.cc
    iowq/priorities.cc
    iowq/queue.cc
    iowq/registry.cc
    iowq/snapshot.cc
    iowq/spaces.cc
    iowq/supply.cc
    iowq/task.cc
    iowq/wardrobe.cc
    iowq/worker.cc)
